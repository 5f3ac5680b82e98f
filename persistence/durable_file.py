"""Files and folders that survive a crash: private to their owner, opened through no link, synced with their folder."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from elastic.core.errors import StoreError, StoreFullError

#: Error numbers of a full disk, an exhausted quota and an exceeded limit on file sizes.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

#: Error numbers of file systems without hard links.
_WITHOUT_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EXDEV})

#: Random bytes in the hidden name of an incomplete file.
_TOKEN_BYTES = 4

#: Flush a file's data, and the part of its inode that reading needs.
sync_file: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def make_folder(path: Path, *, is_durable: bool = True) -> None:
    """Create a folder and its missing parents with mode 0700.

    If `is_durable`, sync the name of each new folder into its parent.
    """
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


def create_file(path: Path, mode: int = 0o600) -> int:
    """Return the descriptor of a new file; the process's umask removes permission bits of `mode`.

    Raises:
        FileExistsError: The name is in use, possibly by a dangling link.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def open_file(path: Path) -> int:
    """Return the descriptor of an existing regular file, for reading.

    Raises:
        OSError: The file is missing, or the name belongs to a link, a pipe or a device.
    """
    # Without O_NONBLOCK, opening a pipe of this name would block for ever.
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, in one call unless the system writes less."""
    remaining = memoryview(data)
    while remaining:
        written = os.pwrite(file, remaining, offset)
        remaining, offset = remaining[written:], offset + written


def read_at(file: int, length: int, offset: int) -> bytes:
    """Return `length` bytes at `offset`, or fewer if the file ends before."""
    parts: list[bytes] = []
    while length > 0 and (part := os.pread(file, length, offset)):
        parts.append(part)
        length, offset = length - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def replacing(
    path: Path, *, mode: int = 0o600, is_durable: bool = True, beside: Path | None = None
) -> Iterator[BinaryIO]:
    """Yield a new file that takes the name `path` when the block ends, and that vanishes when the block raises.

    A reader of `path` sees the old content or the new one, never a part. After a crash the same holds if `is_durable`:
    the content is synced before the name changes, and the name is synced before this returns.

    Args:
        path: Name of the file to create or replace.
        mode: Permission bits of the new file, less those of the process's umask.
        is_durable: Sync the file and its folder.
        beside: Name of the file while it is incomplete, in the same folder. A file that a killed process left under
            this name is removed. By default the name is hidden and random.

    Raises:
        OSError: The file cannot be written.
    """
    if beside is None:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.new")
    else:
        beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if is_durable:
                sync_file(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    if is_durable:
        sync_folder(path.parent)


def create_whole(path: Path, data: bytes, *, mode: int = 0o600) -> bool:
    """Create a durable file with its content at once; return False if its name is in use.

    On a file system without hard links, a crash may leave the file without its content.

    Raises:
        OSError: The file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.new")
    try:
        _write_new(beside, data, mode)
        try:
            os.link(beside, path, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _WITHOUT_LINKS:
                raise
            try:
                _write_new(path, data, mode)
            except FileExistsError:
                return False
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def _write_new(path: Path, data: bytes, mode: int) -> None:
    file = create_file(path, mode)
    try:
        write_at(file, data, 0)
        sync_file(file)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(file)


def is_unfinished(name: str, target: str) -> bool:
    """Return whether a file has the hidden name of a new file `target` that is incomplete."""
    return re.fullmatch(rf"\.{re.escape(target)}\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}\.new", name) is not None


def is_full(error: OSError) -> bool:
    """Return whether an error means that the disk, the quota or the file size limit is exhausted."""
    return error.errno in _FULL


def store_error(error: OSError, path: Path) -> StoreError:
    """Return the StoreError to raise for a system error about `path`."""
    if is_full(error):
        return StoreFullError(f"{path} cannot be written ({error.strerror}); free some space and try again.")
    return StoreError(f"{path} cannot be used ({error.strerror}); check the disk and the permissions of the file.")
