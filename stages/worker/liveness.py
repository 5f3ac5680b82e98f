"""Signs of life of the worker processes of a node, left in memory that they share with its station.

The watch: ends this process when user code takes too long.
"""

import contextlib
import faulthandler
import mmap
import os
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from elastic.core.contracts.heartbeat import Heartbeat

_SECONDS = struct.Struct("d")
_PERIOD = 1.0

#: Where Linux shows the files that processes have open.
_OPENED = Path("/proc")


def start_heartbeat() -> str:
    """Leave a sign of life of this process once a second, in a new file; returns its path.

    The file stays open: a worker that is killed before anybody has looked at it must leave no file behind, so the file
    goes now where it can be had by another name (Linux).
    """
    handle, path = tempfile.mkstemp(prefix="elastic-pulse-")
    os.truncate(handle, _SECONDS.size)
    shared = mmap.mmap(handle, _SECONDS.size)
    opened = _OPENED / str(os.getpid()) / "fd" / str(handle)
    if opened.exists():
        Path(path).unlink()
        path = str(opened)
    _beat(shared)
    threading.Thread(target=_beat_for_ever, args=(shared,), name="elastic-pulse", daemon=True).start()
    return path


def _beat_for_ever(shared: mmap.mmap) -> None:
    while True:
        threading.Event().wait(_PERIOD)
        _beat(shared)


def _beat(shared: mmap.mmap) -> None:
    # This clock is the same for all processes of a machine.
    _SECONDS.pack_into(shared, 0, time.monotonic())


@dataclass(slots=True)
class WorkerLiveness:
    """Ends worker processes of this machine that give no sign of life; what follows from that is their actors' end."""

    heartbeat: Heartbeat
    #: process id of each worker, and the memory in which it leaves its signs of life
    _workers: dict[str, tuple[int, mmap.mmap]] = field(default_factory=dict)

    def watch(self, worker_id: str, process_id: int, pulse: str) -> None:
        """Watch a worker from now on; one that has ended already is noticed by the calls that it does not answer."""
        path = Path(pulse)
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            self._workers[worker_id] = (process_id, mmap.mmap(file.fileno(), _SECONDS.size))
        if not path.is_relative_to(_OPENED):
            # Both processes have it open now, and no other process needs its name.
            path.unlink(missing_ok=True)

    def forget(self, worker_id: str) -> None:
        """Watch a worker no more."""
        self._workers.pop(worker_id, None)

    def check(self) -> None:
        """End the workers that are lost."""
        for process_id, shared in self._workers.values():
            (beaten_at,) = _SECONDS.unpack_from(shared)
            if self.heartbeat.is_lost("worker", time.monotonic() - beaten_at):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End this process, after printing where it stands, if the block takes longer; None for no limit.

    The watch is no Python thread, so that it also ends code that never lets go of the interpreter.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
