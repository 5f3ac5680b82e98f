"""Hash partitioning of mappings: their states on the workers, and the blocks of their results."""

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

#: Maximum number of keys in the window. Lookups among this many keys stay in the CPU's caches.
WINDOW_KEYS = 1 << 16

#: Buckets whose equal keys are joined to estimate whether joining is worth its time.
_SAMPLE_BUCKETS = 8

#: Number of partitioned keys in memory at which a state joins equal ones. It spills them unless few remain. More keys
#: would have more equal ones, but packing strings that are far apart in memory takes a third longer.
HELD_KEYS = 1 << 18

#: The keys of a bucket in order, and their values.
Columns = tuple[list[Any], list[Any]]


@dataclass(slots=True)
class BucketBuffers:
    """Buffers of keys and values by bucket; a key may occur several times."""

    keys: list[list[Hashable]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])
    values: list[list[Any]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])
    count: int = 0

    def add(self, keys: Collection[Hashable], values: Collection[Any]) -> None:
        """Partition keys and their values."""
        own_keys, own_values = self.keys, self.values
        kinds = kinds_of(keys)
        keys = with_one_nan(keys, kinds)
        for bucket, key, value in zip(buckets_of(keys, kinds), keys, values, strict=True):
            own_keys[bucket].append(key)
            own_values[bucket].append(value)
        self.count += len(keys)

    def extend(self, other: "BucketBuffers") -> None:
        """Append the keys and values of another one."""
        for mine, others in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine.extend(others)
        self.count += other.count

    def join(self, inner: AnyKeyed) -> bool:
        """Join the values of equal keys, and return True; return False early if a sample has too few equal keys."""
        before, after = 0, 0
        for bucket in range(BUCKETS):
            if bucket == _SAMPLE_BUCKETS and after > before * MAX_KEPT_SHARE:
                break
            before += len(self.keys[bucket])
            state = inner.add_columns(inner.create(), self.keys[bucket], self.values[bucket])
            self.keys[bucket], self.values[bucket] = list(state), list(state.values())
            after += len(state)
        self.count -= before - after
        return after <= before * MAX_KEPT_SHARE


@dataclass(slots=True)
class MappingState(ShardState):
    """In-memory state: a window of unpartitioned entries, and buffers of partitioned ones that came before."""

    inner: AnyKeyed
    #: state of the inner aggregator over the latest entries
    window: dict[Hashable, Any]
    #: number of entries that were folded into the window
    entries: int = 0
    #: whether keys have hardly repeated, so new entries are partitioned without being folded first
    is_sparse: bool = False
    #: None until the window is full for the first time
    buffers: BucketBuffers | None = None
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.window and (self.buffers is None or not self.buffers.count)

    def fold(self, entries: Iterable[Any]) -> None:
        for batch in batches(entries):
            columns = self.inner.single_entries(batch) if self.is_sparse else None
            if columns is None:
                self.window = self.inner.add_many(self.window, iter(batch))
                self.entries += len(batch)
            else:
                self._partitioned().add(*columns)

    def join(self, other: "MappingState") -> None:
        if other.buffers is not None:
            self._partitioned().extend(other.buffers)
        self.window = self.inner.merge(self.window, other.window)
        self.entries += other.entries

    def encode_remainder(self) -> bytes:
        if self.is_empty:
            return b""
        buffers, self.buffers = self._partitioned(), None
        keys, values = list(chain.from_iterable(buffers.keys)), list(chain.from_iterable(buffers.values))
        return self.inner.encode(self.inner.add_columns(self.inner.create(), keys, values))

    def take_if_large(self) -> Iterator[Packed] | None:
        if len(self.window) >= WINDOW_KEYS:
            self._partitioned()
        if self.buffers is None or self.buffers.count < HELD_KEYS:
            return None
        buffers = self._joined()
        return None if buffers.count < HELD_KEYS // 2 else self._packed(buffers)

    def take_all(self) -> Iterator[Packed]:
        return self._packed(self._joined())

    def _partitioned(self) -> BucketBuffers:
        """Partition the window, and return the buffers of all entries in memory."""
        if self.buffers is None:
            self.buffers = BucketBuffers()
        if self.window:
            self.is_sparse = len(self.window) > self.entries * MAX_KEPT_SHARE
            self.buffers.add(self.window.keys(), self.window.values())
            self.window, self.entries = self.inner.create(), 0
        return self.buffers

    def _joined(self) -> BucketBuffers:
        """Partition the window, and return the buffers, with equal keys joined if that is worth its time."""
        buffers = self._partitioned()
        self.is_sparse = not buffers.join(self.inner)
        return buffers

    def _packed(self, buffers: BucketBuffers) -> Iterator[Packed]:
        self.buffers = None
        for bucket in range(BUCKETS):
            keys = buffers.keys[bucket]
            if keys:
                packed = self.inner.pack_columns(keys, buffers.values[bucket])
                buffers.keys[bucket], buffers.values[bucket] = [], []  # free the memory of packed keys at once
                yield bucket, len(keys), packed


class MappingPartitioner(StatePartitioner[Columns]):
    """Hash partitioner of the states of an aggregator of keys and values.

    Args:
        inner: The aggregator.
    """

    inner: AnyKeyed

    def create(self) -> MappingState:
        return MappingState(self.inner, self.inner.create())

    def decode(self, remainder: bytes) -> MappingState:
        return MappingState(self.inner, self.inner.decode(remainder)) if remainder else self.create()

    def gather(self, packed: Iterable[bytes]) -> dict[Hashable, Any]:
        state: dict[Hashable, Any] | None = None
        keys, values = list[Hashable](), list[Any]()
        for data in packed:
            columns = self.inner.unpack_columns(data)
            if state is None:
                # The first one alone, because its keys are often all different, which makes it as fast as a dict.
                state = self.inner.add_columns(self.inner.create(), *columns)
            else:
                keys += columns[0]
                values += columns[1]
            if len(keys) >= WINDOW_KEYS:
                state = self.inner.add_columns(state, keys, values)
                keys, values = [], []
        gathered: dict[Hashable, Any] = self.inner.add_columns(state or self.inner.create(), keys, values)
        return gathered

    def block(self, state: dict[Hashable, Any]) -> Columns:
        if holds_nan(state):
            # Each piece may have added a NaN key of its own.
            state = self.inner.add_columns(self.inner.create(), list(map(one_nan, state)), list(state.values()))
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

    def open_result(self, blocks: ResultBlocks[Columns], shards: int) -> ShardedMapping:
        return ShardedMapping(blocks, shards)
