"""Request rates of API tokens: a token bucket for each, in the memory of this process."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

#: Requests a second that a token may send for long, and requests that it may send at once.
RATE, BURST = 20.0, 40.0
#: Maximum number of buckets in memory; the one that was used longest ago is full again by then.
_MAX_KEPT = 10_000


class RequestRates:
    """Token buckets by id of an API token.

    Args:
        clock: Returns seconds that never go back.
        rate: Requests a second.
        burst: Requests at once.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, rate: float = RATE, burst: float = BURST
    ) -> None:
        self._clock, self._rate, self._burst = clock, rate, burst
        self._lock = threading.Lock()
        #: remaining requests, and when they were counted
        self._kept: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def take(self, token_id: int) -> float:
        """Count a request of a token; return the seconds after which it may send another one, 0 if it may send this."""
        with self._lock:
            at = self._clock()
            left, since = self._kept.get(token_id, (self._burst, at))
            left = min(self._burst, left + (at - since) * self._rate)
            wait = 0.0 if left >= 1 else (1 - left) / self._rate
            self._kept[token_id] = (left - 1 if left >= 1 else left, at)
            self._kept.move_to_end(token_id)
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
            return wait
