"""Hash partitioning of frames: their states on the workers, and the blocks of their results."""

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

#: Rows and bytes in memory at which a state groups its rows. It spills them unless few remain.
HELD_ROWS, HELD_BYTES = 1 << 21, 256 << 20

#: Share of these limits from which on a grouped state is spilled.
_MIN_SPILLED_SHARE = 0.5

#: One in this many keys is sampled, with all its rows, to estimate whether grouping is worth its time.
_SAMPLE_INTERVAL = 64

#: Name of the column of buckets, beside the user's columns, while a frame is partitioned.
_BUCKET = "\0bucket"

#: Buckets in a pseudo-random order.
_SHUFFLED = bytes(sorted(range(BUCKETS), key=lambda bucket: xxhash.xxh3_64_digest(bytes([bucket]))))


def buckets_of_rows(keys: "Frame") -> bytes:
    """Return the bucket of each row, one byte each.

    With one column it is the bucket of the value, from `buckets_of`. Times and Decimals count as the integers that
    Polars stores for them. Several columns are combined as P. K. Pearson hashes the bytes of a string: Fast Hashing of
    Variable-Length Text Strings, CACM 33 (1990), 677.

    Raises:
        UsageError: The values of a column cannot be partitioned. The message names the column.
    """
    return reduce(_combined, map(_buckets_of_column, keys.iter_columns()))


def _buckets_of_column(column: "polars.Series") -> bytes:
    pl = polars_module()
    if column.dtype.is_nested() or column.dtype == pl.Object:
        raise UsageError(
            f"shards partitions a result by key, and the values of {column.name!r} are {column.dtype}; convert them to "
            "strings or numbers in map_frames, or omit shards"
        )
    # A string has the bucket of its UTF-8 bytes, so Python needs no str of it.
    column = column.cast(pl.Binary) if column.dtype == pl.String else column.to_physical()
    # One slice at a time, so that Python's objects stay in the CPU's caches.
    starts = range(0, len(column), BATCH_SIZE)
    return b"".join(buckets_of(column.slice(start, BATCH_SIZE).to_list()) for start in starts)


def _combined(before: bytes, column: bytes) -> bytes:
    number = int.from_bytes(before.translate(_SHUFFLED)) ^ int.from_bytes(column)
    return number.to_bytes(len(column))


@dataclass(slots=True)
class FrameState(ShardState):
    """In-memory state of the inner aggregator over the latest entries."""

    inner: KeyedFrameAggregator
    buffer: FrameBuffer
    #: frames without rows: the schema of all spilled rows
    schema: FrameBuffer = field(default_factory=FrameBuffer)
    #: whether grouping the last chunk removed few rows, so the next chunk is buffered ungrouped
    skips_grouping: bool = False
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.buffer.rows

    def fold(self, entries: Iterable[Any]) -> None:
        for entry in entries:
            frame = frame_of(entry)
            lifted = self.inner.lift(frame) if self.skips_grouping and frame.height else None
            if lifted is None:
                before = self.buffer.rows
                self.buffer = self.inner.add_many(self.buffer, (frame,))
                self.skips_grouping = self.buffer.rows - before > frame.height * MAX_KEPT_SHARE
            else:
                self.buffer.put(lifted, self.inner)

    def join(self, other: "FrameState") -> None:
        for frame in other.buffer.frames:
            self.buffer.put(frame, self.inner)
        for frame in other.schema.frames:
            self._with_schema(frame)

    def encode_remainder(self) -> bytes:
        if self.is_empty:
            return b"".join(map(pack_frame, self.schema.frames))
        buffer, self.buffer = self.buffer, self.inner.create()
        return self.inner.encode(buffer)

    def take_if_large(self) -> Iterator[Packed] | None:
        if self._fullness() < 1:
            return None
        self._group()
        return self._packed() if self._fullness() >= _MIN_SPILLED_SHARE else None

    def take_all(self) -> Iterator[Packed]:
        self._group()
        return self._packed()

    def _fullness(self) -> float:
        """Return the used share of the limits. Estimate the size of all rows from the last frame."""
        if self.is_empty:
            return 0.0
        last, rows = self.buffer.frames[-1], self.buffer.rows
        return max(rows / HELD_ROWS, rows / last.height * last.estimated_size() / HELD_BYTES)

    def _group(self) -> None:
        """Group the rows in memory, unless a sample has hardly any equal keys."""
        pl = polars_module()
        keys = [frame.select(self.inner.key_names(frame)) for frame in self.buffer.frames]
        sample = [frame.filter(frame.hash_rows() % _SAMPLE_INTERVAL == 0) for frame in keys]
        rows = sum(frame.height for frame in sample)
        # An empty sample can mean few keys with many rows each.
        if not rows or pl.concat(sample, how="vertical_relaxed").n_unique() <= rows * MAX_KEPT_SHARE:
            self.inner.whole(self.buffer)

    def _packed(self) -> Iterator[Packed]:
        pl, frames = polars_module(), self.buffer.frames
        self.buffer, self.skips_grouping = self.inner.create(), False
        if not frames:
            return
        frame = self._with_schema(pl.concat(frames, how="vertical_relaxed"))
        names = self.inner.key_names(frame)
        buckets = buckets_of_rows(frame.select(names)) if names else bytes(frame.height)
        divided = self.inner.packed(frame).with_columns(pl.Series(_BUCKET, list(buckets), dtype=pl.UInt8))
        by_bucket = divided.partition_by(_BUCKET, include_key=False, as_dict=True)
        for place in sorted(by_bucket):
            part = by_bucket.pop(place)
            yield place[0], part.height, pack_frame(part)

    def _with_schema(self, frame: "Frame") -> "Frame":
        """Return a frame with the types of the spilled rows; a conflict would else show only at the end of the run."""
        frame = self.schema.with_schema(frame, self.inner)
        if not self.schema.frames:
            self.schema.frames.append(frame.clear())
        return frame


