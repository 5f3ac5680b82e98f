"""Liveness of the worker processes of a node: heartbeats in memory that each worker shares with its station."""

import contextlib
import mmap
import os
import signal
import struct
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from elastic.core.contracts.heartbeat import Heartbeat

_TIMESTAMP = struct.Struct("d")
_HEARTBEAT_SECONDS = 1.0

#: Linux lists the open files of processes here.
_PROC = Path("/proc")


def start_heartbeat() -> str:
    """Start a thread that records a heartbeat every second in a new file; return the path of the file.

    A worker that is killed early must not leave a file behind. So on Linux the file is unlinked at once, and the path
    names the open file below `/proc`.
    """
    handle, path = tempfile.mkstemp(prefix="elastic-heartbeat-")
    os.truncate(handle, _TIMESTAMP.size)
    shared = mmap.mmap(handle, _TIMESTAMP.size)
    opened = _PROC / str(os.getpid()) / "fd" / str(handle)
    if opened.exists():
        Path(path).unlink()
        path = str(opened)
    _beat(shared)
    threading.Thread(target=_beat_until_exit, args=(shared,), name="elastic-heartbeat", daemon=True).start()
    return path


def _beat_until_exit(shared: mmap.mmap) -> None:
    while True:
        threading.Event().wait(_HEARTBEAT_SECONDS)
        _beat(shared)


def _beat(shared: mmap.mmap) -> None:
    # On one machine, all processes see the same monotonic clock.
    _TIMESTAMP.pack_into(shared, 0, time.monotonic())


@dataclass(slots=True)
class WorkerLiveness:
    """Kills worker processes on this machine whose heartbeat stopped; their Ray actors then report the death."""

    heartbeat: Heartbeat
    #: Process id and heartbeat memory of each worker.
    _workers: dict[str, tuple[int, mmap.mmap]] = field(default_factory=dict)

    def watch(self, worker_id: str, process_id: int, heartbeat_file: str) -> None:
        """Begin to watch a worker. If it has already ended, its unanswered calls reveal that."""
        path = Path(heartbeat_file)
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            self._workers[worker_id] = (process_id, mmap.mmap(file.fileno(), _TIMESTAMP.size))
        if not path.is_relative_to(_PROC):
            # Both processes have opened the file, and no other process needs its name.
            path.unlink(missing_ok=True)

    def forget(self, worker_id: str) -> None:
        """Stop watching a worker."""
        self._workers.pop(worker_id, None)

    def check(self) -> None:
        """Kill the workers whose heartbeat stopped."""
        for process_id, shared in self._workers.values():
            (beaten_at,) = _TIMESTAMP.unpack_from(shared)
            if self.heartbeat.is_lost("worker", time.monotonic() - beaten_at):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
