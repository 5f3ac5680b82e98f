"""Size: how many entries there are."""

from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Any

from elastic.aggregators.saved_state import is_count, read_state
from elastic.core.aggregator import Aggregator


class Size(Aggregator[Any, int, int]):
    """Counts entries, whatever they are."""

    def create(self) -> int:
        return 0

    def add(self, state: int, entry: Any) -> int:
        return state + 1

    def add_many(self, state: int, entries: Iterable[Any]) -> int:
        counter = count(state)
        # The entry is drawn first: at the end of the entries the counter has not moved on.
        deque(zip(entries, counter, strict=False), maxlen=0)
        return next(counter)

    def merge(self, state: int, other: int) -> int:
        return state + other

    def finish(self, state: int) -> int:
        return state

    def decode(self, data: bytes) -> int:
        number: int = read_state(data, self, is_count)
        return number
