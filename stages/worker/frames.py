"""Frames on a worker: conversion of chunks to frames, and calls of functions of frames."""

from collections.abc import Callable, Collection, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from elastic.core.errors import UsageError
from elastic.core.frames import ENTRY, arrow_module, frame_of, frame_of_entries, is_frame, polars_module
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.sources.tables.table_entries import TableEntries

if TYPE_CHECKING:
    import polars

    from elastic.core.frames import Frame


class FramedBlock(LazyLines):
    """Lines of text with a frame that the prefetch thread has already built."""

    __slots__ = ("_frame",)

    def __init__(self, lines: LazyLines, frame: "Frame") -> None:
        super().__init__(lines.data)
        self._frame = frame
        # Polars counts the lines in half the time, on all CPUs.
        self._length = column_of(lines.data, ENTRY).select(polars_module().len()).collect().item()

    @property
    def frame(self) -> "Frame":
        """A clone of the frame, which the caller may modify."""
        return self._frame.clone()


class FramedTable(TableEntries):
    """Rows of a table with a frame that the prefetch thread has already built."""

    __slots__ = ("_frame",)

    def __init__(self, entries: TableEntries) -> None:
        super().__init__(entries.table)
        self._frame = entries.frame

    @property
    def frame(self) -> "Frame":
        """A clone of the frame, which the caller may modify."""
        return self._frame.clone()


def as_frame(frame: "Frame") -> "Frame":
    """Return the frame unchanged: the transform between entries and an aggregator of frames."""
    return frame


def frame_in(entries: Iterable[Any]) -> "Frame":
    """Return the entries of a chunk as one frame.

    Frames are concatenated. Lines become the column `entry`, and mappings one column per key.

    Raises:
        UsageError: The entries do not fit into one frame.
    """
    if isinstance(entries, FramedBlock):
        return entries.frame
    if isinstance(entries, TableEntries):
        return entries.frame
    # Polars drops a carriage return at the end of the data; for Elastic it is part of the last line.
    if isinstance(entries, LazyLines) and not entries.data.endswith(b"\r"):
        lines: Frame = column_of(entries.data, ENTRY).collect()
        return lines
    several: Any = entries if isinstance(entries, list | tuple | range) else list(entries)
    if several and all(map(is_frame, several)):
        frame: Frame = polars_module().concat(several) if len(several) > 1 else several[0]
        return frame
    return frame_of_entries(several)


def run_frames(function: Callable[[Any], Any], entries: Collection[Any]) -> "tuple[Frame]":
    """Return the frame that a function returns for the frame of a chunk."""
    return (frame_of(function(frame_in(entries))),)


def run_tables(function: Callable[[Any], Any], entries: Collection[Any]) -> "tuple[Frame]":
    """Return the frame of the table that a function returns for the Arrow table of a chunk."""
    arrow_module()
    return (frame_of(function(frame_in(entries).to_arrow())),)


def has_lines() -> bool:
    """Return whether Polars is installed, in a version that reads lines."""
    try:
        return hasattr(polars_module(), "scan_lines")
    except UsageError:
        return False


def column_of(data: bytes, name: str) -> "polars.LazyFrame":
    """Return the lines of UTF-8 text as a lazy column."""
    column: polars.LazyFrame = polars_module().scan_lines(BytesIO(data), name=name)
    return column
