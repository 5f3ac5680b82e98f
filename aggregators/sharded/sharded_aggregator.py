"""Sharded: an aggregator whose state is divided by key, and is never whole in one process."""

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
    """Folds entries as `inner` does. What goes to the master says only where its state is, and how much of it.

    Args:
        inner: What the entries are folded by.
        shards: In how many parts the result is made.
        depot: Where the parts of the state are left.
        output: Where the result is written to as well; None for nowhere.

    Raises:
        UsageError: The state of `inner` cannot be divided.
    """

    def __init__(self, inner: AnyAggregator, shards: int, depot: SpillStore, output: Sink | None = None) -> None:
        self.inner, self.shards, self.depot, self.output = inner, shards, depot, output
        self.ordered = inner.ordered
        self.division = partitioner_for(inner, shards)

    def at(self, depot: SpillStore) -> "Sharded":
        return Sharded(self.inner, self.shards, depot, self.output)

    @property
    def can_reduce(self) -> bool:
        return self.depot.readable and (self.output is None or self.output.writable)

    def create(self) -> ShardState:
        return self.division.create()

    def add(self, state: ShardState, entry: Any) -> ShardState:
        state.fold((entry,))
        return state

    def add_many(self, state: ShardState, entries: Iterable[Any]) -> ShardState:
        state.fold(entries)
        return state

    def merge(self, state: ShardState, other: ShardState) -> ShardState:
        # In their order: what is held is behind what was left.
        if self.ordered and other.pieces and not state.is_empty:
            state.leave(state.drain(), self.depot, self.shards)
        state.pieces += other.pieces
        state.join(other)
        return state

    def spill(self, state: ShardState) -> ShardState:
        packed = state.spill() if self.depot.writable else None
        if packed is not None:
            state.leave(packed, self.depot, self.shards)
        return state

    def finish(self, state: ShardState) -> AnyShardedResult:
        division = self.division.told(_rest_of(state))
        by_shard = [[piece[shard] for piece in state.pieces] for shard in range(self.shards)]
        return division.wide(MergedOnRead(division, self.depot, by_shard), self.shards)

    def encode(self, state: ShardState) -> bytes:
        if self.depot.writable:
            if not state.is_empty:
                state.leave(state.drain(), self.depot, self.shards)
            self.depot.settle()
        # Something is still held in a process for one chunk, on a node that does not see the folder: its worker has
        # another way.
        return pack([[[bundle.plain() for bundle in piece] for piece in state.pieces], state.rest()])

    def decode(self, data: bytes) -> ShardState:
        _, rest = read_state(data, _saved_shape(self.shards), self)
        state = self.division.decode(rest)
        state.pieces = pieces_of(data, self.shards)
        return state

    def jobs(self, state: ShardState) -> list[bytes]:
        """Return what there is to do for `reduce`, a job a shard."""
        return jobs_of(state.pieces, self.shards, _rest_of(state))

    def reduce(self, job: bytes) -> bytes:
        division, index = self.division, Index()
        written = nullcontext() if self.output is None else self.output.open()
        with written as rows, self.depot.create("result") as file:
            for bucket, block in self._blocks(job):
                data = division.pack(block)
                packed = compress(data)
                index.add(bucket, division.size(block), packed, division.content(block, data))
                file.write(packed)
                if rows is not None:
                    division.write(block, rows)
            file.write(index.packed())
        return pack([index.bundle(file.name, 0).plain(), None if rows is None else rows.part.plain()])

    def contents(self, job: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield bucket, keys and digest of what `reduce` makes of each, without leaving anything."""
        division = self.division
        for bucket, block in self._blocks(job):
            yield bucket, division.size(block), division.content(block, division.pack(block))

    def result_of(self, bundles: Sequence[SpillSegment]) -> AnyShardedResult:
        """Return the result that `reduce` has made of all shards."""
        return self.division.wide(MergedFiles(self.division, self.depot, bundles), self.shards)

    def _blocks(self, job: bytes) -> Iterator[tuple[int, Any]]:
        shard, plain, *told = unpack(job)
        division = self.division.told(told[0]) if told else self.division
        merging = MergedOnRead(division, self.depot, {shard: [SpillSegment(*fields) for fields in plain]})
        for bucket in shard_range(shard, self.shards):
            block = merging.block(shard, bucket)
            if self.division.size(block):
                yield bucket, block

    def of_utf8(self) -> "Sharded | None":
        inner = self.inner.of_utf8()
        return Sharded(inner, self.shards, self.depot, self.output) if isinstance(inner, KeyedAggregator) else None

    def __str__(self) -> str:
        return str(self.inner)


def can_shard(aggregator: AnyAggregator) -> bool:
    """Tell whether the states of an aggregator can be divided by key."""
    return isinstance(aggregator, KeyedAggregator | KeyedFrameAggregator)


def partitioner_for(aggregator: AnyAggregator, shards: int) -> AnyPartitioner:
    """Return what divides the states of an aggregator.

    Raises:
        UsageError: Nothing does.
    """
    if not can_shard(aggregator):
        raise UsageError(
            f"shards={shards} divides a result by key, and {aggregator} has no keys; leave out shards, or aggregate by "
            "Count, SumByKey, GroupBy, MergeMappings, FrameCount, FrameGroupBy or a KeyedAggregator of your own."
        )
    if not aggregator.stored:
        raise UsageError(f"{aggregator} keeps nothing that shards={shards} could divide; leave out shards.")
    return (
        FramePartitioner(aggregator) if isinstance(aggregator, KeyedFrameAggregator) else MappingPartitioner(aggregator)
    )


def pieces_of(data: bytes, shards: int) -> list[Piece]:
    """Return where the parts of an encoded state are.

    Raises:
        EncodingError: It is no state of an aggregator with so many shards.
    """
    pieces, _ = read_state(data, _saved_shape(shards), f"an aggregator with {shards} shards")
    return [tuple(SpillSegment(*plain) for plain in piece) for piece in pieces]


def reduced_of(answer: bytes) -> tuple[SpillSegment, OutputFile | None]:
    """Return what `Sharded.reduce` has made: the shard's part of the result, and of the output."""
    bundle, part = unpack(answer)
    return SpillSegment(*bundle), None if part is None else OutputFile(*part)


def jobs_of(pieces: list[Piece], shards: int, rest: bytes = b"") -> list[bytes]:
    """Return what there is to do for `Sharded.reduce`, a job a shard.

    Args:
        pieces: What the result is made of.
        shards: How many there are.
        rest: What else the state says.
    """
    told = [rest] if rest else []
    return [
        pack([shard, [piece[shard].plain() for piece in pieces if piece[shard].keys], *told]) for shard in range(shards)
    ]


def made_of(jobs: Sequence[bytes]) -> str:
    """Return the digest of the pieces that jobs name, in hexadecimal letters."""
    return digest(pack([pack(unpack(job)[:2]) for job in jobs])).hex()


def _rest_of(state: ShardState) -> bytes:
    """Return what a state says besides its pieces, in which all must be that is held."""
    if not state.is_empty:
        raise EncodingError("a part of a wide result is not in the folder of its run.")
    return state.rest()


def _saved_shape(shards: int) -> list[Any]:
    """Return the shape of a state: segments of each piece by shard, and the remainder."""
    return [ListOf([_SEGMENT_SHAPE] * shards), bytes]


#: Shape of `SpillSegment.plain`.
_SEGMENT_SHAPE = [str, int, int, int, int, bytes]
