"""What aggregators of frames share: states are frames that are put on a pile, and grouped when the pile is high."""

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

#: Rows that may lie on a pile before it is grouped, however few are left of them.
_LEAST_ROWS = 2 << 20


class FrameBuffer:
    """States of chunks, as frames with the same columns; those without rows are left out."""

    __slots__ = ("frames", "grouped_rows", "rows")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        #: rows of all frames, and how many there were when they were last grouped
        self.rows = self.grouped_rows = 0

    def put(self, frame: "Frame", aggregator: object) -> None:
        """Put a frame on the pile.

        Raises:
            UsageError: Its columns, or their types, are not those of the frames before.
        """
        if frame.height:
            frame = self.fitted(frame, aggregator)
            self.frames.append(frame)
            self.rows += frame.height

    def fitted(self, frame: "Frame", aggregator: object) -> "Frame":
        """Return a frame with the types of the frames on the pile. Raises as `put` does."""
        if self.frames and frame.schema != self.frames[0].schema:
            frame = _agreed(frame, self, aggregator)
        return frame

    @property
    def is_high(self) -> bool:
        """True when there are so many rows that grouping them pays."""
        return self.rows > max(_LEAST_ROWS, 3 * self.grouped_rows)


class FrameAggregator(Aggregator[Any, FrameBuffer, Any]):
    """Folds frames: an entry is the frame of a chunk, as `map_frames` and `words` make them.

    Rows of a state are grouped again when there are three times as many as the last time, so that each row is touched
    a few times however many chunks there are. Results are Polars frames; their rows come in an order that is not said,
    unless a class says so. Columns and their types must be the same in all chunks.

    Raises:
        UsageError: Polars is not installed, or a frame does not have the columns that are needed.
    """

    #: A state of many keys takes as long to be read as it took to be written.
    by_reference = True

    def __init__(self) -> None:
        polars_module()

    @abstractmethod
    def reduce(self, frame: "Frame") -> "Frame":
        """Return the state of one chunk."""

    @abstractmethod
    def group(self, frame: "Frame") -> "Frame":
        """Return the state of the chunks whose states are the rows of `frame`."""

    @abstractmethod
    def result(self, frame: "Frame | None") -> Any:
        """Return the result of a state that is grouped, or of no entries."""

    @abstractmethod
    def fits(self, frame: "Frame") -> bool:
        """Tell whether a frame from the disk has the columns of a state."""

    def packed(self, frame: "Frame") -> "Frame":
        """Return the frame of a state as it becomes bytes: override it, and `unpacked`, where that can be smaller."""
        return frame

    def unpacked(self, frame: "Frame") -> "Frame":
        """Return the frame of which `packed` made this one."""
        return frame

    def create(self) -> FrameBuffer:
        return FrameBuffer()

    def add(self, state: FrameBuffer, entry: Any) -> FrameBuffer:
        frame = frame_of(entry)
        if frame.height:
            state.put(self.reduce(frame), self)
        return self._lowered(state)

    def merge(self, state: FrameBuffer, other: FrameBuffer) -> FrameBuffer:
        for frame in other.frames:
            state.put(frame, self)
        state.grouped_rows = max(state.grouped_rows, other.grouped_rows)
        return self._lowered(state)

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
        """Return the frame of which `packed` made this one, which is not trusted.

        Raises:
            EncodingError: It is not the state of this aggregator.
        """
        found = self.unpacked(frame)
        if found.width and not self.fits(found):
            raise EncodingError(f"these bytes are not a state of {self}; was it saved by another aggregator?")
        return found

    def whole(self, state: FrameBuffer) -> "Frame | None":
        """Group the pile, so that it is one frame that stands for the same; returns it, or None for no rows."""
        if len(state.frames) > 1:
            whole = self.group(polars_module().concat(state.frames, how="vertical_relaxed"))
            state.frames, state.rows, state.grouped_rows = [whole], whole.height, whole.height
        return state.frames[0] if state.frames else None

    def _lowered(self, state: FrameBuffer) -> FrameBuffer:
        if state.is_high:
            self.whole(state)
        return state


class KeyedFrameAggregator(FrameAggregator):
    """An aggregator of frames whose state and result have a row for each key, so that `shards` can divide them.

    What the result says of a key depends on the rows of that key only, and its columns have the names of the state's.
    """

    def lift(self, frame: "Frame") -> "Frame | None":
        """Return the rows of a chunk, each of them as the state of that row alone; None where there is no such thing.

        Rows whose keys hardly repeat are not grouped then before they are divided.
        """
        return None

    def folds_as(self, kind: "type[KeyedFrameAggregator]") -> bool:
        """Tell whether chunks are folded as a class does, and not in a way of a class that was derived from it."""
        own = type(self)
        return (own.reduce, own.add, own.add_many) == (kind.reduce, kind.add, kind.add_many)

    @abstractmethod
    def key_names(self, frame: "Frame") -> list[str]:
        """Return the names of the columns of a state, or of a result, that are the key."""


def column(frame: "Frame", name: str, aggregator: object) -> "polars.Series":
    """Return a column that an aggregator needs.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in frame.columns:
        raise UsageError(
            f"{aggregator} needs the column {name!r}, and the frame has {', '.join(map(repr, frame.columns))}"
        )
    return frame.get_column(name)


def grouped(frame: "Frame", by: Any, measures: "list[polars.Expr]") -> "Frame":
    """Return a frame with a row for each key, and what is computed of its rows."""
    # Polars' streaming engine takes two thirds of the time of the other one, and half when there are many keys.
    found: Frame = frame.lazy().group_by(by).agg(measures).collect(engine="streaming")
    return found


def keys(frame: "Frame", names: "tuple[str, ...]", aggregator: object) -> "list[polars.Expr]":
    """Return what columns are grouped by, so that it is the same in every chunk.

    Texts of a closed list are numbered by each chunk on its own.
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
    """Return a column of floats without the negative zero, which is equal to the other one and not the same."""
    pl = polars_module()
    # Polars takes the addition of 0.0 for nothing to do, and leaves it out.
    plain: polars.Expr = pl.when(pl.col(name) == 0).then(pl.lit(0.0, dtype=kind)).otherwise(pl.col(name)).alias(name)
    return plain


def _agreed(frame: "Frame", pile: FrameBuffer, aggregator: object) -> "Frame":
    """Return a frame as it fits on a pile: a column of nothing but nulls has any type.

    Raises:
        UsageError: It does not fit.
    """
    pl = polars_module()
    before, now = dict(pile.frames[0].schema), dict(frame.schema)
    if list(before) != list(now):
        raise UsageError(
            f"{aggregator} got a chunk with the columns {_shown(now)} and another with {_shown(before)}; "
            "select the same ones in map_frames"
        )
    for name in now:
        if before[name] == pl.Null:
            pile.frames = [one.with_columns(pl.col(name).cast(now[name])) for one in pile.frames]
        elif now[name] == pl.Null:
            frame = frame.with_columns(pl.col(name).cast(before[name]))
        elif before[name] != now[name]:
            raise UsageError(
                f"{aggregator} got {name!r} as {now[name]} in a chunk and as {before[name]} in another; "
                "cast it to one type in map_frames"
            )
    return frame


def _shown(names: Any) -> str:
    return ", ".join(map(repr, names))
