"""Histogram: counts entries between given edges."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise, repeat
from operator import add, ne
from typing import Any

from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import is_count, read_state
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.errors import UsageError


class Histogram(Aggregator[Any, list[int], dict[str, Any]]):
    """Aggregator that counts entries between edges, exact in any order.

    The result is a dict: `edges` (floats), `counts` (one fewer than edges), `below`, `above` and `nan`. A bin contains
    its left edge, but not its right edge; the last bin contains both.

    Args:
        edges: At least two finite numbers in ascending order.

    Raises:
        UsageError: The edges are invalid.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = _valid_edges(edges)
        # The last border is just above the last edge, because that edge belongs to the last bin.
        self._borders = (*self.edges[:-1], math.nextafter(self.edges[-1], math.inf))

    def create(self) -> list[int]:
        """Return counts: below, each bin, above, NaN."""
        return [0] * (len(self.edges) + 2)

    def add(self, state: list[int], entry: Any) -> list[int]:
        return self.add_many(state, (entry,))

    def add_many(self, state: list[int], entries: Iterable[Any]) -> list[int]:
        for batch in batches(entries):
            for index, count in Counter(map(bisect_right, repeat(self._borders), batch)).items():
                state[index] += count
            # NaN is not less than any edge, so bisect counted it as above.
            nans = sum(map(ne, batch, batch))
            state[-2] -= nans
            state[-1] += nans
        return state

    def merge(self, state: list[int], other: list[int]) -> list[int]:
        return list(map(add, state, other))

    def finish(self, state: list[int]) -> dict[str, Any]:
        below, *counts, above, nan = state
        return {"edges": list(self.edges), "counts": counts, "below": below, "above": above, "nan": nan}

    def decode(self, data: bytes) -> list[int]:
        counts: list[int] = read_state(data, [is_count] * (len(self.edges) + 2), self)
        return counts

    def __str__(self) -> str:
        return f"Histogram({len(self.edges) - 1} bins)"


def _valid_edges(edges: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, edges))
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"Histogram got the edges {edges!r}; pass numbers, such as [0, 10, 20]") from error
    is_ascending = all(left < right for left, right in pairwise(numbers))
    if len(numbers) < 2 or not is_ascending or not all(map(math.isfinite, numbers)):
        raise UsageError(f"Histogram got the edges {edges!r}; pass at least two finite numbers in ascending order")
    return numbers
