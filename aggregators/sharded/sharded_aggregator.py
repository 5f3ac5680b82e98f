"""Sharded aggregation: the state is partitioned by key, and no process has all of it in memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from elastic.aggregators.frames.base import KeyedFrameAggregator
from elastic.aggregators.sharded.frame_partitioner import FramePartitioner
from elastic.aggregators.sharded.mapping_partitioner import MappingPartitioner
from elastic.aggregators.sharded.partitioner import AnyPartitioner
from elastic.aggregators.sharded.shard_state import Piece, ShardState
from elastic.aggregators.sharded.sharded_result import AnyShardedResult, MergedFiles, MergedOnRead
from elastic.aggregators.states.validation import ListOf, read_state
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.keyed_aggregator import KeyedAggregator, ShardedAggregator
from elastic.core.contracts.sink import OutputFile, Sink
from elastic.core.contracts.spill_store import Index, SpillSegment, SpillStore
from elastic.core.encoding import compress, digest, pack, unpack
from elastic.core.errors import EncodingError, UsageError
from elastic.core.partitioning import shard_range


class Sharded(ShardedAggregator):
    """Sharded aggregator that folds entries as `inner` does. The master gets only the places and sizes of its states.

    Args:
        inner: Folds the entries.
        shards: Number of parts of the result.
        spill_store: Store of the spilled states.
        output: Sink that gets the result as well; None for none.

    Raises:
        UsageError: The state of `inner` cannot be partitioned.
    """

    def __init__(self, inner: AnyAggregator, shards: int, spill_store: SpillStore, output: Sink | None = None) -> None:
        self.inner, self.shards, self.spill_store, self.output = inner, shards, spill_store, output
        self.ordered = inner.ordered
        self.partitioner = partitioner_for(inner, shards)

    def with_spill_store(self, spill_store: SpillStore) -> "Sharded":
        return Sharded(self.inner, self.shards, spill_store, self.output)

    @property
    def can_reduce(self) -> bool:
        return self.spill_store.readable and (self.output is None or self.output.writable)

    def create(self) -> ShardState:
        return self.partitioner.create()

    def add(self, state: ShardState, entry: Any) -> ShardState:
        state.fold((entry,))
        return state

    def add_many(self, state: ShardState, entries: Iterable[Any]) -> ShardState:
        state.fold(entries)
        return state

    def merge(self, state: ShardState, other: ShardState) -> ShardState:
        # Order matters: the entries in memory follow those in the pieces.
        if self.ordered and other.pieces and not state.is_empty:
            state.write(state.take_all(), self.spill_store, self.shards)
        state.pieces += other.pieces
        state.join(other)
        return state

    def spill(self, state: ShardState) -> ShardState:
        packed = state.take_if_large() if self.spill_store.writable else None
        if packed is not None:
            state.write(packed, self.spill_store, self.shards)
        return state

    def finish(self, state: ShardState) -> AnyShardedResult:
        partitioner = self.partitioner.with_schema_of(_remainder_of(state))
        by_shard = [[piece[shard] for piece in state.pieces] for shard in range(self.shards)]
        return partitioner.open_result(MergedOnRead(partitioner, self.spill_store, by_shard), self.shards)

    def encode(self, state: ShardState) -> bytes:
        if self.spill_store.writable:
            if not state.is_empty:
                state.write(state.take_all(), self.spill_store, self.shards)
            self.spill_store.sync()
        # Entries stay in memory only on a node that does not see the folder, in a process for one chunk: its worker
        # sends them in another way.
        return pack([[[segment.plain() for segment in piece] for piece in state.pieces], state.encode_remainder()])

    def decode(self, data: bytes) -> ShardState:
        _, remainder = read_state(data, _saved_shape(self.shards), self)
        state = self.partitioner.decode(remainder)
        state.pieces = pieces_of(data, self.shards)
        return state

    def jobs(self, state: ShardState) -> list[bytes]:
        """Return the jobs for `reduce`, one for each shard."""
        return jobs_of(state.pieces, self.shards, _remainder_of(state))

    def reduce(self, job: bytes) -> bytes:
        partitioner, index = self.partitioner, Index()
        opened = nullcontext() if self.output is None else self.output.open()
        with opened as rows, self.spill_store.create("result") as file:
            for bucket, block in self._blocks(job):
                data = partitioner.pack(block)
                packed = compress(data)
                index.add(bucket, partitioner.size(block), packed, partitioner.content(block, data))
                file.write(packed)
                if rows is not None:
                    partitioner.write(block, rows)
            file.write(index.packed())
        return pack([index.bundle(file.name, 0).plain(), None if rows is None else rows.part.plain()])

    def contents(self, job: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield bucket, number of keys and digest of each block that `reduce` makes, without writing anything."""
        partitioner = self.partitioner
        for bucket, block in self._blocks(job):
            yield bucket, partitioner.size(block), partitioner.content(block, partitioner.pack(block))

    def result_of(self, bundles: Sequence[SpillSegment]) -> AnyShardedResult:
        """Return the result in the segments that `reduce` wrote for all shards."""
        return self.partitioner.open_result(MergedFiles(self.partitioner, self.spill_store, bundles), self.shards)

    def _blocks(self, job: bytes) -> Iterator[tuple[int, Any]]:
        shard, plain, *remainder = unpack(job)
        partitioner = self.partitioner.with_schema_of(remainder[0]) if remainder else self.partitioner
        blocks = MergedOnRead(partitioner, self.spill_store, {shard: [SpillSegment(*fields) for fields in plain]})
        for bucket in shard_range(shard, self.shards):
            block = blocks.block(shard, bucket)
            if self.partitioner.size(block):
                yield bucket, block

    def of_utf8(self) -> "Sharded | None":
        inner = self.inner.of_utf8()
        return (
            Sharded(inner, self.shards, self.spill_store, self.output) if isinstance(inner, KeyedAggregator) else None
        )

    def __str__(self) -> str:
        return str(self.inner)


