"""Threads of this process that Python did not start, such as those of Polars, Arrow, Ray and storage clients.

A fork copies the memory, but only the thread that forks. A lock that a native thread held stays locked in the copy, and
a library that passes its work to its threads waits for them forever.
"""

import threading
import time
from pathlib import Path

#: Folder in which Linux lists the threads of a process.
_TASKS = Path("/proc/self/task")

#: Polls, and seconds between them: Linux lists an ending thread for a moment after Python has forgotten it.
_POLLS, _POLL_SECONDS = 5, 0.002


def has_native_threads() -> bool:
    """Return whether this process has threads that Python did not start; true if the system does not list threads."""
    found = _unknown()
    for _ in range(_POLLS):
        if not found:
            return False
        time.sleep(_POLL_SECONDS)
        found &= _unknown()
    return True


def _unknown() -> set[int]:
    try:
        listed = {int(path.name) for path in _TASKS.iterdir()}
    except OSError:
        return {-1}
    return listed - {
        # A native thread that has called into Python has a dummy thread here.
        thread.native_id or 0
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread)
    }
