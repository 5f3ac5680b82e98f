"""Collect: all entries in one list.

Distinct: the set of different entries.

Latest: the last entry, in the order of the source or by a time that entries carry.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from elastic.aggregators.basic.ranking import Max, Ranked
from elastic.aggregators.exact.nan import with_one_nan
from elastic.aggregators.states.validation import read_state
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import pack


class Collect(Aggregator[Any, list[Any], list[Any]]):
    """Lists all entries in the order of the source; they must fit into the master's memory."""

    ordered = True

    def create(self) -> list[Any]:
        return []

    def add(self, state: list[Any], entry: Any) -> list[Any]:
        state.append(entry)
        return state

    def add_many(self, state: list[Any], entries: Iterable[Any]) -> list[Any]:
        state.extend(entries)
        return state

    def merge(self, state: list[Any], other: list[Any]) -> list[Any]:
        state.extend(other)
        return state

    def finish(self, state: list[Any]) -> list[Any]:
        return state.copy()

    def decode(self, data: bytes) -> list[Any]:
        entries: list[Any] = read_state(data, list, self)
        return entries


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
        return set(read_state(data, _is_list_without_repeats, self))


def _is_list_without_repeats(state: object) -> bool:
    try:
        return type(state) is list and len(set(state)) == len(state)
    except TypeError:
        return False


class Latest(Max):
    """The entry that comes last; None when there are no entries.

    Without `by` it is the last entry of the source, which makes this aggregator `ordered`. With `by` it is the entry
    for which `by(entry)` is greatest, for example its time; order does not matter then, and ties are settled as in
    `Max`.

    Raises:
        UsageError: `by` cannot be called.
        UnorderedKeyError: What `by` gives has no order, as with `Max`.
    """

    def __init__(self, by: Callable[[Any], Any] | None = None) -> None:
        super().__init__(by)
        self.ordered = by is None

    def add(self, state: Ranked | None, entry: Any) -> Ranked | None:
        return (None, entry) if self.ordered else super().add(state, entry)

    def add_many(self, state: Ranked | None, entries: Iterable[Any]) -> Ranked | None:
        if not self.ordered:
            return super().add_many(state, entries)
        last = deque(entries, maxlen=1)
        return (None, last[0]) if last else state

    def merge(self, state: Ranked | None, other: Ranked | None) -> Ranked | None:
        if not self.ordered:
            return super().merge(state, other)
        return state if other is None else other
