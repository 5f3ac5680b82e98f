"""The state of a sharded aggregator: what is held, and where the pieces are that were left in the depot."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import chain
from typing import Any

from elastic.core.contracts.spill_store import Index, SpillSegment, SpillStore
from elastic.core.encoding import compress
from elastic.core.partitioning import shard_of

#: Joining what is held of equal keys pays if at most this share of it is left.
MAX_KEPT_SHARE = 0.75

#: The pieces of one partial: a bundle a shard.
Piece = tuple[SpillSegment, ...]

#: Bucket, number of keys, and the bytes that stand for these and what is kept of them.
Packed = tuple[int, int, bytes]


class ShardState(ABC):
    """What is held, which is all that is not in `pieces`."""

    pieces: list[Piece]

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """True when nothing is held."""

    @abstractmethod
    def fold(self, entries: Iterable[Any]) -> None:
        """Fold entries into what is held."""

    @abstractmethod
    def join(self, other: Any) -> None:
        """Take in what another one holds, behind what is held here; not its pieces."""

    @abstractmethod
    def rest(self) -> bytes:
        """Hold nothing any more, and return it, with all else that is not in `pieces`, as bytes; empty for nothing."""

    @abstractmethod
    def spill(self) -> Iterable[Packed] | None:
        """Hold nothing any more, and return it by bucket, in their order; None, if it is too little to be left."""

    @abstractmethod
    def drain(self) -> Iterable[Packed]:
        """Hold nothing any more, and return it by bucket, in their order, however little it is."""

    def leave(self, packed: Iterable[Packed], depot: SpillStore, shards: int) -> None:
        """Leave in the depot what was held, and remember where it is.

        Raises:
            StoreError: It cannot be written.
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
        name, at = depot.append(b"".join(chain.from_iterable(parts)))
        self.pieces.append(tuple(index.bundle(name, at + start) for index, start in zip(indexes, starts, strict=True)))
