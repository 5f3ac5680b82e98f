"""SumByKey: an exact sum for each key."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import reduce
from typing import Any

from elastic.aggregators.exact.exact_add import add_decoded, add_integers, from_plain, to_plain, undo_fold, with_results
from elastic.aggregators.exact.exact_sum import ExactSum
from elastic.aggregators.exact.nan import joined_by_nan
from elastic.aggregators.keyed.pair import check_pairs, pairs_of
from elastic.aggregators.states.columns import pack_columns, unpack_columns
from elastic.aggregators.states.validation import read_mapping
from elastic.core.contracts.keyed_aggregator import KeyedAggregator
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError

_INT = {int}

#: The value of a key is an int as long as all its numbers are, and then an ExactSum.
Sums = dict[Hashable, Any]


class SumByKey(KeyedAggregator[tuple[Hashable, Any], Sums, Sums]):
    """Aggregator of exact sums by key, with the rules of `Sum`; entries are pairs `(key, number)`.

    `GroupBy(Sum())` runs as this class, which stores an integer for each key instead of an aggregator's state. All NaN
    of a type are one key, also inside tuples and frozensets.

    Raises:
        UsageError: An entry is not a pair, or `Sum` cannot add its number.
    """

    def create(self) -> Sums:
        return {}

    def add(self, state: Sums, entry: tuple[Hashable, Any]) -> Sums:
        check_pairs([entry], str(self))
        key, number = entry
        state[key] = self.merge_values(state.get(key, 0), number)
        return state

    def add_many(self, state: Sums, entries: Iterable[tuple[Hashable, Any]]) -> Sums:
        get, join = state.get, self.merge_values
        for key, number in pairs_of(entries, str(self)):
            held = get(key, 0)
            state[key] = held + number if type(held) is type(number) is int else join(held, number)
        return state

    def single_entries(self, entries: list[tuple[Hashable, Any]]) -> tuple[list[Hashable], list[Any]] | None:
        if type(self).add_many is not SumByKey.add_many:
            return None
        check_pairs(entries, str(self))
        numbers = [number for _, number in entries]
        return ([key for key, _ in entries], numbers) if set(map(type, numbers)) <= _INT else None

    def merge_values(self, one: Any, other: Any) -> Any:
        kinds = type(one), type(other)
        if kinds == (int, int):
            return one + other
        total = one if kinds[0] is ExactSum else _total(one)
        if kinds[1] is ExactSum:
            total.merge(other)
        else:
            total.add([other])
        return total

    def add_columns(self, state: Sums, keys: Sequence[Hashable], values: Sequence[Any]) -> Sums:
        if _are_integers(state) and set(map(type, values)) <= _INT:
            return add_integers(state, keys, values)
        return super().add_columns(state, keys, values)

    def pack_columns(self, keys: Sequence[Hashable], values: Sequence[Any]) -> bytes:
        return pack_columns(keys, values) or pack(to_plain(self.add_columns({}, keys, values)))

    def unpack_columns(self, data: bytes) -> tuple[Sequence[Hashable], Sequence[Any]]:
        return unpack_columns(data) or super().unpack_columns(data)

    def merge(self, state: Sums, other: Sums) -> Sums:
        if len(state) < len(other):
            state, other = other, state
        if _are_integers(state) and _are_integers(other):
            return add_integers(state, other.keys(), other.values())
        for key, value in other.items():
            state[key] = self.merge_values(state[key], value) if key in state else value
        return state

    def undo(self, state: Sums, other: Sums) -> Callable[[], Sums]:
        return undo_fold(state, other)

    def merge_encoded(self, state: Sums, data: bytes) -> Sums:
        is_own = type(self).merge is SumByKey.merge and type(self).decode is SumByKey.decode
        columns = unpack_columns(data) if is_own and _are_integers(state) else None
        if columns is None or len(state) < len(columns[0]):
            return super().merge_encoded(state, data)
        return add_decoded(state, *columns, self)

    def finish(self, state: Sums) -> Sums:
        sums = self._with_one_nan(state)
        return sums if _are_integers(sums) else with_results(sums)

    def encode(self, state: Sums) -> bytes:
        state = self._with_one_nan(state)
        return pack_columns(state.keys(), state.values()) or pack(to_plain(state))

    def decode(self, data: bytes) -> Sums:
        columns = unpack_columns(data)
        if columns is not None:
            return read_mapping(*columns, self)
        sums = from_plain(unpack(data), self)
        if not set(map(type, sums.values())) <= {int, ExactSum}:
            raise EncodingError(f"these bytes are not a state of {self} (a value is not a sum)")
        return sums

    def _with_one_nan(self, state: Sums) -> Sums:
        """Return a copy with one key for all NaN."""
        # Starts with 0, because the values of the state must not change.
        joined = joined_by_nan(state, lambda numbers: reduce(self.merge_values, numbers, 0))
        return dict(state) if joined is None else joined


def _are_integers(sums: Sums) -> bool:
    return set(map(type, sums.values())) <= _INT


def _total(number: int) -> ExactSum:
    total = ExactSum()
    total.add([number])
    return total
