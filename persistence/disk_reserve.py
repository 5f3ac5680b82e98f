"""Reserved disk space, released when the disk is full so that the commits of a run still fit."""

import contextlib
import os
from pathlib import Path

from elastic.persistence.durable_file import create_file

#: Reserved bytes: more than a few commits need.
RESERVE_BYTES = 4 << 20

#: Free space that an acquisition requires, as a multiple of `RESERVE_BYTES`.
_MIN_FREE_SHARE = 4


class DiskReserve:
    """File of zeros beside the file of a run, whose blocks are the reserve.

    Args:
        path: Name of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_acquired = False

    def acquire(self) -> None:
        """Reserve the space, unless it is reserved already or the disk is nearly full. Never raises OSError."""
        if self._is_acquired:
            return
        with contextlib.suppress(OSError):
            system = os.statvfs(self._path.parent)
            if system.f_bavail * system.f_frsize < _MIN_FREE_SHARE * RESERVE_BYTES:
                return
            self._path.unlink(missing_ok=True)  # a killed process may have left one
            file = create_file(self._path)
            self._is_acquired = True
            try:
                os.posix_fallocate(file, 0, RESERVE_BYTES)
            finally:
                os.close(file)

    def release(self) -> None:
        """Free the space."""
        self._is_acquired = False
        with contextlib.suppress(OSError):
            self._path.unlink()
