"""Pipeline: transforms fused into one chain of C-level iterators, without a Python loop over the entries."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain, tee
from typing import Any

from elastic.core.errors import EntryError
from elastic.core.program import Program
from elastic.core.transform import (
    OF_FRAMES,
    WHOLE_CHUNK,
    Filter,
    FlatMap,
    FrameWords,
    KeyBy,
    Map,
    MapChunks,
    MapFrames,
    MapTables,
    Task,
    Transform,
    Words,
)
from elastic.stages.sources.files.reader import FileReader
from elastic.stages.worker.frames import has_lines, run_frames, run_tables
from elastic.stages.worker.words import utf8_words, word_frame, words


def optimize(program: Program) -> Program:
    """Return a faster program with the same encoded states and results; a program that is optimized stays as it is.

    Words of files that no function changes become a column of a frame, if the files are large and Polars is installed.
    Otherwise they stay UTF-8 bytes: a string takes 50 % more memory than its bytes, and memory is the bottleneck of
    counting many distinct words. Master and workers decide each for themselves, because they exchange encoded states.
    """
    reader = program.reader
    if not (isinstance(reader, FileReader) and reader.yields_text and program.transforms == (Words(words),)):
        return program
    if program.in_columns and has_lines():
        of_frames = program.aggregator.of_words()
        if of_frames is not None:
            return replace(program, transforms=(FrameWords(word_frame),), aggregator=of_frames)
    of_bytes = program.aggregator.of_utf8()
    return program if of_bytes is None else replace(program, transforms=(Words(utf8_words),), aggregator=of_bytes)


#: Applies the function of a transform to an iterator, by type of transform.
_APPLY: dict[type[Transform], Callable[[Callable[..., Any], Any], Iterable[Any]]] = {
    Map: map,
    Filter: filter,
    FlatMap: lambda function, entries: chain.from_iterable(map(function, entries)),
    KeyBy: lambda function, entries: _key_by(function, *tee(entries)),
    MapChunks: lambda function, entries: function(list(entries)),
    Task: lambda function, entries: (function(list(entries)),),
    Words: lambda function, entries: function(entries),
    FrameWords: lambda function, entries: (function(entries),),
    MapFrames: run_frames,
    MapTables: run_tables,
}


def _key_by(function: Callable[[Any], Any], entries: Iterator[Any], same: Iterator[Any]) -> Iterable[Any]:
    return zip(map(function, entries), same, strict=False)


def apply(transform: Transform, entries: Iterable[Any]) -> Iterable[Any]:
    """Return an iterator over the results of one transform."""
    return _APPLY[type(transform)](transform.function, entries)


class Pipeline:
    """One pass over the entries of some chunks.

    A function that raises StopIteration ends `map` and similar iterators silently, and entries would be missing. The
    chain therefore draws chunks from a generator, which continues only after the chain has used all entries of the last
    chunk. If `finished` is False after the pass, a function ended it early. The check costs nothing per entry.
    """

    __slots__ = ("_chunks", "_transforms", "finished")

    def __init__(self, transforms: tuple[Transform, ...], chunks: Iterable[Collection[Any]]) -> None:
        self._transforms = transforms
        self._chunks = chunks
        self.finished = False

    def __iter__(self) -> Iterator[Any]:
        """Return an iterator over the results of the last transform."""
        whole, chained = _split(self._transforms)
        entries: Iterable[Any] = chain.from_iterable(self._draw(whole))
        for transform in chained:
            entries = apply(transform, entries)
        return iter(entries)

    def check(self) -> None:
        """Raise EntryError unless the pass has read every entry."""
        if not self.finished:
            raise EntryError(
                "the pass ended before the last entry, so entries would be missing: a function raised "
                "StopIteration, or an aggregator's add_many stopped early"
            )

    def _draw(self, whole: tuple[Transform, ...]) -> Iterator[Iterable[Any]]:
        for entries in self._chunks:
            yield run_whole(whole, entries) if whole else entries
        self.finished = True


def run_whole(transforms: tuple[Transform, ...], entries: Iterable[Any]) -> Iterable[Any]:
    """Run transforms over one chunk; the last one takes a whole chunk, and others may too."""
    for index, transform in enumerate(transforms):
        if index == 0 and isinstance(transform, (Words, *OF_FRAMES)):
            return run_whole(transforms[1:], apply(transform, entries))  # without a copy into a list
        if isinstance(transform, WHOLE_CHUNK):
            before = Pipeline(transforms[:index], (entries,))  # type: ignore[arg-type]
            drawn = list(before)
            before.check()
            entries = apply(transform, drawn)
            return run_whole(transforms[index + 1 :], entries)
    return entries


def _split(transforms: tuple[Transform, ...]) -> tuple[tuple[Transform, ...], tuple[Transform, ...]]:
    """Split the transforms after the last that takes a whole chunk."""
    for index in range(len(transforms), 0, -1):
        if isinstance(transforms[index - 1], WHOLE_CHUNK):
            return transforms[:index], transforms[index:]
    return (), transforms
