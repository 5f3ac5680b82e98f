"""Contract of target folders: where the files of a write are stored."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, BinaryIO, Protocol

from elastic.core.contracts.sink import MANIFEST, MARKER, STAGING, SUCCESS
from elastic.core.errors import StoreError

#: Names in a folder that are no data.
MARKS = frozenset({MANIFEST, MARKER, STAGING, SUCCESS})

#: Name of an attempt: first chunk, number of the file, tag of the step, random part.
_ATTEMPT = re.compile(r"(?:.*/)?part-\d{10,}-[0-9a-f]{8}([0-9a-f]{8})[0-9a-f]{12}\.[^/]*")


#: Bytes that are read at a time.
_BLOCK_BYTES = 1 << 20


def is_attempt(name: str, tags: Collection[str]) -> bool:
    """Return whether a file has the name of an attempt of a step with one of these tags."""
    found = _ATTEMPT.fullmatch(name)
    return found is not None and found[1] in tags


def is_plain_name(name: Any) -> bool:
    """Return whether a value, which may come from outside, names a file in a folder and not a path."""
    is_text = isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\0"}.intersection(name)
    return is_text and not any("\ud800" <= character <= "\udfff" for character in name)


def is_data_name(name: Any) -> bool:
    """Return whether a value, which may come from outside, names a file of data below the target folder."""
    parts = name.split("/") if isinstance(name, str) else [""]
    return all(map(is_plain_name, parts)) and parts[0] not in MARKS


def check_removable(name: str, shown: str) -> None:
    """Check the name of a file before it is removed from a target folder.

    Raises:
        StoreError: The file is not in that folder.
    """
    if name not in MARKS and not is_data_name(name):
        raise StoreError(f"{name!r} is no file of {shown!r}, and was not removed; check the {MANIFEST} of that folder.")


def digest_of(file: BinaryIO) -> tuple[int, str]:
    """Return the bytes and the SHA-256 of an open file."""
    hasher, size = hashlib.sha256(), 0
    while block := file.read(_BLOCK_BYTES):
        hasher.update(block)
        size += len(block)
    return size, hasher.hexdigest()


class TargetFile(Protocol):
    """New file of a target folder."""

    def write(self, data: bytes) -> None:
        """Append data. Raises StoreError."""

    def close(self) -> None:
        """Complete the file, which has then reached the disk or the store. Raises StoreError."""


class TargetFolder(ABC):
    """Folder of a write, at a local path or behind a URL.

    Workers create *attempts*: files that readers do not see, or that nothing lists. Names are relative, with `/`. Every
    method raises StoreError if the folder fails; the message names it without secrets.
    """

    #: Path or URL for people, without secrets.
    shown: str

    # -- on workers

    @abstractmethod
    def is_reachable(self) -> bool:
        """Return whether this process sees the folder of the run's master."""

    @abstractmethod
    def create(self, name: str) -> TargetFile:
        """Return a new attempt."""

    # -- on the master

    @abstractmethod
    def foreign(self, tags: Collection[str]) -> str:
        """Return the name of a file or folder in it that is no mark of a write; empty if there is none.

        Args:
            tags: Attempts of these steps do not count.

        Raises:
            UsageError: It is a file, or cannot be read.
        """

    @abstractmethod
    def make(self) -> None:
        """Create the folder, and the one for attempts."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if it does not exist."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Create or replace a file, whole or not at all."""

    @abstractmethod
    def put_new(self, name: str, data: bytes) -> bool:
        """Create a file; return False if it exists already."""

    @abstractmethod
    def remove(self, names: Collection[str]) -> None:
        """Remove files, and their folders if these become empty. Missing files are ignored.

        Raises:
            StoreError: A file cannot be removed, or is not below this folder.
        """

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the bytes of a complete attempt, revealed or not; None if it does not exist."""

    @abstractmethod
    def files(self) -> set[str]:
        """Return the names of all files in the folder and below that are no marks of a write."""

    @abstractmethod
    def digest(self, name: str) -> tuple[int, str] | None:
        """Return the bytes and the SHA-256 of a file; None if it does not exist."""

    @abstractmethod
    def reveal(self, names: Collection[str]) -> None:
        """Give attempts their names. Attempts that have theirs already are ignored."""

    @abstractmethod
    def hide(self, kept: Collection[str]) -> None:
        """Take the names of the step's attempts from them again, except in `kept`, if the folder can hide attempts."""

    @abstractmethod
    def sweep(self, kept: Collection[str]) -> None:
        """Remove all attempts of the run's step except those in `kept`, and all files that it hid."""

    @abstractmethod
    def discard(self) -> None:
        """Remove all attempts of the step, and the folder if `make` created it and it is empty."""
