"""Clocks: the source of time, passed in so that tests of decisions need not wait."""

import time
from typing import Protocol


class Clock(Protocol):
    """Source of the time."""

    def now(self) -> float:
        """Return seconds since 1970, for people and receipts."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backward, for intervals and deadlines."""
        ...


class SystemClock:
    """Clock of this machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
