"""Mappings that are divided by key: their states on the workers, and the blocks of their results."""

from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from elastic.aggregators.exact.nan import holds_nan, kinds_of, one_nan, with_one_nan
from elastic.aggregators.sharded.mapping_result import ShardedMapping
from elastic.aggregators.sharded.partitioner import StatePartitioner
from elastic.aggregators.sharded.result_block import in_order, merged, opened
from elastic.aggregators.sharded.shard_state import MAX_KEPT_SHARE, Packed, Piece, ShardState
from elastic.aggregators.sharded.sharded_result import ResultBlocks
from elastic.aggregators.states.batching import batches
from elastic.core.contracts.keyed_aggregator import AnyKeyed
from elastic.core.contracts.sink import OutputFileWriter
from elastic.core.encoding import digest
from elastic.core.partitioning import BUCKETS, buckets_of

#: Keys in the window. So many are looked up in what a processor holds near itself; the whole would not be.
WINDOW_KEYS = 1 << 16

#: Buckets whose keys are joined to see whether that pays.
_SAMPLE = 8

#: Keys that are held divided by bucket, before they are joined, and left in the depot unless that made them few. More
#: would be joined more, but packing texts that lie far from each other in memory takes a third longer.
HELD_KEYS = 1 << 18

#: The keys of a bucket in order, and their values.
Columns = tuple[list[Any], list[Any]]


@dataclass(slots=True)
class BucketBuffers:
    """Keys and what is kept of them, by bucket; a key may be there several times."""

    keys: list[list[Hashable]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])
    values: list[list[Any]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])
    count: int = 0

    def take(self, keys: Collection[Hashable], values: Collection[Any]) -> None:
        """Divide keys, and what is kept of them."""
        own_keys, own_values = self.keys, self.values
        kinds = kinds_of(keys)
        keys = with_one_nan(keys, kinds)
        for bucket, key, value in zip(buckets_of(keys, kinds), keys, values, strict=True):
            own_keys[bucket].append(key)
            own_values[bucket].append(value)
        self.count += len(keys)

    def take_all(self, other: "BucketBuffers") -> None:
        """Take in what another one holds, behind what is here."""
        for mine, others in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine.extend(others)
        self.count += other.count

    def join(self, inner: AnyKeyed) -> bool:
        """Join what is held of equal keys, if there seem to be enough of them for that to pay; says whether."""
        before, after = 0, 0
        for bucket in range(BUCKETS):
            if bucket == _SAMPLE and after > before * MAX_KEPT_SHARE:
                break
            before += len(self.keys[bucket])
            state = inner.gather(inner.create(), self.keys[bucket], self.values[bucket])
            self.keys[bucket], self.values[bucket] = list(state), list(state.values())
            after += len(state)
        self.count -= before - after
        return after <= before * MAX_KEPT_SHARE


@dataclass(slots=True)
class MappingState(ShardState):
    """The state over what came last, and behind it what is divided by bucket."""

    inner: AnyKeyed
    #: the state of the inner aggregator over what came last
    window: dict[Hashable, Any]
    #: entries that were folded into the window
    entries: int = 0
    #: keys have hardly repeated, so that what comes is divided without being folded first
    is_sparse: bool = False
    #: None until the window was full for the first time
    held: BucketBuffers | None = None
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.window and (self.held is None or not self.held.count)

    def fold(self, entries: Iterable[Any]) -> None:
        for batch in batches(entries):
            columns = self.inner.singles(batch) if self.is_sparse else None
            if columns is None:
                self.window = self.inner.add_many(self.window, iter(batch))
                self.entries += len(batch)
            else:
                self._divided().take(*columns)

    def join(self, other: "MappingState") -> None:
        if other.held is not None:
            self._divided().take_all(other.held)
        self.window = self.inner.merge(self.window, other.window)
        self.entries += other.entries

    def rest(self) -> bytes:
        if self.is_empty:
            return b""
        held, self.held = self._divided(), None
        keys, values = list(chain.from_iterable(held.keys)), list(chain.from_iterable(held.values))
        return self.inner.encode(self.inner.gather(self.inner.create(), keys, values))

    def spill(self) -> Iterator[Packed] | None:
        if len(self.window) >= WINDOW_KEYS:
            self._divided()
        if self.held is None or self.held.count < HELD_KEYS:
            return None
        held = self._joined()
        return None if held.count < HELD_KEYS // 2 else self._packed(held)

    def drain(self) -> Iterator[Packed]:
        return self._packed(self._joined())

    def _divided(self) -> BucketBuffers:
        """Divide the window, and return all that is held."""
        if self.held is None:
            self.held = BucketBuffers()
        if self.window:
            self.is_sparse = len(self.window) > self.entries * MAX_KEPT_SHARE
            self.held.take(self.window.keys(), self.window.values())
            self.window, self.entries = self.inner.create(), 0
        return self.held

    def _joined(self) -> BucketBuffers:
        """Divide the window, and return all that is held with equal keys joined, unless hardly any seem to be equal."""
        held = self._divided()
        self.is_sparse = not held.join(self.inner)
        return held

    def _packed(self, held: BucketBuffers) -> Iterator[Packed]:
        self.held = None
        for bucket in range(BUCKETS):
            keys = held.keys[bucket]
            if keys:
                packed = self.inner.pack_columns(keys, held.values[bucket])
                held.keys[bucket], held.values[bucket] = [], []  # what is packed takes no memory twice
                yield bucket, len(keys), packed


class MappingPartitioner(StatePartitioner[Columns]):
    """Divides the state of an aggregator that keeps a mapping.

    Args:
        inner: The aggregator.
    """

    inner: AnyKeyed

    def create(self) -> MappingState:
        return MappingState(self.inner, self.inner.create())

    def decode(self, rest: bytes) -> MappingState:
        return MappingState(self.inner, self.inner.decode(rest)) if rest else self.create()

    def gather(self, packed: Iterable[bytes]) -> dict[Hashable, Any]:
        state: dict[Hashable, Any] | None = None
        keys, values = list[Hashable](), list[Any]()
        for data in packed:
            columns = self.inner.unpack_columns(data)
            if state is None:
                # By itself, because its keys are often all different, and then it takes no more than a dict takes.
                state = self.inner.gather(self.inner.create(), *columns)
            else:
                keys += columns[0]
                values += columns[1]
            if len(keys) >= WINDOW_KEYS:
                state = self.inner.gather(state, keys, values)
                keys, values = [], []
        gathered: dict[Hashable, Any] = self.inner.gather(state or self.inner.create(), keys, values)
        return gathered

    def block(self, state: dict[Hashable, Any]) -> Columns:
        if holds_nan(state):
            # Of each piece that was read there may be one.
            state = self.inner.gather(self.inner.create(), list(map(one_nan, state)), list(state.values()))
        return in_order(self.inner.finish(state))

    def size(self, block: Columns) -> int:
        return len(block[0])

    def pack(self, block: Columns) -> bytes:
        return merged(*block)

    def open(self, data: bytes) -> Columns:
        return opened(data)

    def content(self, block: Columns, data: bytes) -> bytes:
        return digest(data)

    def write(self, block: Columns, rows: OutputFileWriter) -> None:
        rows.write(*block)

    def wide(self, blocks: ResultBlocks[Columns], shards: int) -> ShardedMapping:
        return ShardedMapping(blocks, shards)
