"""Sum: exact, so that the order of entries cannot show in the last digits."""

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

from elastic.aggregators.batch import batches
from elastic.aggregators.total import Total
from elastic.core.aggregator import Aggregator
from elastic.core.encoding import pack, unpack


class Sum(Aggregator[Any, Total, Any]):
    """Adds numbers exactly and rounds once, at the end.

    Integers (bool counts as 0 and 1) give an int, floats (alone or with integers or Fractions) the float nearest to
    the exact sum, Decimals a Decimal with all its digits, Fractions a Fraction; no entries give 0. A float sum
    beyond the largest float is infinite; NaN gives NaN, and so do two infinities of different sign.

    Raises:
        UsageError: An entry is no such number, or Decimals are mixed with floats or Fractions.
    """

    def create(self) -> Total:
        return Total()

    def add(self, state: Total, entry: Any) -> Total:
        state.add([entry])
        return state

    def add_many(self, state: Total, entries: Iterable[Any]) -> Total:
        for batch in batches(entries):
            state.add(batch)
        return state

    def merge(self, state: Total, other: Total) -> Total:
        state.merge(other)
        return state

    def undo(self, state: Total, other: Total) -> Callable[[], Total]:
        before = copy(state)
        return lambda: before

    def finish(self, state: Total) -> Any:
        return state.result

    def encode(self, state: Total) -> bytes:
        return pack(state.plain)

    def decode(self, data: bytes) -> Total:
        return Total.of(unpack(data))
