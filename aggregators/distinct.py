"""Distinct: the set of different entries."""

from collections.abc import Hashable, Iterable

from elastic.aggregators.nan import with_one_nan
from elastic.aggregators.saved_state import read_state
from elastic.core.aggregator import Aggregator
from elastic.core.encoding import pack


class Distinct(Aggregator[Hashable, set[Hashable], set[Hashable]]):
    """Gathers the different entries in a set, exactly.

    Entries are hashable plain data. Entries that are equal are one (`1`, `1.0` and `True`, and which of them is shown
    is not said); all NaN of a type are one, inside tuples and frozensets too.
    """

    def create(self) -> set[Hashable]:
        return set()

    def add(self, state: set[Hashable], entry: Hashable) -> set[Hashable]:
        state.add(entry)
        return state

    def add_many(self, state: set[Hashable], entries: Iterable[Hashable]) -> set[Hashable]:
        state.update(entries)
        return state

    def merge(self, state: set[Hashable], other: set[Hashable]) -> set[Hashable]:
        if len(state) < len(other):
            state, other = other, state
        state |= other
        return state

    def finish(self, state: set[Hashable]) -> set[Hashable]:
        return set(with_one_nan(state))

    def encode(self, state: set[Hashable]) -> bytes:
        return pack(list(self.finish(state)))

    def decode(self, data: bytes) -> set[Hashable]:
        return set(read_state(data, self, _fits))


def _fits(state: object) -> bool:
    try:
        return type(state) is list and len(set(state)) == len(state)
    except TypeError:
        return False
