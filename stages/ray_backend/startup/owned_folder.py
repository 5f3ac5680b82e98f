"""Temporary folders that end with the process that made them; later processes remove the folders of killed ones."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

_PREFIX = "elastic-"

#: Lock file in such a folder. The kernel releases the lock however the process ends.
_OWNER = "owner"

#: Open lock file of each folder of this process.
_lock_handles: dict[Path, int] = {}


def make_owned_folder() -> Path:
    """Create a folder that only this user can read, and remove the folders of killed processes.

    The path is short because Ray and database servers create sockets below it, and the path of a socket has at most
    about 107 characters.
    """
    remove_abandoned_folders()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    unlocked = folder / f"{_OWNER}.new"
    handle = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    # Lock the file before it gets the name by which other processes find it.
    unlocked.rename(folder / _OWNER)
    _lock_handles[folder] = handle
    return folder


def remove_owned_folder(folder: Path) -> None:
    """Remove a folder of this process. Ignore any other folder, so also in a fork of the process."""
    handle = _lock_handles.pop(folder, None)
    if handle is not None:
        _remove(folder)
        os.close(handle)


def remove_abandoned_folders() -> None:
    """Remove this user's folders whose processes ended without removing them."""
    for owner in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError):
            handle = os.open(owner, os.O_RDWR | os.O_NOFOLLOW)
            try:
                facts = os.fstat(handle)
                if facts.st_uid == os.geteuid() and stat.S_ISREG(facts.st_mode):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(owner.parent)
            finally:
                os.close(handle)


def _remove(folder: Path) -> None:
    """Remove a folder, its lock file last: if that fails, the next process tries again."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _OWNER:
                path.unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [_OWNER]:
            shutil.rmtree(folder, ignore_errors=True)


def _leave_to_parent() -> None:
    # The parent keeps the lock: closing this copy of the handle does not release it.
    while _lock_handles:
        os.close(_lock_handles.popitem()[1])


os.register_at_fork(after_in_child=_leave_to_parent)
