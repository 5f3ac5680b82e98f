"""Exponential back-off: the delay before each retry."""

import math
from dataclasses import dataclass
from hashlib import blake2b

#: Maximum exponent: 2 ** 60 seconds exceeds every limit, and a much larger power does not fit into a float.
_MAX_EXPONENT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Policy of delays that grow by a constant factor."""

    #: Seconds before the first retry.
    first: float
    #: Growth from one delay to the next; 1 for a constant delay.
    factor: float = 2.0
    #: Maximum seconds of a delay.
    longest: float = math.inf
    #: Part by which a delay may be shorter or longer, from 0 to 1.
    jitter: float = 0.0

    def delay(self, attempt: int, seed: str = "") -> float:
        """Return the seconds before a retry.

        Args:
            attempt: Number of the retry, from 1.
            seed: Selects the jitter: equal seeds give equal delays, in every process.
        """
        seconds = self.first * self.factor ** min(attempt - 1, _MAX_EXPONENT)
        if self.jitter:
            seconds *= 1 + self.jitter * (2 * _share(seed) - 1)
        return min(seconds, self.longest)


def _share(seed: str) -> float:
    """Return a pseudo-random number from 0 to 1 that depends on the seed only."""
    digest = blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
