"""Collect: all entries in one list.

Distinct: the set of different entries.

Latest: the last entry, in the order of the source or by a key such as its time.
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
    """Aggregator that lists all entries in the order of the source; they must fit into the master's memory."""

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
    """Aggregator of the set of different entries, exact.

    Entries are hashable plain data. Equal entries are one: of `1`, `1.0` and `True` the result has any one. All NaN of
    a type are one, also inside tuples and frozensets.
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

    def of_words(self) -> Aggregator[Any, Any, Any] | None:
        # Imported here: a flow without frames needs no Polars.
        from elastic.aggregators.frames.word_reduction import WordReduction

        if type(self) is not Distinct:
            return None
        return WordReduction(self, lambda state, words: self.add_many(state, words.unique().to_list()))


def _is_list_without_repeats(state: object) -> bool:
    try:
        return type(state) is list and len(set(state)) == len(state)
    except TypeError:
        return False


class Latest(Max):
    """Aggregator of the last entry; None without entries.

    Without `by` it is the last entry of the source, and the aggregator is `ordered`. With `by` it is the entry with the
    largest `by(entry)`, for example its time. The order of entries does not matter then, and ties are resolved as in
    `Max`.

    Raises:
        UsageError: `by` is not callable.
        UnorderedKeyError: A value of `by` has no order, as with `Max`.
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
