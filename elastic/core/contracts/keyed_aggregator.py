"""Contracts of sharded results: aggregators whose state can be partitioned by key, and those that partition it."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

from elastic.core.contracts.aggregator import Aggregator, AnyAggregator, EntryT, ResultT, StateT
from elastic.core.contracts.spill_store import SpillStore
from elastic.core.contracts.spilling_aggregator import SpillingAggregator


class KeyedAggregator(Aggregator[EntryT, StateT, ResultT]):
    """Aggregator with one value per key and nothing else, so that `shards` can partition its state.

    State and result are dicts (or instances of a subclass) with the same keys. The value and the result of a key depend
    on the entries of that key only.
    """

    @abstractmethod
    def merge_values(self, one: Any, other: Any) -> Any:
        """Return the merged value of two values of one key; neither argument is used afterwards."""

    def add_columns(self, state: StateT, keys: Sequence[Hashable], values: Sequence[Any]) -> StateT:
        """Return the state with more keys and values; values of equal keys are merged in order."""
        gathered: StateT = self._with_columns(state, keys, values)
        return gathered

    def single_entries(self, entries: list[EntryT]) -> tuple[Sequence[Hashable], Sequence[Any]] | None:
        """Return the key of each entry and its value as a single entry; None if only `add` can compute it.

        Override it if this is cheap: the worker then does not fold entries whose keys hardly repeat.
        """
        return None

    def pack_columns(self, keys: Sequence[Hashable], values: Sequence[Any]) -> bytes:
        """Return keys and their values as bytes; a key may occur several times.

        Override it, and `unpack_columns`, if this is possible without building a state.
        """
        return self.encode(self.add_columns(self.create(), keys, values))

    def unpack_columns(self, data: bytes) -> tuple[Sequence[Hashable], Sequence[Any]]:
        """Return the keys and values that `pack_columns` encoded; values of equal keys may be merged.

        Raises:
            EncodingError: The bytes are not from this aggregator.
        """
        state: Any = self.decode(data)
        return list(state), list(state.values())

    def _with_columns(self, state: Any, keys: Sequence[Hashable], values: Sequence[Any]) -> Any:
        merge = self.merge_values
        for key, value in zip(keys, values, strict=True):
            state[key] = merge(state[key], value) if key in state else value
        return state


#: Any keyed aggregator.
AnyKeyed = KeyedAggregator[Any, Any, Any]


class ShardedAggregator(SpillingAggregator):
    """Aggregator that partitions the state of another one by key and writes it to a spill store."""

    #: The other aggregator.
    inner: AnyAggregator
    spill_store: SpillStore

    @abstractmethod
    def with_spill_store(self, spill_store: SpillStore) -> "ShardedAggregator":
        """Return this aggregator with another spill store."""

    @property
    @abstractmethod
    def can_reduce(self) -> bool:
        """True if this process can read the spill files of others and write the result."""

    @property
    def trial(self) -> AnyAggregator:
        # The encoded state of this one refers to spill files.
        return self.inner

    @abstractmethod
    def reduce(self, job: bytes) -> bytes:
        """Merge all spilled data of one shard, write the result, and return its location.

        Raises:
            CorruptStoreError: Spilled data is damaged.
        """
