"""Spill store in a folder of the run, shared by all processes that see the folder."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elastic.core.contracts.spill_store import SpillStore
from elastic.core.errors import CorruptStoreError, StoreError
from elastic.persistence.durable_file import (
    create_file,
    make_folder,
    open_file,
    read_at,
    replacing,
    store_error,
    sync_file,
    sync_folder,
    write_at,
)

#: Maximum length of a file that a process appends to (bytes).
_MAX_FILE_BYTES = 256 << 20

_RANDOM_BYTES = 8

#: Name of a file: kind, epoch of the master, random number.
_NAME = re.compile(r"(piece|result)-(\d+)-[0-9a-f]{16}")

#: Name of a file that each master has once, with its epoch.
_NAMED_BY_EPOCH = re.compile(r"(?:mark-|manifest-)(\d+)(?:\.json)?")


class FileSpillStore(SpillStore):
    """Spill store of files in one folder. Each process appends to its own files, so no process waits for another.

    Args:
        folder: Folder of the files.
        epoch: Epoch of the master whose workers write.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self.folder, self.epoch = folder, epoch
        #: content of the mark file; a process that reads it sees the same folder
        self._mark = secrets.token_hex(_RANDOM_BYTES)
        self._reset()

    def _reset(self) -> None:
        self._is_visible: bool | None = None
        self._failure: StoreError | None = None
        #: the file that this process appends to: descriptor, name, length, and id of the process that created it
        self._file, self._name, self._size, self._owner = -1, "", 0, 0

    def prepare(self) -> None:
        """Create the folder, before the master sends its path to workers.

        Raises:
            StoreError: The folder cannot be created.
        """
        path = self.folder / f"mark-{self.epoch}"
        try:
            make_folder(self.folder)
            path.touch(mode=0o600)
            path.write_text(self._mark)
        except OSError as error:
            raise store_error(error, path) from error
        self._is_visible = True

    def unmark(self) -> None:
        """Remove the mark when all files have their final names."""
        (self.folder / f"mark-{self.epoch}").unlink(missing_ok=True)

    @property
    def writable(self) -> bool:
        return self.readable

    @property
    def readable(self) -> bool:
        if self._is_visible is None:
            try:
                self._is_visible = (self.folder / f"mark-{self.epoch}").read_text() == self._mark
            except OSError:
                self._is_visible = False
        return self._is_visible

    def append(self, data: bytes) -> tuple[str, int]:
        if self._failure is not None:
            raise self._failure
        try:
            if self._owner != os.getpid() or self._size + len(data) > _MAX_FILE_BYTES:
                self._begin_file()
            start = self._size
            write_at(self._file, data, start)
            self._size += len(data)
        except OSError as error:
            raise self._fail(error) from error
        return self._name, start

    def sync(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._owner != os.getpid():
            return
        try:
            sync_file(self._file)
        except OSError as error:
            raise self._fail(error) from error

    def read(self, name: str, start: int, size: int) -> bytes:
        path = self.path(name)
        try:
            file = open_file(path)
        except OSError as error:
            raise CorruptStoreError(f"{path} cannot be read ({error.strerror}); restore a good copy of it.") from error
        try:
            data = read_at(file, size, start)
        except OSError as error:
            raise store_error(error, path) from error
        finally:
            os.close(file)
        if len(data) < size:
            raise CorruptStoreError(
                f"{path} ends at byte {start + len(data)}, expected {start + size}; restore a good copy of it."
            )
        return data

    @contextmanager
    def create(self, kind: str) -> "Iterator[AppendOnlyFile]":
        name = self._new_name(kind)
        path = self.folder / name
        try:
            file = AppendOnlyFile(name, create_file(path))
            try:
                yield file
                sync_file(file.descriptor)
            except BaseException:
                with suppress(OSError):
                    path.unlink()
                raise
            finally:
                file.close()
            sync_folder(self.folder)
        except StoreError:
            raise  # a StoreError that is an OSError too is about another file
        except OSError as error:
            raise store_error(error, path) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file under its own name, whole or not at all.

        Raises:
            StoreError: The file cannot be written.
        """
        path = self.folder / name
        try:
            with replacing(path, beside=self.folder / self._new_name("result")) as file:
                file.write(data)
        except OSError as error:
            raise store_error(error, path) from error

    def describe(self, name: str) -> str:
        return str(self.folder / name)

    def close(self) -> None:
        if self._owner == os.getpid():
            os.close(self._file)
        self._owner = 0

    def path(self, name: str) -> Path:
        """Return the path of a file.

        Raises:
            CorruptStoreError: The name is invalid.
        """
        if not _NAME.fullmatch(name):
            raise CorruptStoreError(f"invalid name {name!r} of a file in {self.folder}; restore the manifest.")
        return self.folder / name

    def clean(self, used: set[str]) -> None:
        """Remove the files of this master and of earlier ones, except `used` ones and this master's own manifest."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                match = _NAME.fullmatch(path.name)
                # This master may have been suspended, and does not know the files of a later one.
                older = _NAMED_BY_EPOCH.fullmatch(path.name)
                is_unused = match and int(match[2]) <= self.epoch and path.name not in used
                if is_unused or (older and int(older[1]) < self.epoch):
                    path.unlink(missing_ok=True)

    def _fail(self, error: OSError) -> StoreError:
        """Refuse all further use: blocks that were appended and named before may not be on the disk."""
        self._failure = store_error(error, self.folder / self._name)
        return self._failure

    def _begin_file(self) -> None:
        """Begin a new file; the current one may belong to the parent from which this process was forked."""
        self.sync()
        self.close()
        self._name = self._new_name("piece")
        self._file, self._size = create_file(self.folder / self._name), 0
        sync_folder(self.folder)
        self._owner = os.getpid()

    def _new_name(self, kind: str) -> str:
        if not self.writable:
            raise StoreError(f"{self.folder} is not the folder of the run on this host; share it between the hosts.")
        return f"{kind}-{self.epoch}-{secrets.token_hex(_RANDOM_BYTES)}"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "epoch": self.epoch, "_mark": self._mark}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


class AppendOnlyFile:
    """File that is written from its beginning to its end."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name, self.descriptor = name, descriptor
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: The file cannot be written, or is closed.
        """
        write_at(self.descriptor, data, self._size)
        self._size += len(data)

    def close(self) -> None:
        # The system gives the same number to the next file that is opened.
        descriptor, self.descriptor = self.descriptor, -1
        os.close(descriptor)
