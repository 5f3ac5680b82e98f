"""State of a sharded aggregator: entries in memory, and the segments that were spilled before."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import chain
from typing import Any

from elastic.core.contracts.spill_store import Index, SpillSegment, SpillStore
from elastic.core.encoding import compress
from elastic.core.partitioning import shard_of

#: Maximum share of the keys that remains after equal ones are joined; above it, joining is not worth its time.
MAX_KEPT_SHARE = 0.75

#: Segments of one partial result, one for each shard.
Piece = tuple[SpillSegment, ...]

#: Bucket, number of keys, and the keys with their values as bytes.
Packed = tuple[int, int, bytes]


class ShardState(ABC):
    """State of the entries in memory. `pieces` has the segments of all others."""

    pieces: list[Piece]

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether no entries are in memory."""

    @abstractmethod
    def fold(self, entries: Iterable[Any]) -> None:
        """Fold entries into the state in memory."""

    @abstractmethod
    def join(self, other: Any) -> None:
        """Merge the in-memory state of `other`, whose entries follow those of this one; ignore its pieces."""

    @abstractmethod
    def encode_remainder(self) -> bytes:
        """Empty the state in memory, and return it and the schema as bytes; empty bytes if there is neither."""

    @abstractmethod
    def take_if_large(self) -> Iterable[Packed] | None:
        """Empty the state in memory and return it by ascending bucket, or return None if it is too small to spill."""

    @abstractmethod
    def take_all(self) -> Iterable[Packed]:
        """Empty the state in memory and return it by ascending bucket, however small it is."""

    def write(self, packed: Iterable[Packed], spill_store: SpillStore, shards: int) -> None:
        """Spill buckets to the store, and add their segments to `pieces`.

        Raises:
            StoreError: The store cannot write.
        """
        indexes = [Index() for _ in range(shards)]
        parts: list[list[bytes]] = [[] for _ in range(shards)]
        for bucket, keys, plain in packed:
            shard, data = shard_of(bucket, shards), compress(plain)
            indexes[shard].add(bucket, keys, data)
            parts[shard].append(data)
        starts, size = list[int](), 0
        for index, own in zip(indexes, parts, strict=True):
            own.append(index.packed())
            starts.append(size)
            size += index.size + len(own[-1])
        name, at = spill_store.append(b"".join(chain.from_iterable(parts)))
        self.pieces.append(tuple(index.bundle(name, at + start) for index, start in zip(indexes, starts, strict=True)))
