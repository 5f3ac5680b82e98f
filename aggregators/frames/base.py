"""Base of the aggregators of frames: states are frames in a buffer, which is grouped when it is full."""

from abc import abstractmethod
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.aggregator import Aggregator
from elastic.core.errors import EncodingError, UsageError
from elastic.core.frames import frame_of, pack_frame, polars_module, unpack_frame

if TYPE_CHECKING:
    import polars

    from elastic.core.frames import Frame

#: Minimum number of rows in a buffer before it is grouped.
_MIN_ROWS = 2 << 20


class FrameBuffer:
    """Buffer of frames with the same columns, the states of chunks. Frames without rows are dropped."""

    __slots__ = ("frames", "grouped_rows", "rows")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        #: number of rows now, and after the last grouping
        self.rows = self.grouped_rows = 0

    def put(self, frame: "Frame", aggregator: object) -> None:
        """Append a frame.

        Raises:
            UsageError: Its columns or their types differ from those of earlier frames.
        """
        if frame.height:
            frame = self.with_schema(frame, aggregator)
            self.frames.append(frame)
            self.rows += frame.height

    def with_schema(self, frame: "Frame", aggregator: object) -> "Frame":
        """Return a frame with the types of the buffered frames. Raise as `put` does."""
        if self.frames and frame.schema != self.frames[0].schema:
            frame = _with_common_schema(frame, self, aggregator)
        return frame

    @property
    def is_full(self) -> bool:
        """Whether there are enough new rows for grouping to be worth its time."""
        return self.rows > max(_MIN_ROWS, 3 * self.grouped_rows)


class FrameAggregator(Aggregator[Any, FrameBuffer, Any]):
    """Base class of aggregators of frames: an entry is the frame of a chunk, from `map_frames` or `words`.

    A state groups its rows again when their number has tripled, so each row is grouped a few times, however many
    chunks there are. Results are Polars frames; their rows have no defined order, unless a class defines one. Columns
    and their types must be the same in all chunks.

    Raises:
        UsageError: Polars is missing, or a frame lacks a column.
    """

    #: Decoding a state with many keys takes as long as encoding it.
    by_reference = True

    def __init__(self) -> None:
        polars_module()

    @abstractmethod
    def reduce(self, frame: "Frame") -> "Frame":
        """Return the state of one chunk."""

    @abstractmethod
    def group(self, frame: "Frame") -> "Frame":
        """Return the state of several chunks; `frame` has the rows of their states."""

    @abstractmethod
    def result(self, frame: "Frame | None") -> Any:
        """Return the result of a grouped state, or of no entries if `frame` is None."""

    @abstractmethod
    def fits(self, frame: "Frame") -> bool:
        """Return whether a decoded frame has the columns of a state."""

    def packed(self, frame: "Frame") -> "Frame":
        """Return the frame to encode for a state. Override it, together with `unpacked`, to make it smaller."""
        return frame

    def unpacked(self, frame: "Frame") -> "Frame":
        """Return the frame of a state from a decoded one, which `packed` returned."""
        return frame

    def create(self) -> FrameBuffer:
        return FrameBuffer()

    def add(self, state: FrameBuffer, entry: Any) -> FrameBuffer:
        frame = frame_of(entry)
        if frame.height:
            state.put(self.reduce(frame), self)
        return self._grouped(state)

    def merge(self, state: FrameBuffer, other: FrameBuffer) -> FrameBuffer:
        for frame in other.frames:
            state.put(frame, self)
        state.grouped_rows = max(state.grouped_rows, other.grouped_rows)
        return self._grouped(state)

    def undo(self, state: FrameBuffer, other: FrameBuffer) -> Callable[[], FrameBuffer]:
        before = copy(state)
        before.frames = [*state.frames]
        return lambda: before

    def finish(self, state: FrameBuffer) -> Any:
        return self.result(self.whole(state))

    def encode(self, state: FrameBuffer) -> bytes:
        whole = self.whole(state)
        return pack_frame(polars_module().DataFrame() if whole is None else self.packed(whole))

    def decode(self, data: bytes) -> FrameBuffer:
        frame, state = self.read(unpack_frame(data)), FrameBuffer()
        state.put(frame, self)
        state.grouped_rows = frame.height
        return state

    def read(self, frame: "Frame") -> "Frame":
        """Return the frame of a state from a decoded one, which is not trusted.

        Raises:
            EncodingError: The frame is not a state of this aggregator.
        """
        found = self.unpacked(frame)
        if found.width and not self.fits(found):
            raise EncodingError(f"these bytes are not a state of {self}; was it saved by another aggregator?")
        return found

    def whole(self, state: FrameBuffer) -> "Frame | None":
        """Group the buffer into one frame and return it, or None if there are no rows."""
        if len(state.frames) > 1:
            whole = self.group(polars_module().concat(state.frames, how="vertical_relaxed"))
            state.frames, state.rows, state.grouped_rows = [whole], whole.height, whole.height
        return state.frames[0] if state.frames else None

    def _grouped(self, state: FrameBuffer) -> FrameBuffer:
        if state.is_full:
            self.whole(state)
        return state


