"""The clock of this machine."""

import time


class SystemClock:
    """Tells the time of this machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
