"""Temporary folders that go with the process that made them; the next process removes those of killed ones."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

_PREFIX = "elastic-"

#: The file in such a folder that its process keeps locked: the kernel lets go of the lock however the process ends.
_OWNER = "owner"

#: The folders of this process, and the open file of each.
_held: dict[Path, int] = {}


def make_owned_folder() -> Path:
    """Make a folder that only this user can read, and remove those whose processes were killed.

    Its path is short because Ray and database servers put sockets below it, and the path of a socket may have about
    107 characters.
    """
    remove_abandoned_folders()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    unlocked = folder / f"{_OWNER}.new"
    handle = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    # Nobody may find it before it is locked.
    unlocked.rename(folder / _OWNER)
    _held[folder] = handle
    return folder


def remove_owned_folder(folder: Path) -> None:
    """Remove a folder of this process; does nothing for any other, so also not in a fork of its process."""
    handle = _held.pop(folder, None)
    if handle is not None:
        _remove(folder)
        os.close(handle)


def remove_abandoned_folders() -> None:
    """Remove the folders of this user whose processes have ended without doing so."""
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
    """Remove a folder, the file of its owner last: where something resists, the next process tries again."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _OWNER:
                path.unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [_OWNER]:
            shutil.rmtree(folder, ignore_errors=True)


def _leave_to_parent() -> None:
    # The lock stays with the parent: closing this copy does not release it.
    while _held:
        os.close(_held.popitem()[1])


os.register_at_fork(after_in_child=_leave_to_parent)