class FramePartitioner(StatePartitioner["Frame"]):
    """Hash partitioner of the states of an aggregator of frames.

    Args:
        inner: The aggregator.
        schema: Frames without rows: the known columns of all spilled rows, and their types.
    """

    inner: KeyedFrameAggregator

    def __init__(self, inner: KeyedFrameAggregator, schema: "Sequence[Frame]" = ()) -> None:
        super().__init__(inner)
        self._schema = schema

    def with_schema_of(self, remainder: bytes) -> "FramePartitioner":
        return FramePartitioner(self.inner, self.decode(remainder).schema.frames)

    def create(self) -> FrameState:
        return FrameState(self.inner, self.inner.create())

    def decode(self, remainder: bytes) -> FrameState:
        state = self.create()
        frame = unpack_frame(remainder) if remainder else None
        if frame is not None and frame.height:
            state.buffer = self.inner.decode(remainder)
        elif frame is not None:
            state.schema.frames.append(self.inner.read(frame))
        return state

    def gather(self, packed: Iterable[bytes]) -> FrameBuffer:
        buffer = self.inner.create()
        buffer.frames += self._schema
        # Their schemas are mostly the same, and one large frame is faster than many small ones.
        for _, frames in groupby(map(unpack_frame, packed), key=lambda frame: frame.schema):
            buffer.put(self.inner.read(polars_module().concat(frames)), self.inner)
        if len(buffer.frames) == 1 and buffer.rows:
            # `finish` would take a single frame as grouped.
            buffer.frames = [self.inner.group(buffer.frames[0])]
        return buffer

    def block(self, state: FrameBuffer) -> "Frame":
        pl, frame = polars_module(), self.inner.finish(state)
        if not is_frame(frame) or not set(names := self.inner.key_names(frame)) <= set(frame.columns):
            raise UsageError(
                f"with shards the result of {self.inner} must be a frame with the columns of its key; omit shards."
            )
        floats = [name for name, kind in frame.schema.items() if kind.is_float()]
        # NaN has many bit patterns, and the digest must not depend on the one that came first.
        found: Frame = frame.with_columns(pl.col(floats).fill_nan(float("nan")))
        # One thread sorts a few thousand strings as fast as two, with half of the work.
        return found.sort(names, nulls_last=True, multithreaded=False) if names else found

    def size(self, block: "Frame") -> int:
        return block.height

    def pack(self, block: "Frame") -> bytes:
        return pack_frame(block)

    def open(self, data: bytes) -> "Frame":
        return unpack_frame(data)

    def content(self, block: "Frame", data: bytes) -> bytes:
        # The digest covers the values, because the bytes of a frame may change with the version of Polars.
        return digest(pack([[name, *_plain(block.get_column(name))] for name in block.columns]))

    def write(self, block: "Frame", rows: OutputFileWriter) -> None:
        rows.write_frame(block)

    def open_result(self, blocks: ResultBlocks["Frame"], shards: int) -> ShardedFrame:
        return ShardedFrame(blocks, shards)


def _plain(column: "polars.Series") -> tuple[str, list[Any]]:
    """Return the type of a column, or "" if the values imply it, and the values as plain data.

    Times are the integers that Polars stores, because Python has neither nanoseconds nor years beyond 9999.
    """
    physical = column.to_physical()
    is_implied = physical.dtype == column.dtype or column.null_count() == len(column)
    return "" if is_implied else str(column.dtype), physical.to_list()
