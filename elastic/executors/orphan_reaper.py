"""Orphan reaper: kills the worker processes that outlive the process of their executor."""

import contextlib
import mmap
import multiprocessing
import os
import select
import signal
import struct
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from elastic.core.parent_death import signal_at_parent_death
from elastic.core.process_stat import read_process_stat

#: Worker process: its id, and its start time, because the kernel reuses ids; zeros in a free slot.
_SLOT = struct.Struct("qq")

#: Seconds between looks at the parent, in case that its death signal is missing.
_WATCH_SECONDS = 30.0

#: File descriptors that the reaper closes, so that it keeps no pipe of its parent open.
_MAX_DESCRIPTORS = 1 << 20


class OrphanReaper:
    """Process that waits for the end of this process, and then sees to the end of its workers.

    The kernel sends SIGTERM to a worker when its executor's process ends, however it ended. The reaper gives the worker
    some seconds for that, and kills it with the processes that it started. It ends as soon as no worker is left.

    Args:
        size: Maximum number of workers.
        grace: Seconds that a worker may take to end.
    """

    def __init__(self, size: int, grace: float) -> None:
        self._slots = mmap.mmap(-1, _SLOT.size * size)
        self._offsets: dict[int, int] = {}
        self._free = [_SLOT.size * number for number in reversed(range(size))]
        context: Any = multiprocessing.get_context("fork")
        args = (self._slots, os.getpid(), grace)
        self._process: BaseProcess = context.Process(target=_watch, args=args, name="elastic-reaper", daemon=True)
        self._process.start()

    def add(self, pid: int) -> None:
        """Watch a worker that has just started."""
        with contextlib.suppress(OSError):
            started = read_process_stat(pid).started
            if self._free:
                offset = self._offsets[pid] = self._free.pop()
                _SLOT.pack_into(self._slots, offset, pid, started)

    def remove(self, pid: int) -> None:
        """Forget a worker that has ended."""
        offset = self._offsets.pop(pid, None)
        if offset is not None:
            _SLOT.pack_into(self._slots, offset, 0, 0)
            self._free.append(offset)

    def stop(self) -> None:
        """End the reaper, after all workers have ended."""
        self._process.kill()
        self._process.join()
        self._process.close()

    @staticmethod
    def is_available() -> bool:
        """Return whether this system has what the reaper needs: Linux."""
        return hasattr(os, "pidfd_open") and Path("/proc/self/stat").exists()


def kill_tree(pid: int) -> None:
    """Kill a process, its group, and the processes below it, which may be in groups of their own."""
    for one in (pid, *_descendants(pid)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)
    kill_group(pid)


def kill_group(pid: int) -> None:
    """Kill the group of a process, which may have ended already, if the process leads one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _descendants(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield child
                yield from _descendants(child)


def _watch(slots: mmap.mmap, parent: int, grace: float) -> None:
    """Wait for the end of the parent, then reap its orphans. The parent started this process with SIGTERM blocked."""
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.closerange(0, _MAX_DESCRIPTORS)
    signal_at_parent_death(signal.SIGTERM)
    while os.getppid() == parent:
        if signal.sigtimedwait({signal.SIGTERM}, _WATCH_SECONDS) and os.getppid() == parent:
            return  # asked to end
    _reap(slots, grace)


def _reap(slots: mmap.mmap, grace: float) -> None:
    deadline = time.monotonic() + grace
    #: ids of the orphans, by the descriptors that become readable at their ends
    orphans: dict[int, int] = {}
    for pid, started in _SLOT.iter_unpack(slots[:]):
        with contextlib.suppress(OSError):
            if pid and read_process_stat(pid).started == started:
                orphans[os.pidfd_open(pid)] = pid
    while orphans and (left := deadline - time.monotonic()) > 0:
        for descriptor in select.select(list(orphans), [], [], left)[0]:
            del orphans[descriptor]
    for pid in orphans.values():
        kill_tree(pid)
