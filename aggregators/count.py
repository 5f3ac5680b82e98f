"""Count: how often each entry occurs."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from elastic.aggregators.addition import added
from elastic.aggregators.column import pack_columns, unpack_columns
from elastic.aggregators.nan import NAN, nan_keys
from elastic.aggregators.saved_state import is_list, read_mapping, read_state
from elastic.core.encoding import pack
from elastic.core.sharding import KeyedAggregator


class Count(KeyedAggregator[Hashable, "Counter[Hashable]", "Counter[Hashable]"]):
    """Counts how often each entry occurs; the result is a `collections.Counter`.

    Entries are hashable plain data. Entries that are equal are one, as in any Counter (`1`, `1.0` and `True`, and
    which of them is shown is not said); all float NaN are one. The Counter is the same for every order of merges,
    the order in which it lists its elements is not: sort `items()` where ties must come out the same in each run.
    """

    def create(self) -> "Counter[Hashable]":
        return Counter()

    def add(self, state: "Counter[Hashable]", entry: Hashable) -> "Counter[Hashable]":
        state[entry] += 1
        return state

    def add_many(self, state: "Counter[Hashable]", entries: Iterable[Hashable]) -> "Counter[Hashable]":
        # An iterator, because `update` takes a mapping for counts and a Counter for nothing to iterate over.
        state.update(iter(entries))
        return state

    def merge(self, state: "Counter[Hashable]", other: "Counter[Hashable]") -> "Counter[Hashable]":
        if len(state) < len(other):
            state, other = other, state
        state.update(other)
        return state

    def join(self, one: int, other: int) -> int:
        return one + other

    def gather(
        self, state: "Counter[Hashable]", keys: Sequence[Hashable], values: Sequence[int]
    ) -> "Counter[Hashable]":
        return added(state, keys, values)

    def pack_columns(self, keys: Sequence[Hashable], values: Sequence[int]) -> bytes:
        packed = pack_columns(keys, values)
        return super().pack_columns(keys, values) if packed is None else packed

    def unpack_columns(self, data: bytes) -> tuple[Sequence[Hashable], Sequence[int]]:
        return unpack_columns(data) or super().unpack_columns(data)

    def finish(self, state: "Counter[Hashable]") -> "Counter[Hashable]":
        result = state.copy()
        _join_nans(result)
        return result

    def encode(self, state: "Counter[Hashable]") -> bytes:
        _join_nans(state)
        # Not a dict, whose keys the reader would intern, so that they stayed in memory.
        return pack([list(state), list(state.values())])

    def decode(self, data: bytes) -> "Counter[Hashable]":
        keys, counts = read_state(data, self, _fits)
        return Counter(read_mapping(keys, counts, self))


def _join_nans(counts: "Counter[Hashable]") -> None:
    found = nan_keys(counts)
    if found:
        counts[NAN] = sum(map(counts.pop, found))


def _fits(state: Any) -> bool:
    return is_list(state, 2) and is_list(state[0]) and is_list(state[1]) and set(map(type, state[1])) <= {int}
