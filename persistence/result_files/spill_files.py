"""A depot in a folder of the run, for all processes that see it."""

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

#: A file that is appended to is not made longer than this.
_FILE_BYTES = 256 << 20

_RANDOM_BYTES = 8

#: What the files are called: kind, epoch of the master, random number.
_NAME = re.compile(r"(piece|result)-(\d+)-[0-9a-f]{16}")

_NAMED_BY_EPOCH = re.compile(r"(?:mark-|manifest-)(\d+)(?:\.json)?")


class FileDepot(SpillStore):
    """Files in one folder. Each process appends to files of its own, so none waits for another.

    Args:
        folder: The folder.
        epoch: Of the master whose workers write.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self.folder, self.epoch = folder, epoch
        #: what a process finds in the folder if it is the same one
        self._mark = secrets.token_hex(_RANDOM_BYTES)
        self._forget()

    def _forget(self) -> None:
        self._seen: bool | None = None
        self._failure: StoreError | None = None
        #: the file that is appended to, its name, its length, and the process that made it
        self._file, self._name, self._size, self._owner = -1, "", 0, 0

    def prepare(self) -> None:
        """Make the folder, before anybody is sent here.

        Raises:
            StoreError: It cannot be made.
        """
        path = self.folder / f"mark-{self.epoch}"
        try:
            make_folder(self.folder)
            path.touch(mode=0o600)
            path.write_text(self._mark)
        except OSError as error:
            raise store_error(error, path) from error
        self._seen = True

    def unmark(self) -> None:
        """Leave nothing but files that somebody has named, when all is done."""
        (self.folder / f"mark-{self.epoch}").unlink(missing_ok=True)

    @property
    def writable(self) -> bool:
        return self.readable

    @property
    def readable(self) -> bool:
        if self._seen is None:
            try:
                self._seen = (self.folder / f"mark-{self.epoch}").read_text() == self._mark
            except OSError:
                self._seen = False
        return self._seen

    def append(self, data: bytes) -> tuple[str, int]:
        if self._failure is not None:
            raise self._failure
        try:
            if self._owner != os.getpid() or self._size + len(data) > _FILE_BYTES:
                self._begin()
            start = self._size
            write_at(self._file, data, start)
            self._size += len(data)
        except OSError as error:
            raise self._fail(error) from error
        return self._name, start

    def settle(self) -> None:
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
            raise CorruptStoreError(f"{path} cannot be read ({error.strerror}); put back a good copy of it.") from error
        try:
            data = read_at(file, size, start)
        except OSError as error:
            raise store_error(error, path) from error
        finally:
            os.close(file)
        if len(data) < size:
            raise CorruptStoreError(f"{path} ends at byte {start + len(data)}; put back a good copy of it.")
        return data

    @contextmanager
    def create(self, kind: str) -> "Iterator[GrowingFile]":
        name = self._new_name(kind)
        path = self.folder / name
        try:
            growing = GrowingFile(name, create_file(path))
            try:
                yield growing
                sync_file(growing.file)
            except BaseException:
                with suppress(OSError):
                    path.unlink()
                raise
            finally:
                growing.close()
            sync_folder(self.folder)
        except StoreError:
            raise  # also where it is an OSError, which is about another file then
        except OSError as error:
            raise store_error(error, path) from error

    def write(self, name: str, data: bytes) -> None:
        """Keep a whole file under a name of its own; it is there as it should be, or not at all.

        Raises:
            StoreError: It cannot be written.
        """
        path = self.folder / name
        try:
            with replacing(path, beside=self.folder / self._new_name("result")) as file:
                file.write(data)
        except OSError as error:
            raise store_error(error, path) from error

    def place(self, name: str) -> str:
        return str(self.folder / name)

    def close(self) -> None:
        if self._owner == os.getpid():
            os.close(self._file)
        self._owner = 0

    def path(self, name: str) -> Path:
        """Return where a file lies.

        Raises:
            CorruptStoreError: No file here has such a name.
        """
        if not _NAME.fullmatch(name):
            raise CorruptStoreError(f"{name!r} is not the name of a file in {self.folder}.")
        return self.folder / name

    def clean(self, used: set[str]) -> None:
        """Remove what this master and those before it have left, besides files that are used, and its own manifest."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                found = _NAME.fullmatch(path.name)
                # Those of later masters are not known to this one, which may have been frozen.
                older = _NAMED_BY_EPOCH.fullmatch(path.name)
                is_unused = found and int(found[2]) <= self.epoch and path.name not in used
                if is_unused or (older and int(older[1]) < self.epoch):
                    path.unlink(missing_ok=True)

    def _fail(self, error: OSError) -> StoreError:
        """Refuse all further use: what was appended before may be named, and not be on the disk."""
        self._failure = store_error(error, self.folder / self._name)
        return self._failure

    def _begin(self) -> None:
        """Begin a new file; one of a process from which this one was forked is that one's."""
        self.settle()
        self.close()
        self._name = self._new_name("piece")
        self._file, self._size = create_file(self.folder / self._name), 0
        sync_folder(self.folder)
        self._owner = os.getpid()

    def _new_name(self, kind: str) -> str:
        if not self.writable:
            raise StoreError(f"{self.folder} is not the folder of the run here.")
        return f"{kind}-{self.epoch}-{secrets.token_hex(_RANDOM_BYTES)}"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "epoch": self.epoch, "_mark": self._mark}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


class GrowingFile:
    """A file that is written from its beginning to its end."""

    def __init__(self, name: str, file: int) -> None:
        self.name, self.file = name, file
        self._size = 0

    def write(self, data: bytes) -> None:
        """Write at the end.

        Raises:
            OSError: It cannot be written, or is closed.
        """
        write_at(self.file, data, self._size)
        self._size += len(data)

    def close(self) -> None:
        # The next file that somebody opens has the same number.
        file, self.file = self.file, -1
        os.close(file)
