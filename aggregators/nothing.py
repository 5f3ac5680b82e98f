"""Nothing: no result, only completion."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from elastic.aggregators.saved_state import read_state
from elastic.core.aggregator import Aggregator


class Nothing(Aggregator[Any, None, None]):
    """Aggregates nothing: all entries are processed, completion is tracked, the result is None."""

    def create(self) -> None:
        return None

    def add(self, state: None, entry: Any) -> None:
        return None

    def add_many(self, state: None, entries: Iterable[Any]) -> None:
        deque(entries, maxlen=0)

    def merge(self, state: None, other: None) -> None:
        return None

    def finish(self, state: None) -> None:
        return None

    def decode(self, data: bytes) -> None:
        read_state(data, self, lambda state: state is None)
