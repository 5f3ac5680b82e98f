"""Ballast: room that a run sets aside, and gives up when the disk is full so that its commits still fit."""

import contextlib
import os
from pathlib import Path

from elastic.persistence.durable_file import create_file

#: Bytes that are set aside: more than a few commits take.
BALLAST_BYTES = 4 << 20

#: It is set aside again when so many times as much is free.
_PLENTY = 4


class DiskReserve:
    """A file without meaning, beside the file of a run.

    Args:
        path: Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_held = False

    def hold(self) -> None:
        """Set room aside, if it is not and if there is plenty; a disk that has none is no error here."""
        if self._is_held:
            return
        with contextlib.suppress(OSError):
            system = os.statvfs(self._path.parent)
            if system.f_bavail * system.f_frsize < _PLENTY * BALLAST_BYTES:
                return
            self._path.unlink(missing_ok=True)  # a process that was killed may have left one
            file = create_file(self._path)
            self._is_held = True
            try:
                os.posix_fallocate(file, 0, BALLAST_BYTES)
            finally:
                os.close(file)

    def give_up(self) -> None:
        """Free the room."""
        self._is_held = False
        with contextlib.suppress(OSError):
            self._path.unlink()
