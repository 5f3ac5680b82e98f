"""Target folder at a local path: attempts are staged in a subfolder, and a rename makes them visible."""

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elastic.core.contracts.sink import MARKER, STAGING
from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.persistence.durable_file import (
    create_file,
    create_whole,
    is_unfinished,
    open_file,
    replacing,
    store_error,
    sync_file,
    sync_folder,
    write_at,
)
from elastic.persistence.written_files.target_folder import (
    MARKS,
    TargetFile,
    TargetFolder,
    check_removable,
    digest_of,
    is_attempt,
)

#: Permission bits of files and folders, less those of the umask: other programs read them.
_FILE_MODE, _FOLDER_MODE = 0o666, 0o777


class LocalFolder(TargetFolder):
    """Folder of the local file system, or one that several hosts share.

    Args:
        path: Absolute path.
        step: Name of the step's folder for attempts.
        tag: Part of the names that only attempts of this step have.
        mark: Fields of the marker that this step's master writes. A process that reads them sees the same folder.
    """

    def __init__(self, path: Path, step: str, tag: str, mark: dict[str, Any]) -> None:
        self.path, self.shown = path, str(path)
        self._staging = path / STAGING / step
        self._tag, self._mark = tag, mark
        #: Folders that `make` created, outermost first.
        self._made: list[Path] = []

    # -- on workers

    def is_reachable(self) -> bool:
        try:
            return bool(self._mark.items() <= json.loads((self.path / MARKER).read_bytes()).items())
        except (OSError, ValueError, AttributeError):
            return False

    def create(self, name: str) -> TargetFile:
        path = self._staging / name.rpartition("/")[2]
        with self._errors(path):
            # The folder is not created here: this may be a lost worker of a run that has ended and removed it.
            return _LocalFile(path, create_file(path, _FILE_MODE))

    # -- on the master

    def foreign(self, tags: Collection[str]) -> str:
        try:
            with os.scandir(self.path) as found:
                names = [entry.name for entry in found]
            return min((name for name in names if name not in MARKS and not _is_unfinished_mark(name)), default="")
        except FileNotFoundError:
            self._check_parents()
            return ""
        except NotADirectoryError as error:
            raise UsageError(f"{self.shown!r} is not a folder; name a folder to write to.") from error
        except OSError as error:
            raise UsageError(f"{self.shown!r} cannot be read ({error.strerror}); check its permissions.") from error

    def make(self) -> None:
        missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
        with self._errors(self.path):
            for path in reversed(missing):
                path.mkdir(mode=_FOLDER_MODE, exist_ok=True)
                self._made.append(path)
                sync_folder(path.parent)
            for path in (self._staging.parent, self._staging):
                path.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            sync_folder(self.path)
            sync_folder(self._staging.parent)

    def read(self, name: str) -> bytes | None:
        with self._errors(self.path / name):
            try:
                return (self.path / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def put(self, name: str, data: bytes) -> None:
        path = self.path / name
        with self._errors(path), replacing(path, mode=_FILE_MODE) as file:
            file.write(data)

    def put_new(self, name: str, data: bytes) -> bool:
        path = self.path / name
        with self._errors(path):
            return create_whole(path, data, mode=_FILE_MODE)

    def remove(self, names: Collection[str]) -> None:
        folders = set[Path]()
        for name in names:
            self._check_removable(name)
            path = self.path / name
            with self._errors(path):
                path.unlink(missing_ok=True)
            folders.update(path.parents)
        self._remove_empty(folders)

    def _remove_empty(self, folders: Collection[Path]) -> None:
        """Remove those of the folders that are empty and below this one."""
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            if folder.is_relative_to(self.path) and folder != self.path:
                with suppress(OSError):
                    folder.rmdir()

    def size(self, name: str) -> int | None:
        for path in (self.path / name, self._staged(name)):
            with suppress(OSError):
                return path.stat(follow_symlinks=False).st_size
        return None

    def files(self) -> set[str]:
        found = set[str]()
        with self._errors(self.path):
            for folder, folders, names in os.walk(self.path, onerror=_raise):
                is_top = Path(folder) == self.path
                folders[:] = [name for name in folders if not (is_top and name == STAGING)]
                below = Path(folder).relative_to(self.path)
                found |= {
                    str(below / name) for name in names if not (is_top and (name in MARKS or _is_unfinished_mark(name)))
                }
        return found

    def digest(self, name: str) -> tuple[int, str] | None:
        path = self.path / name
        with self._errors(path):
            try:
                with os.fdopen(open_file(path), "rb") as file:
                    return digest_of(file)
            except FileNotFoundError:
                return None

    def reveal(self, names: Collection[str]) -> None:
        folders = {self.path, self._staging}
        for name in names:
            staged, path = self._staged(name), self.path / name
            with self._errors(path):
                for folder in reversed(path.parents):
                    if folder.is_relative_to(self.path) and folder not in folders:
                        self._make_inside(folder)
                        folders |= {folder, folder.parent}
                with suppress(FileNotFoundError):
                    staged.rename(path)
        for folder in folders:
            with self._errors(folder), suppress(FileNotFoundError):
                sync_folder(folder)

    def hide(self, kept: Collection[str]) -> None:
        names, folders = self._revealed(kept), set[Path]()
        if not names:
            return
        self.make()  # `sweep` may have removed the folder for attempts
        for name in names:
            path = self.path / name
            with self._errors(path):
                path.rename(self._staged(name))
            folders.update(each for each in path.parents if each.is_relative_to(self.path))
        for folder in (self._staging, *folders):
            with self._errors(folder):
                sync_folder(folder)
        self._remove_empty(folders)

    def _revealed(self, kept: Collection[str]) -> list[str]:
        """Return the attempts of the step that have their names, except those in `kept`."""
        names = self.files() if self.path.is_dir() else set()
        return [name for name in names if is_attempt(name, (self._tag,)) and name not in kept]

    def sweep(self, kept: Collection[str]) -> None:
        self.remove(self._revealed(kept))
        if self.path.is_dir():
            self.remove([name for name in os.listdir(self.path) if _is_unfinished_mark(name)])  # noqa: PTH208
        with self._errors(self._staging), suppress(FileNotFoundError):
            shutil.rmtree(self._staging)
        with suppress(OSError):
            self._staging.parent.rmdir()

    def discard(self) -> None:
        with suppress(OSError, ElasticError):
            self.sweep(())
        for path in reversed(self._made):
            with suppress(OSError):
                path.rmdir()

    def _make_inside(self, folder: Path) -> None:
        """Create a folder for a partition.

        Raises:
            StoreError: The file system takes its name and another one for the same.
        """
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        if folder.name not in os.listdir(folder.parent):  # noqa: PTH208  # names, not paths
            raise StoreError(
                f"{str(folder)!r} and a folder whose name differs in case are the same on this file system; "
                "write partitions whose names differ in more than case."
            )

    def _check_removable(self, name: str) -> None:
        check_removable(name, self.shown)
        # A link among the folders of the name leads elsewhere.
        if not (self.path / name).parent.resolve().is_relative_to(self.path.resolve()):
            check_removable("..", self.shown)

    def _staged(self, name: str) -> Path:
        return self._staging / name.rpartition("/")[2]

    def _check_parents(self) -> None:
        """Raise UsageError if the folder cannot be created."""
        parent = next(path for path in self.path.parents if path.exists())
        if not parent.is_dir():
            raise UsageError(f"{str(parent)!r} is not a folder, so {self.shown!r} cannot be created; name another one.")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise UsageError(f"{self.shown!r} cannot be created (Permission denied); check {str(parent)!r}.")

    @contextmanager
    def _errors(self, path: Path) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except OSError as error:
            raise store_error(error, path) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": []}


def _is_unfinished_mark(name: str) -> bool:
    """Return whether a name is that of a new manifest or marker, which a killed master has not completed."""
    return any(is_unfinished(name, mark) for mark in MARKS)


def _raise(error: OSError) -> None:
    raise error


class _LocalFile:
    """Attempt that is being written."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor, self._size = path, descriptor, 0

    def write(self, data: bytes) -> None:
        try:
            write_at(self._descriptor, data, self._size)
        except OSError as error:
            self._fail()
            raise store_error(error, self._path) from error
        self._size += len(data)

    def close(self) -> None:
        try:
            sync_file(self._descriptor)
            sync_folder(self._path.parent)
        except OSError as error:
            self._fail()
            raise store_error(error, self._path) from error
        self._close()

    def _fail(self) -> None:
        """Remove the file, so that a full disk gets its space back."""
        self._close()
        with suppress(OSError):
            self._path.unlink()

    def _close(self) -> None:
        # The system gives the same number to the next file that is opened.
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def __del__(self) -> None:
        # A state that a worker drops, because its batch failed, has no other end.
        if self._descriptor >= 0:
            self._close()
