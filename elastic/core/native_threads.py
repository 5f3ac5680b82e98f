"""Threads of this process that Python did not start: those of Polars, Arrow, Ray, of clients of stores.

A fork copies memory and only the thread that forks. A lock that a native thread held stays locked in the copy, and
a library that hands its work to its threads waits for them for ever.
"""

import threading
import time
from pathlib import Path

#: Where Linux lists the threads of a process.
_TASKS = Path("/proc/self/task")

#: Looks, and seconds between them: a thread of Python that ends is listed a moment longer than Python knows it.
_LOOKS, _PAUSE = 5, 0.002


def has_native_threads() -> bool:
    """Return whether this process has threads that Python did not start; true where the system does not tell."""
    found = _unknown()
    for _ in range(_LOOKS):
        if not found:
            return False
        time.sleep(_PAUSE)
        found &= _unknown()
    return True


def _unknown() -> set[int]:
    try:
        listed = {int(path.name) for path in _TASKS.iterdir()}
    except OSError:
        return {-1}
    return listed - {
        # A native thread that has called into Python has a stand-in there.
        thread.native_id or 0
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread)
    }
