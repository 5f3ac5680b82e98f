"""Frames that are divided by key: their states on the workers, and the blocks of their results."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any

import xxhash

from elastic.aggregators.frames.base import FrameBuffer, KeyedFrameAggregator
from elastic.aggregators.sharded.frame_result import ShardedFrame
from elastic.aggregators.sharded.partitioner import StatePartitioner
from elastic.aggregators.sharded.shard_state import MAX_KEPT_SHARE, Packed, Piece, ShardState
from elastic.aggregators.sharded.sharded_result import ResultBlocks
from elastic.aggregators.states.batching import BATCH_SIZE
from elastic.core.contracts.sink import OutputFileWriter
from elastic.core.encoding import digest, pack
from elastic.core.errors import UsageError
from elastic.core.frames import frame_of, is_frame, pack_frame, polars_module, unpack_frame
from elastic.core.partitioning import BUCKETS, buckets_of

if TYPE_CHECKING:
    import polars

    from elastic.core.frames import Frame

#: Rows, and bytes of them, that are held before they are grouped, and left in the depot unless that made them few.
HELD_ROWS, HELD_BYTES = 1 << 21, 256 << 20

#: The part of that from which on it is left.
_MUCH = 0.5

#: One of so many keys is looked at, with all its rows, to see whether grouping pays.
_SAMPLED = 64

#: The column of buckets, beside columns of the user's, while a frame is divided.
_BUCKET = "\0bucket"

#: Buckets in an order that has nothing to do with their numbers.
_SHUFFLED = bytes(sorted(range(BUCKETS), key=lambda bucket: xxhash.xxh3_64_digest(bytes([bucket]))))


def buckets_of_rows(keys: "Frame") -> bytes:
    """Return the bucket of each row, one byte each.

    For one column it is that of the value, as `buckets_of` has it; of times and Decimals that of the integers that are
    kept for them. Those of several columns are joined as P. K. Pearson hashes the bytes of a text, Fast Hashing of
    Variable-Length Text Strings, CACM 33 (1990), 677.

    Raises:
        UsageError: The values of a column cannot be divided; names it.
    """
    return reduce(_joined, map(_buckets_of_column, keys.iter_columns()))


def _buckets_of_column(column: "polars.Series") -> bytes:
    pl = polars_module()
    if column.dtype.is_nested() or column.dtype == pl.Object:
        raise UsageError(
            f"shards divides a result by key, and the values of {column.name!r} are {column.dtype}; make texts or "
            "numbers of them in map_frames, or leave out shards"
        )
    # A text has the bucket of its bytes in UTF-8, and need not be made.
    column = column.cast(pl.Binary) if column.dtype == pl.String else column.to_physical()
    # A part at a time, so that a processor holds what Python makes of it near itself.
    starts = range(0, len(column), BATCH_SIZE)
    return b"".join(buckets_of(column.slice(start, BATCH_SIZE).to_list()) for start in starts)


def _joined(before: bytes, column: bytes) -> bytes:
    number = int.from_bytes(before.translate(_SHUFFLED)) ^ int.from_bytes(column)
    return number.to_bytes(len(column))


@dataclass(slots=True)
class FrameState(ShardState):
    """The state of the inner aggregator over what came last."""

    inner: KeyedFrameAggregator
    pile: FrameBuffer
    #: without rows: the columns of all that was left, and their types
    kinds: FrameBuffer = field(default_factory=FrameBuffer)
    #: grouping the last chunk by itself was of no use, so that the rows of the next one go on the pile as they are
    lifts: bool = False
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.pile.rows

    def fold(self, entries: Iterable[Any]) -> None:
        for entry in entries:
            frame = frame_of(entry)
            lifted = self.inner.lift(frame) if self.lifts and frame.height else None
            if lifted is None:
                before = self.pile.rows
                self.pile = self.inner.add_many(self.pile, (frame,))
                self.lifts = self.pile.rows - before > frame.height * MAX_KEPT_SHARE
            else:
                self.pile.put(lifted, self.inner)

    def join(self, other: "FrameState") -> None:
        for frame in other.pile.frames:
            self.pile.put(frame, self.inner)
        for frame in other.kinds.frames:
            self._fit(frame)

    def rest(self) -> bytes:
        if self.is_empty:
            return b"".join(map(pack_frame, self.kinds.frames))
        pile, self.pile = self.pile, self.inner.create()
        return self.inner.encode(pile)

    def spill(self) -> Iterator[Packed] | None:
        if self._fullness() < 1:
            return None
        self._group()
        return self._packed() if self._fullness() >= _MUCH else None

    def drain(self) -> Iterator[Packed]:
        self._group()
        return self._packed()

    def _fullness(self) -> float:
        """Return which part is held of what may be; rows are taken to be as wide as the last ones."""
        if self.is_empty:
            return 0.0
        last, rows = self.pile.frames[-1], self.pile.rows
        return max(rows / HELD_ROWS, rows / last.height * last.estimated_size() / HELD_BYTES)

    def _group(self) -> None:
        """Group what is held, unless hardly any keys seem to be equal."""
        pl = polars_module()
        keys = [frame.select(self.inner.key_names(frame)) for frame in self.pile.frames]
        sample = [frame.filter(frame.hash_rows() % _SAMPLED == 0) for frame in keys]
        rows = sum(frame.height for frame in sample)
        # Of none there may be few keys, each of them many times.
        if not rows or pl.concat(sample, how="vertical_relaxed").n_unique() <= rows * MAX_KEPT_SHARE:
            self.inner.whole(self.pile)

    def _packed(self) -> Iterator[Packed]:
        pl, frames = polars_module(), self.pile.frames
        self.pile, self.lifts = self.inner.create(), False
        if not frames:
            return
        frame = self._fit(pl.concat(frames, how="vertical_relaxed"))
        names = self.inner.key_names(frame)
        buckets = buckets_of_rows(frame.select(names)) if names else bytes(frame.height)
        divided = self.inner.packed(frame).with_columns(pl.Series(_BUCKET, list(buckets), dtype=pl.UInt8))
        by_bucket = divided.partition_by(_BUCKET, include_key=False, as_dict=True)
        for place in sorted(by_bucket):
            part = by_bucket.pop(place)
            yield place[0], part.height, pack_frame(part)

    def _fit(self, frame: "Frame") -> "Frame":
        """Return a frame with the types of what was left before; those that differ would not meet before the end."""
        frame = self.kinds.fitted(frame, self.inner)
        if not self.kinds.frames:
            self.kinds.frames.append(frame.clear())
        return frame


class FramePartitioner(StatePartitioner["Frame"]):
    """Divides the state of an aggregator of frames.

    Args:
        inner: The aggregator.
        kinds: Without rows: the columns of all that was left, and their types, as far as they are known.
    """

    inner: KeyedFrameAggregator

    def __init__(self, inner: KeyedFrameAggregator, kinds: "Sequence[Frame]" = ()) -> None:
        super().__init__(inner)
        self._kinds = kinds

    def told(self, rest: bytes) -> "FramePartitioner":
        return FramePartitioner(self.inner, self.decode(rest).kinds.frames)

    def create(self) -> FrameState:
        return FrameState(self.inner, self.inner.create())

    def decode(self, rest: bytes) -> FrameState:
        state = self.create()
        frame = unpack_frame(rest) if rest else None
        if frame is not None and frame.height:
            state.pile = self.inner.decode(rest)
        elif frame is not None:
            state.kinds.frames.append(self.inner.read(frame))
        return state

    def gather(self, packed: Iterable[bytes]) -> FrameBuffer:
        pile = self.inner.create()
        pile.frames += self._kinds
        # Most often they are all alike, and what is done to one frame takes as long as with many rows.
        for _, alike in groupby(map(unpack_frame, packed), key=lambda frame: frame.schema):
            pile.put(self.inner.read(polars_module().concat(alike)), self.inner)
        if len(pile.frames) == 1 and pile.rows:
            # By itself it would be taken for grouped, which it need not be.
            pile.frames = [self.inner.group(pile.frames[0])]
        return pile

    def block(self, state: FrameBuffer) -> "Frame":
        pl, frame = polars_module(), self.inner.finish(state)
        if not is_frame(frame) or not set(names := self.inner.key_names(frame)) <= set(frame.columns):
            raise UsageError(
                f"with shards the result of {self.inner} must be a frame with the columns of its key; leave out shards."
            )
        floats = [name for name, kind in frame.schema.items() if kind.is_float()]
        # Of NaN there are many; which of them came first must not be told by the digest.
        found: Frame = frame.with_columns(pl.col(floats).fill_nan(float("nan")))
        # One thread sorts a few thousand texts as soon as two do, and with half of the work.
        return found.sort(names, nulls_last=True, multithreaded=False) if names else found

    def size(self, block: "Frame") -> int:
        return block.height

    def pack(self, block: "Frame") -> bytes:
        return pack_frame(block)

    def open(self, data: bytes) -> "Frame":
        return unpack_frame(data)

    def content(self, block: "Frame", data: bytes) -> bytes:
        # Of the values, because how a library writes a frame may change from one version to the next.
        return digest(pack([[name, *_plain(block.get_column(name))] for name in block.columns]))

    def write(self, block: "Frame", rows: OutputFileWriter) -> None:
        rows.write_frame(block)

    def wide(self, blocks: ResultBlocks["Frame"], shards: int) -> ShardedFrame:
        return ShardedFrame(blocks, shards)


def _plain(column: "polars.Series") -> tuple[str, list[Any]]:
    """Return values as plain data, and what they mean where that is not said by themselves.

    Python has neither nanoseconds nor years beyond 9999: of times there are the integers that are kept for them.
    """
    physical = column.to_physical()
    is_said = physical.dtype == column.dtype or column.null_count() == len(column)
    return "" if is_said else str(column.dtype), physical.to_list()
