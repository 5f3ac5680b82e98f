"""Sharded: an aggregator whose state is divided by key, and is never whole in one process."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from elastic.aggregators.batch import batches
from elastic.aggregators.saved_state import is_list, read_state
from elastic.aggregators.shard_block import merged
from elastic.aggregators.shard_state import Piece, ShardState
from elastic.aggregators.wide_mapping import Merging, WideMapping
from elastic.core.bucket import shard_range
from elastic.core.depot import Bundle, Depot, Index
from elastic.core.encoding import compress, digest, pack, unpack
from elastic.core.errors import EncodingError
from elastic.core.output import Output, Part
from elastic.core.sharding import AnyKeyed, KeyedAggregator, ShardedAggregator


class Sharded(ShardedAggregator):
    """Folds entries as `inner` does. What goes to the master says only where its state is, and how much of it.

    Args:
        inner: What the entries are folded by.
        shards: In how many parts the result is made.
        depot: Where the parts of the state are left.
        output: Where the result is written to as well; None for nowhere.
    """

    def __init__(self, inner: AnyKeyed, shards: int, depot: Depot, output: Output | None = None) -> None:
        self.inner, self.shards, self.depot, self.output = inner, shards, depot, output
        self.ordered = inner.ordered

    def at(self, depot: Depot) -> "Sharded":
        return Sharded(self.inner, self.shards, depot, self.output)

    @property
    def can_reduce(self) -> bool:
        return self.depot.readable and (self.output is None or self.output.writable)

    def create(self) -> ShardState:
        return ShardState(self.inner.create())

    def add(self, state: ShardState, entry: Any) -> ShardState:
        state.window = self.inner.add(state.window, entry)
        state.entries += 1
        return state

    def add_many(self, state: ShardState, entries: Iterable[Any]) -> ShardState:
        for batch in batches(entries):
            state.fold(self.inner, batch)
        return state

    def merge(self, state: ShardState, other: ShardState) -> ShardState:
        # In their order: the window is behind what is held, and that behind what was left.
        if self.ordered and other.pieces and (state.window or state.held is not None):
            state.leave(self.inner, self.depot, self.shards, all_of_it=True)
        state.pieces += other.pieces
        if other.held is not None:
            state.divide(self.inner).take_all(other.held)
        state.window = self.inner.merge(state.window, other.window)
        state.entries += other.entries
        return state

    def spill(self, state: ShardState) -> ShardState:
        state.settle(self.inner)
        if self.depot.writable:
            state.leave(self.inner, self.depot, self.shards, all_of_it=False)
        return state

    def finish(self, state: ShardState) -> WideMapping[Merging]:
        if state.window or state.held is not None:
            raise EncodingError("a part of a wide result is not in the folder of its run.")
        by_shard = [[piece[shard] for piece in state.pieces] for shard in range(self.shards)]
        return WideMapping(Merging(self.inner, self.depot, by_shard), self.shards)

    def encode(self, state: ShardState) -> bytes:
        rest = b""
        if self.depot.writable:
            state.leave(self.inner, self.depot, self.shards, all_of_it=True)
            self.depot.settle()
        elif state.window or state.held is not None:
            # A process for one chunk, on a node that does not see the folder: its worker has another way.
            rest = self.inner.encode(state.whole(self.inner))
        return pack([[[bundle.plain() for bundle in piece] for piece in state.pieces], rest])

    def decode(self, data: bytes) -> ShardState:
        _, rest = read_state(data, self, lambda plain: _fits(plain, self.shards))
        state = ShardState(self.inner.decode(rest) if rest else self.inner.create())
        state.pieces = pieces_of(data, self.shards)
        return state

    def jobs(self, state: ShardState) -> list[bytes]:
        """Return what there is to do for `reduce`, a job a shard."""
        return jobs_of(state.pieces, self.shards)

    def reduce(self, job: bytes) -> bytes:
        shard, plain = unpack(job)
        bundles, index = [Bundle(*fields) for fields in plain], Index()
        written = nullcontext() if self.output is None else self.output.open()
        with written as rows, self.depot.create("result") as file:
            for bucket, keys, values in self._blocks(bundles, shard):
                data = merged(keys, values)
                frame = compress(data)
                index.add(bucket, len(keys), frame, digest(data))
                file.write(frame)
                if rows is not None:
                    rows.write(keys, values)
            file.write(index.packed())
        return pack([index.bundle(file.name, 0).plain(), None if rows is None else rows.part.plain()])

    def contents(self, job: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield bucket, keys and digest of what `reduce` makes of each, without leaving anything."""
        shard, plain = unpack(job)
        for bucket, keys, values in self._blocks([Bundle(*fields) for fields in plain], shard):
            yield bucket, len(keys), digest(merged(keys, values))

    def _blocks(self, bundles: list[Bundle], shard: int) -> Iterator[tuple[int, list[Any], list[Any]]]:
        merging = Merging(self.inner, self.depot, {shard: bundles})
        for bucket in shard_range(shard, self.shards):
            keys, values = merging.block(shard, bucket)
            if keys:
                yield bucket, keys, values

    def of_utf8(self) -> "Sharded | None":
        inner = self.inner.of_utf8()
        return Sharded(inner, self.shards, self.depot, self.output) if isinstance(inner, KeyedAggregator) else None

    def __str__(self) -> str:
        return str(self.inner)


def pieces_of(data: bytes, shards: int) -> list[Piece]:
    """Return where the parts of an encoded state are.

    Raises:
        EncodingError: It is no state of an aggregator with so many shards.
    """
    pieces, _ = read_state(data, f"an aggregator with {shards} shards", lambda plain: _fits(plain, shards))
    return [tuple(Bundle(*plain) for plain in piece) for piece in pieces]


def reduced_of(answer: bytes) -> tuple[Bundle, Part | None]:
    """Return what `Sharded.reduce` has made: the shard's part of the result, and of the output."""
    bundle, part = unpack(answer)
    return Bundle(*bundle), None if part is None else Part(*part)


def jobs_of(pieces: list[Piece], shards: int) -> list[bytes]:
    """Return what there is to do for `Sharded.reduce`, a job a shard."""
    return [pack([shard, [piece[shard].plain() for piece in pieces if piece[shard].keys]]) for shard in range(shards)]


def _fits(plain: Any, shards: int) -> bool:
    return (
        is_list(plain, 2)
        and is_list(plain[0])
        and type(plain[1]) is bytes
        and all(is_list(piece, shards) and all(map(_is_bundle, piece)) for piece in plain[0])
    )


def _is_bundle(plain: Any) -> bool:
    return is_list(plain, 6) and list(map(type, plain)) == [str, int, int, int, int, bytes]
