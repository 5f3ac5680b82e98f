"""Dead letters as a source: a redrive makes chunks of them."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

from elastic.core.clock import Clock
from elastic.core.contracts.source import EntriesReader, Reader, Source
from elastic.core.contracts.store import StepRecord
from elastic.core.encoding import compress, digest, pack, unpack
from elastic.core.errors import DecodingError
from elastic.core.model.bad_record import BadRecord, RawRecord
from elastic.core.model.chunk import Chunk, Position, Reference, SourcePiece
from elastic.core.model.failure import DeadLetter
from elastic.engine.chunker import Chunker


class DeadLetterReader(EntriesReader):
    """Reader of chunks made of dead letters; a reference holds the place of each entry in the original source.

    Args:
        source: Reader that parses the records that the run could not parse.
    """

    def __init__(self, source: Reader) -> None:
        self._source = source

    def parse(self, reference: Reference, block: bytes) -> list[Any]:
        entries = unpack(block)
        return [self._source.parse_record(entry) if isinstance(entry, RawRecord) else entry for entry in entries]

    def parse_each(self, reference: Reference, block: bytes) -> list[Any]:
        return [self._parse(entry) if isinstance(entry, RawRecord) else entry for entry in unpack(block)]

    def _parse(self, raw: RawRecord) -> Any:
        try:
            return self._source.parse_record(raw)
        except DecodingError as error:
            return BadRecord(raw, error)

    def locate(self, reference: Reference, index: int) -> str:
        return str(reference[index])


class DeadLetterSource(Source):
    """Placeholder for the source of a redriven step; a `DeadLetterChunker` makes the chunks."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        return iter(())

    def reader(self) -> DeadLetterReader:
        return DeadLetterReader(self._source.record_reader())

    def describe(self) -> dict[str, Any]:
        return self._source.describe()


class DeadLetterChunker(Chunker):
    """Chunker of dead letters; its chunk ids follow those of the source.

    Entries of one original chunk share a chunk again. The master commits all of them at once, so that the dead letters
    stay unchanged if it dies before.

    Args:
        clock: Clock for the times at which chunks are cut.
        record: Record of the step; all chunks of its source are folded.
        dead_letters: Dead letters by ascending chunk id.
    """

    def __init__(self, clock: Clock, record: StepRecord, dead_letters: Sequence[DeadLetter]) -> None:
        self.keeps = False
        self.reached = record.position
        self.exhausted = True
        self._clock, self._record = clock, record
        self.redriven = tuple((letter.failure.chunk_id, letter.failure.index) for letter in dead_letters)
        #: pairs of chunk id and the dead letters that make up the chunk
        self._groups = list(enumerate(_groups(dead_letters), record.low))
        self._dead_letters = dict(self._groups)
        self._rest = iter(self._groups)

    @property
    def chunks(self) -> int:
        return self._record.counters.get("cut", self._record.low)

    def cut(self, count: int, max_bytes: int = sys.maxsize) -> tuple[list[Chunk], bool]:
        chunks: list[Chunk] = []
        for number, group in islice(self._rest, count):
            chunks.append(self._chunk_of(number, group))
            max_bytes -= chunks[-1].weight
            if max_bytes <= 0:
                return chunks, False
        return chunks, len(chunks) < count

    def close(self) -> None:
        """Do nothing: dead letters are in memory."""

    def renewed(self, letter: DeadLetter) -> DeadLetter:
        """Return a dead letter that failed again, with the attempts of earlier runs added."""
        before = self._dead_letters[letter.failure.chunk_id]
        first = before[0] if letter.failure.index is None or len(before) == 1 else before[letter.failure.index]
        return replace(letter, attempts=first.attempts + letter.attempts)

    def _chunk_of(self, chunk_id: int, dead_letters: Sequence[DeadLetter]) -> Chunk:
        entries: list[Any] = []
        places: list[str] = []
        for letter in dead_letters:
            found = unpack(letter.entry)
            entries += found if letter.failure.index is None else [found]
            places += [letter.failure.place] * letter.entries
        plain = pack(entries)
        now = int(self._clock.now() * 1e6)
        return Chunk(chunk_id, (), now, tuple(places), compress(plain), len(entries), digest(plain))


def _groups(dead_letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Yield the dead letters of each new chunk: all entries of one old chunk, or one that stands for a chunk."""
    for (_, whole), group in groupby(
        dead_letters, key=lambda letter: (letter.failure.chunk_id, letter.failure.index is None)
    ):
        if whole:
            yield from ([letter] for letter in group)
        else:
            yield list(group)
