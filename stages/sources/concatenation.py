"""Concatenation of sources: the pieces of several sources, one source after another."""

from collections.abc import Collection, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from elastic.core.contracts.source import Reader, Source
from elastic.core.errors import DecodingError, UsageError
from elastic.core.model.bad_record import BadRecord, RawRecord
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.sources.iterable import IterableSource, IterablesSource
from elastic.stages.sources.sql import SqlSource
from elastic.stages.sources.tables.table_entries import TableEntries

#: One-shot sources whose pieces hold their entries, so that they can be taken back.
_BY_VALUE = (IterableSource, IterablesSource, SqlSource)


class ConcatenatedReader(Reader):
    """Reader of the pieces of several sources; a reference begins with the number of its source."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = tuple(readers)

    def columnar(self) -> "ConcatenatedReader":
        return ConcatenatedReader([reader.columnar() for reader in self._readers])

    def read_block(self, reference: Reference) -> bytes:
        number, *inner = reference
        return self._readers[number].read_block(tuple(inner))

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        number, *inner = reference
        return self._readers[number].parse(tuple(inner), block)

    def parse_each(self, reference: Reference, block: bytes) -> Collection[Any]:
        number, *inner = reference
        entries = self._readers[number].parse_each(tuple(inner), block)
        if isinstance(entries, LazyLines | TableEntries):
            return entries
        return [
            replace(entry, raw=replace(entry.raw, source=(number, *entry.raw.source)))
            if isinstance(entry, BadRecord)
            else entry
            for entry in entries
        ]

    def parse_record(self, raw: RawRecord) -> Any:
        number = raw.source[0] if raw.source else None
        if number is None or not 0 <= number < len(self._readers):
            problem = "the record has no source number" if number is None else f"the record is of source {number}"
            raise DecodingError(
                "",
                0,
                f"{problem}, and the flow joins {len(self._readers)}",
                "redrive by a flow that joins the same ones",
            )
        return self._readers[number].parse_record(replace(raw, source=raw.source[1:]))

    def locate(self, reference: Reference, index: int) -> str:
        number, *inner = reference
        return self._readers[number].locate(tuple(inner), index)

    def probes(self, reference: Reference) -> str | None:
        number, *inner = reference
        return self._readers[number].probes(tuple(inner))


class ConcatenatedSource(Source):
    """Entries of several sources, one source after another; a chunk never spans two.

    Args:
        sources: At least one source. Concatenated ones among them are taken apart.

    Raises:
        UsageError: A one-shot source is joined with one whose chunks do not hold their entries.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources: list[Source] = []
        for source in sources:
            self._sources += source._sources if isinstance(source, ConcatenatedSource) else [source]
        self.replayable = all(source.replayable for source in self._sources)
        others = [source for source in self._sources if not isinstance(source, _BY_VALUE)]
        if not self.replayable and others:
            kind = next(type(source).__name__ for source in self._sources if not source.replayable)
            raise UsageError(
                f"a source that can be read once ({kind}) cannot be joined with a {type(others[0]).__name__}; pass a "
                "list in place of the generator or query, or run the flows one by one."
            )

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is the number of the source, followed by a position of that source."""
        number, *inner = position or (0,)
        for which, source in enumerate(self._sources[number:], number):
            for piece in source.cut(tuple(inner) or None):
                yield _numbered(which, piece)
            inner = []

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        # `reader` belongs to the sources that were looked at, and a run to the others.
        self._sources = [copy(source) if source.replayable else source for source in self._sources]
        return self._peeked_pieces(whole_chunks)

    def take_back(self, pieces: Sequence[SourcePiece]) -> None:
        for number, source in enumerate(self._sources):
            its_own = [piece for piece in pieces if piece.position[0] == number]
            source.take_back(
                [each._replace(position=each.position[1:], reference=each.reference[1:]) for each in its_own]
            )

    def position_after(self, position: Position, entries: int) -> Position | None:
        number, *inner = position
        after = self._sources[number].position_after(tuple(inner), entries)
        return None if after is None else (number, *after)

    def reader(self) -> ConcatenatedReader:
        return ConcatenatedReader([source.reader() for source in self._sources])

    def record_reader(self) -> ConcatenatedReader:
        return ConcatenatedReader([source.record_reader() for source in self._sources])

    def describe(self) -> dict[str, Any]:
        return {"kind": "concatenation", "sources": [source.describe() for source in self._sources]}

    def expected_chunks(self) -> int | None:
        return _sum([source.expected_chunks() for source in self._sources])

    def expected_bytes(self) -> int | None:
        return _sum([source.expected_bytes() for source in self._sources])

    def expected_entries(self) -> int | None:
        return _sum([source.expected_entries() for source in self._sources])

    def counted_entries(self) -> int | None:
        return _sum([source.counted_entries() for source in self._sources])

    def counting(self) -> Source:
        return ConcatenatedSource([source.counting() for source in self._sources])

    def _peeked_pieces(self, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        chunk = 0
        for number, source in enumerate(self._sources):
            first = chunk
            for inner, piece in source.peek(whole_chunks=whole_chunks):
                yield first + inner, _numbered(number, piece)
                chunk = first + inner + 1


def _numbered(number: int, piece: SourcePiece) -> SourcePiece:
    return piece._replace(position=(number, *piece.position), reference=(number, *piece.reference))


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
