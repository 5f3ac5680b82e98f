"""How chunks become frames on a worker, and what a function of frames is given."""

from collections.abc import Callable, Collection, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from elastic.core.frames import ENTRY, arrow_module, frame_of, frame_of_entries, is_frame, polars_module
from elastic.stages.sources.files.lines import LazyLines

if TYPE_CHECKING:
    import polars

    from elastic.core.frames import Frame


class FramedBlock(LazyLines):
    """Lines of text whose frame was made ahead of time, by the function that would be asked for it."""

    __slots__ = ("_frame",)

    def __init__(self, lines: LazyLines, frame: "Frame") -> None:
        super().__init__(lines.data)
        self._frame = frame
        # Polars counts lines in half of the time, and with all CPUs.
        self._length = column_of(lines.data, ENTRY).select(polars_module().len()).collect().item()

    @property
    def frame(self) -> "Frame":
        """The frame, which whoever gets it may change."""
        return self._frame.clone()


def as_frame(frame: "Frame") -> "Frame":
    """Return a frame as it is: what stands between entries and an aggregator of frames."""
    return frame


def frame_in(entries: Iterable[Any]) -> "Frame":
    """Return the entries of a chunk as one frame.

    Frames are joined, lines become the column `entry`, mappings columns by key.

    Raises:
        UsageError: They do not fit together.
    """
    if isinstance(entries, FramedBlock):
        return entries.frame
    # Polars takes a carriage return at the very end for half a line end; here it is a character of the last line.
    if isinstance(entries, LazyLines) and not entries.data.endswith(b"\r"):
        lines: Frame = column_of(entries.data, ENTRY).collect()
        return lines
    several: Any = entries if isinstance(entries, list | tuple | range) else list(entries)
    if several and all(map(is_frame, several)):
        frame: Frame = polars_module().concat(several) if len(several) > 1 else several[0]
        return frame
    return frame_of_entries(several)


def run_frames(function: Callable[[Any], Any], entries: Collection[Any]) -> "tuple[Frame]":
    """Return what a function makes of the frame of a chunk."""
    return (frame_of(function(frame_in(entries))),)


def run_tables(function: Callable[[Any], Any], entries: Collection[Any]) -> "tuple[Frame]":
    """Return what a function makes of the Arrow table of a chunk."""
    arrow_module()
    return (frame_of(function(frame_in(entries).to_arrow())),)


def column_of(data: bytes, name: str) -> "polars.LazyFrame":
    """Return the lines of a text in UTF-8 as a column that is not computed yet."""
    column: polars.LazyFrame = polars_module().scan_lines(BytesIO(data), name=name)
    return column
