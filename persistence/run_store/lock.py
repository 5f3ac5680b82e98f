"""The lock of a run: one master at a time on one machine."""

import fcntl
import os
import socket
import weakref
from pathlib import Path

from elastic.core.errors import RunLockedError, StoreError
from elastic.persistence.durable_file import is_full, read_at, store_error, write_at

_HOLDER_BYTES = 200


class RunLock:
    """An `flock` on `<run>/lock`, held until `release` or until the process ends, however it ends.

    It stops honest mistakes on one machine. A master on another host, or one that slept through its own
    replacement, is stopped by the epoch.

    Raises:
        RunLockedError: Another master holds it; names that process.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        path = folder / "lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise store_error(error, path) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, 0)
            write_at(self._file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except BlockingIOError as error:
            holder = _holder(self._file)
            os.close(self._file)
            raise RunLockedError(run_id, holder) from error
        except OSError as error:
            os.close(self._file)
            raise (store_error if is_full(error) else _lock_error)(error, path) from error
        _held.add(self)

    def release(self) -> None:
        """Let another master in; releasing twice is the same as once."""
        if self._file < 0:
            return
        # Closing alone would leave it locked while a child that was forked still has the file.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._forget()

    def _forget(self) -> None:
        """Close the file without unlocking: in a forked child the lock is still the parent's."""
        os.close(self._file)
        self._file = -1
        _held.discard(self)


def _lock_error(error: OSError, path: Path) -> StoreError:
    return StoreError(f"{path} cannot be locked ({error.strerror}); keep runs on a file system that has locks.")


def _holder(file: int) -> str:
    text = read_at(file, _HOLDER_BYTES, 0).decode(errors="replace")
    return text if text.isprintable() and text else "another process"


_held: "weakref.WeakSet[RunLock]" = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_held):
        lock._forget()


# A child made by fork without exec shares the lock, and would keep it after its parent's death.
os.register_at_fork(after_in_child=_forget_in_child)
