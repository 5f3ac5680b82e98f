"""GroupBy: an inner aggregator for each key."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from functools import reduce
from typing import Any

from elastic.aggregators.basic.emit import Emit
from elastic.aggregators.basic.statistics import Sum
from elastic.aggregators.exact.exact_add import undo_fold
from elastic.aggregators.exact.nan import holds_nan, joined_by_nan, one_nan
from elastic.aggregators.keyed.pair import check_pairs
from elastic.aggregators.keyed.sum_by_key import SumByKey
from elastic.aggregators.registry import aggregator_of
from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import ListOf, read_mapping, read_state
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.keyed_aggregator import KeyedAggregator
from elastic.core.encoding import pack
from elastic.core.errors import UsageError

#: Entries per batch. Larger batches have more entries per key, and so fewer calls of the inner aggregator.
_BATCH_SIZE = 1 << 17


class GroupBy(KeyedAggregator[tuple[Hashable, Any], dict[Hashable, Any], dict[Hashable, Any]]):
    """Aggregator of the values of each key; entries are pairs `(key, value)`, as `key_by` makes them.

    The result is a dict from key to the inner aggregator's result. It has the order of the source if the inner
    aggregator is `ordered`, else no defined order. Keys are hashable plain data; all NaN of a type are one key, also
    inside tuples and frozensets.

    Args:
        inner: Aggregates the values of a key: an aggregator, or a value for `aggregator_of`.

    Raises:
        UsageError: `inner` is not an aggregator, or an entry is not a pair.
    """

    def __init__(self, inner: Any) -> None:
        self.inner: AnyAggregator = aggregator_of(inner)
        if isinstance(self.inner, Emit):
            raise UsageError("GroupBy cannot hold Emit, which has no state; use Emit alone, which receives the pairs")
        self.ordered = self.inner.ordered
        self.stored = self.inner.stored

    def simplified(self) -> AnyAggregator:
        """Return a faster aggregator with the same result, or this one."""
        return GroupBySum() if type(self.inner) is Sum else self

    def create(self) -> dict[Hashable, Any]:
        return {}

    def add(self, state: dict[Hashable, Any], entry: tuple[Hashable, Any]) -> dict[Hashable, Any]:
        return self._add_batch(state, [entry])

    def add_many(self, state: dict[Hashable, Any], entries: Iterable[tuple[Hashable, Any]]) -> dict[Hashable, Any]:
        for batch in batches(entries, _BATCH_SIZE):
            state = self._add_batch(state, batch)
        return state

    def merge(self, state: dict[Hashable, Any], other: dict[Hashable, Any]) -> dict[Hashable, Any]:
        if not self.ordered and len(state) < len(other):
            state, other = other, state
        for key, added in other.items():
            state[key] = self.inner.merge(state[key], added) if key in state else added
        return state

    def undo(self, state: dict[Hashable, Any], other: dict[Hashable, Any]) -> Callable[[], dict[Hashable, Any]] | None:
        undos = {key: self.inner.undo(state[key], group) for key, group in other.items() if key in state}
        restores = {key: undo for key, undo in undos.items() if undo is not None}
        return undo_fold(state, other, restores) if len(restores) == len(undos) else None

    def merge_values(self, one: Any, other: Any) -> Any:
        return self.inner.merge(one, other)

    def finish(self, state: dict[Hashable, Any]) -> dict[Hashable, Any]:
        return {key: self.inner.finish(group) for key, group in state.items()}

    def encode(self, state: dict[Hashable, Any]) -> bytes:
        return pack([list(state), list(map(self.inner.encode, state.values()))])

    def decode(self, data: bytes) -> dict[Hashable, Any]:
        keys, groups = read_state(data, [list, ListOf(bytes)], self)
        states = read_mapping(keys, map(self.inner.decode, groups), self)
        joined = joined_by_nan(states, lambda some: reduce(self.inner.merge, some))
        return states if joined is None else joined

    def _add_batch(self, state: dict[Hashable, Any], batch: list[Any]) -> dict[Hashable, Any]:
        check_pairs(batch, "GroupBy")
        values = _grouped(batch)
        if holds_nan(values):
            values = _grouped([(one_nan(key), value) for key, value in batch])
        inner = self.inner
        for key, some in values.items():
            group = state[key] if key in state else inner.create()
            state[key] = inner.add(group, some[0]) if len(some) == 1 else inner.add_many(group, some)
        return state

    def __str__(self) -> str:
        return f"GroupBy({self.inner})"


class GroupBySum(SumByKey):
    """Fast form of `GroupBy(Sum())`: an integer for each key instead of an aggregator's state."""

    def __str__(self) -> str:
        return str(GroupBy(Sum()))


def _grouped(batch: list[Any]) -> dict[Hashable, list[Any]]:
    values: defaultdict[Hashable, list[Any]] = defaultdict(list)
    for key, value in batch:
        values[key].append(value)
    return values
