"""Files and folders that survive a crash: private to their owner, never through a link, synced with their folder."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from elastic.core.errors import StoreError, StoreFullError

#: What the system says when there is no room: disk, quota, or a limit on the size of files.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

#: Flush a file's data, and as much of its inode as is needed to read them again.
sync_file: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def make_folder(path: Path, *, is_durable: bool = True) -> None:
    """Create a folder and its missing parents, all of mode 0700, each synced into the one above it if it is durable."""
    if path.is_dir():
        return
    make_folder(path.parent, is_durable=is_durable)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
    if is_durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def create_file(path: Path) -> int:
    """Return the descriptor of a new file of mode 0600.

    Raises:
        FileExistsError: Something has this name already, be it a link that leads nowhere.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def open_file(path: Path) -> int:
    """Return the descriptor of an existing regular file, for reading.

    Raises:
        OSError: There is none, or the name is a link, a pipe or a device.
    """
    # Without O_NONBLOCK a pipe with this name would hold the process for ever.
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, with one call unless the system takes less."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written


def read_at(file: int, length: int, offset: int) -> bytes:
    """Return `length` bytes at `offset`, or fewer where the file ends."""
    parts: list[bytes] = []
    while length > 0 and (part := os.pread(file, length, offset)):
        parts.append(part)
        length, offset = length - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def is_full(error: OSError) -> bool:
    """Tell whether an error says that there is no room."""
    return error.errno in _FULL


def store_error(error: OSError, path: Path) -> StoreError:
    """Return the error to raise for what the system said about `path`."""
    if is_full(error):
        return StoreFullError(f"{path} cannot be written ({error.strerror}); make room and try again.")
    return StoreError(f"{path} cannot be used ({error.strerror}); check the disk and the rights of the file.")