def can_shard(aggregator: AnyAggregator) -> bool:
    """Return whether the states of an aggregator can be partitioned by key."""
    return isinstance(aggregator, KeyedAggregator | KeyedFrameAggregator)


def partitioner_for(aggregator: AnyAggregator, shards: int) -> AnyPartitioner:
    """Return the partitioner for the states of an aggregator.

    Raises:
        UsageError: The states cannot be partitioned.
    """
    if not can_shard(aggregator):
        raise UsageError(
            f"shards={shards} partitions a result by key, and {aggregator} has no keys; omit shards, or aggregate with "
            "Count, SumByKey, GroupBy, MergeMappings, FrameCount, FrameGroupBy or a KeyedAggregator of your own."
        )
    if not aggregator.stored:
        raise UsageError(f"{aggregator} has no state that shards={shards} could partition; omit shards.")
    return (
        FramePartitioner(aggregator) if isinstance(aggregator, KeyedFrameAggregator) else MappingPartitioner(aggregator)
    )


def pieces_of(data: bytes, shards: int) -> list[Piece]:
    """Return the pieces of an encoded state.

    Raises:
        EncodingError: The bytes are not a state of an aggregator with this number of shards.
    """
    pieces, _ = read_state(data, _saved_shape(shards), f"an aggregator with {shards} shards")
    return [tuple(SpillSegment(*plain) for plain in piece) for piece in pieces]


def reduced_of(reply: bytes) -> tuple[SpillSegment, OutputFile | None]:
    """Return the segment and the output file that `Sharded.reduce` wrote for a shard."""
    segment, part = unpack(reply)
    return SpillSegment(*segment), None if part is None else OutputFile(*part)


def jobs_of(pieces: list[Piece], shards: int, remainder: bytes = b"") -> list[bytes]:
    """Return the jobs for `Sharded.reduce`, one for each shard.

    Args:
        pieces: Pieces of the result.
        shards: Number of shards.
        remainder: Schema of the state, from `ShardState.encode_remainder`.
    """
    schema = [remainder] if remainder else []
    return [
        pack([shard, [piece[shard].plain() for piece in pieces if piece[shard].keys], *schema])
        for shard in range(shards)
    ]


def made_of(jobs: Sequence[bytes]) -> str:
    """Return the digest of the pieces in jobs, in hexadecimal."""
    return digest(pack([pack(unpack(job)[:2]) for job in jobs])).hex()


def _remainder_of(state: ShardState) -> bytes:
    """Return the schema of a state that has all its entries in `pieces`."""
    if not state.is_empty:
        raise EncodingError("a part of the sharded state is not in the folder of its run.")
    return state.encode_remainder()


def _saved_shape(shards: int) -> list[Any]:
    """Return the shape of a state: segments of each piece by shard, and the remainder."""
    return [ListOf([_SEGMENT_SHAPE] * shards), bytes]


#: Shape of `SpillSegment.plain`.
_SEGMENT_SHAPE = [str, int, int, int, int, bytes]
