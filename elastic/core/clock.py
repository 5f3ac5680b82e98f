"""Where time comes from: passed in, so that whoever decides can be tested without waiting.

The clock of this machine.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time; the one of this machine is in `elastic.core.clock`."""

    def now(self) -> float:
        """Return seconds since 1970: for people and receipts."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only go forward: for intervals and deadlines."""
        ...


class SystemClock:
    """Tells the time of this machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
