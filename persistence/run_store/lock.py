"""The lock of a run, for one master at a time on one machine."""

import fcntl
import os
import socket
import weakref
from pathlib import Path

from elastic.core.errors import RunLockedError, StoreError
from elastic.persistence.durable_file import is_full, read_at, store_error, write_at

#: Maximum length of the owner's name in the file (bytes).
_OWNER_BYTES = 200


class RunLock:
    """An `flock` on `<run>/lock`, held until `release` or until the process ends, however it ends.

    The lock prevents mistakes on one machine. The epoch of the run fences a master on another host, and one that was
    suspended while another master replaced it.

    Raises:
        RunLockedError: Another master has the lock. The message names its process.
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
            owner = _owner(self._file)
            os.close(self._file)
            raise RunLockedError(run_id, owner) from error
        except OSError as error:
            os.close(self._file)
            raise (store_error if is_full(error) else _lock_error)(error, path) from error
        _locks.add(self)

    def release(self) -> None:
        """Unlock the run; a second call does nothing."""
        if self._file < 0:
            return
        # Closing alone would leave it locked while a forked child has the file open.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._forget()

    def _forget(self) -> None:
        """Close the file without unlocking: in a forked child, the lock belongs to the parent."""
        os.close(self._file)
        self._file = -1
        _locks.discard(self)


def _lock_error(error: OSError, path: Path) -> StoreError:
    return StoreError(f"{path} cannot be locked ({error.strerror}); set ELASTIC_HOME to a file system with locks.")


def _owner(file: int) -> str:
    name = read_at(file, _OWNER_BYTES, 0).decode(errors="replace")
    return name if name.isprintable() and name else "another process"


#: Locks that this process has.
_locks: "weakref.WeakSet[RunLock]" = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_locks):
        lock._forget()


# A child of fork without exec shares the lock, and would keep it after the death of its parent.
os.register_at_fork(after_in_child=_forget_in_child)
