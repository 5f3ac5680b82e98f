"""The contracts of wide results: aggregators whose state can be divided by key, and those that divide it."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

from elastic.core.contracts.aggregator import Aggregator, AnyAggregator, EntryT, ResultT, StateT
from elastic.core.contracts.spill_store import SpillStore


class KeyedAggregator(Aggregator[EntryT, StateT, ResultT]):
    """An aggregator that keeps something for each key, and nothing else, so that `shards` can divide it.

    Its state and its result are dicts, or of a class that is one, with the same keys. What it keeps of a key depends
    on the entries of that key only, and so does the result of that key.
    """

    @abstractmethod
    def merge_values(self, one: Any, other: Any) -> Any:
        """Return what is kept of the entries of both, of one key; neither is used afterwards."""

    def add_columns(self, state: StateT, keys: Sequence[Hashable], values: Sequence[Any]) -> StateT:
        """Return the state with these values of these keys as well; those of equal keys are joined, in their order."""
        gathered: StateT = self._with_columns(state, keys, values)
        return gathered

    def single_entries(self, entries: list[EntryT]) -> tuple[Sequence[Hashable], Sequence[Any]] | None:
        """Return the key of each entry and what is kept of that entry alone; None where it takes folding to know.

        Override it where this is seen at a glance: entries whose keys hardly repeat are not folded then.
        """
        return None

    def pack_columns(self, keys: Sequence[Hashable], values: Sequence[Any]) -> bytes:
        """Return keys and what is kept of each as bytes; a key may be there several times.

        Override it, and `unpack_columns`, where this can be done without making a state.
        """
        return self.encode(self.add_columns(self.create(), keys, values))

    def unpack_columns(self, data: bytes) -> tuple[Sequence[Hashable], Sequence[Any]]:
        """Return the keys and values that `pack_columns` was given, or those of equal keys joined.

        Raises:
            EncodingError: The bytes are not of this aggregator.
        """
        state: Any = self.decode(data)
        return list(state), list(state.values())

    def _with_columns(self, state: Any, keys: Sequence[Hashable], values: Sequence[Any]) -> Any:
        merge = self.merge_values
        for key, value in zip(keys, values, strict=True):
            state[key] = merge(state[key], value) if key in state else value
        return state


#: Any of them, where it does not matter of what.
AnyKeyed = KeyedAggregator[Any, Any, Any]


class ShardedAggregator(Aggregator[Any, Any, Any]):
    """Divides the state of another aggregator by key, and leaves it in a depot."""

    #: the other aggregator
    inner: AnyAggregator
    depot: SpillStore

    @abstractmethod
    def with_spill_store(self, depot: SpillStore) -> "ShardedAggregator":
        """Return this aggregator with another depot."""

    @property
    @abstractmethod
    def can_reduce(self) -> bool:
        """True when this process sees what others have left, and where the result goes."""

    @abstractmethod
    def spill(self, state: Any) -> Any:
        """Leave in the depot what is too much to be held, and return the state.

        Raises:
            StoreError: It cannot be written. What the state holds is not known then.
        """

    @abstractmethod
    def reduce(self, job: bytes) -> bytes:
        """Merge all that was left of one shard, leave the result, and return where it is.

        Raises:
            CorruptStoreError: Something is not as it was left.
        """