class KeyedFrameAggregator(FrameAggregator):
    """Base class of aggregators of frames with one row per key in state and result, which `shards` can partition.

    The row of a key in the result depends only on the rows of this key. Key columns of the result have the names of
    those of the state.
    """

    def lift(self, frame: "Frame") -> "Frame | None":
        """Return each row of a chunk as the state of that row alone, or None if the class cannot.

        A sharded step uses it to partition rows without grouping them first, while their keys hardly repeat.
        """
        return None

    def folds_as(self, kind: "type[KeyedFrameAggregator]") -> bool:
        """Return whether this class folds chunks as `kind` does; a subclass may override how."""
        own = type(self)
        return (own.reduce, own.add, own.add_many) == (kind.reduce, kind.add, kind.add_many)

    @abstractmethod
    def key_names(self, frame: "Frame") -> list[str]:
        """Return the names of the key columns of a state or a result."""


def column(frame: "Frame", name: str, aggregator: object) -> "polars.Series":
    """Return a column of a frame.

    Raises:
        UsageError: The frame has no column of this name.
    """
    if name not in frame.columns:
        raise UsageError(
            f"{aggregator} needs the column {name!r}, and the frame has {', '.join(map(repr, frame.columns))}"
        )
    return frame.get_column(name)


def grouped(frame: "Frame", by: Any, measures: "list[polars.Expr]") -> "Frame":
    """Return a frame with a row for each key: the key, and the measures of its rows."""
    # Polars' streaming engine takes two thirds of the time of the in-memory engine, and half with many keys.
    found: Frame = frame.lazy().group_by(by).agg(measures).collect(engine="streaming")
    return found


def keys(frame: "Frame", names: "tuple[str, ...]", aggregator: object) -> "list[polars.Expr]":
    """Return expressions of the key columns whose values are the same in every chunk.

    Categorical and Enum values become strings, because each chunk numbers its categories on its own.
    """
    pl = polars_module()
    found = []
    for name in names:
        kind = column(frame, name, aggregator).dtype
        key = pl.col(name)
        if kind in (pl.Categorical, pl.Enum):
            key = key.cast(pl.String)
        found.append(one_zero(name, kind) if kind.is_float() else key)
    return found


def one_zero(name: str, kind: "polars.DataType") -> "polars.Expr":
    """Return a column of floats with 0.0 in place of -0.0, which is equal but has other bytes."""
    pl = polars_module()
    # Polars optimizes an addition of 0.0 away.
    plain: polars.Expr = pl.when(pl.col(name) == 0).then(pl.lit(0.0, dtype=kind)).otherwise(pl.col(name)).alias(name)
    return plain


def _with_common_schema(frame: "Frame", buffer: FrameBuffer, aggregator: object) -> "Frame":
    """Return a frame with the schema of a buffer; a column of nulls takes any type, in the frame and in the buffer.

    Raises:
        UsageError: The schemas differ.
    """
    pl = polars_module()
    before, now = dict(buffer.frames[0].schema), dict(frame.schema)
    if list(before) != list(now):
        raise UsageError(
            f"{aggregator} got a chunk with the columns {_quoted(now)} and another with {_quoted(before)}; "
            "select the same ones in map_frames"
        )
    for name in now:
        if before[name] == pl.Null:
            buffer.frames = [one.with_columns(pl.col(name).cast(now[name])) for one in buffer.frames]
        elif now[name] == pl.Null:
            frame = frame.with_columns(pl.col(name).cast(before[name]))
        elif before[name] != now[name]:
            raise UsageError(
                f"{aggregator} got {name!r} as {now[name]} in a chunk and as {before[name]} in another; "
                "cast it to one type in map_frames, or join the types of Parquet files by union_by_name=True"
            )
    return frame


def _quoted(names: Any) -> str:
    return ", ".join(map(repr, names))
