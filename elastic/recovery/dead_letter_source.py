"""Dead letters as a source: the chunks that are made of them when they are redriven."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

from elastic.core.clock import Clock
from elastic.core.contracts.source import EntriesReader, Source
from elastic.core.contracts.store import StepRecord
from elastic.core.encoding import compress, digest, pack, unpack
from elastic.core.model.chunk import Chunk, Position, Reference, SourcePiece
from elastic.core.model.failure import DeadLetter
from elastic.engine.chunker import Chunker


class LetterReader(EntriesReader):
    """Reads chunks made of dead letters; a reference holds the place in the source of each entry."""

    def locate(self, reference: Reference, index: int) -> str:
        return str(reference[index])


class LetterSource(Source):
    """Stands for the source of a step whose dead letters are redriven; a `DeadLetterChunker` cuts it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        return iter(())

    def reader(self) -> LetterReader:
        return LetterReader()

    def describe(self) -> dict[str, Any]:
        return self._source.describe()


class DeadLetterChunker(Chunker):
    """Makes chunks of dead letters, with ids that follow those of the source.

    Entries of one chunk are together again. All of them are committed at once, so that a master which dies before
    that leaves the letters as they were.

    Args:
        clock: Tells when a chunk was conceived.
        record: What is kept about the step; all chunks of its source are folded.
        letters: By ascending chunk id.
    """

    def __init__(self, clock: Clock, record: StepRecord, letters: Sequence[DeadLetter]) -> None:
        self.keeps = False
        self.reached = record.position
        self.exhausted = True
        self._clock, self._record = clock, record
        self.redriven = tuple((letter.failure.chunk_id, letter.failure.index) for letter in letters)
        #: the letters that each chunk is made of, and whether it is one letter for a whole chunk
        self._groups = list(enumerate(_groups(letters), record.low))
        self._letters = dict(self._groups)
        self._left = iter(self._groups)

    @property
    def chunks(self) -> int:
        return self._record.counters.get("cut", self._record.low)

    def cut(self, count: int, max_bytes: int = sys.maxsize) -> tuple[list[Chunk], bool]:
        chunks: list[Chunk] = []
        for number, letters in islice(self._left, count):
            chunks.append(self._chunk_of(number, letters))
            max_bytes -= chunks[-1].weight
            if max_bytes <= 0:
                return chunks, False
        return chunks, len(chunks) < count

    def close(self) -> None:
        """Nothing is open."""

    def renewed(self, letter: DeadLetter) -> DeadLetter:
        """Return a letter that failed again, with all the times that it was tried."""
        before = self._letters[letter.failure.chunk_id]
        first = before[0] if letter.failure.index is None or len(before) == 1 else before[letter.failure.index]
        return replace(letter, attempts=first.attempts + letter.attempts)

    def _chunk_of(self, chunk_id: int, letters: Sequence[DeadLetter]) -> Chunk:
        entries: list[Any] = []
        places: list[str] = []
        for letter in letters:
            found = unpack(letter.entry)
            entries += found if letter.failure.index is None else [found]
            places += [letter.failure.place] * letter.entries
        plain = pack(entries)
        now = int(self._clock.now() * 1e6)
        return Chunk(chunk_id, (), now, tuple(places), compress(plain), len(entries), digest(plain))


def _groups(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Yield letters that make a chunk: the entries of one chunk, or one that stands for a chunk."""
    for (_, whole), group in groupby(
        letters, key=lambda letter: (letter.failure.chunk_id, letter.failure.index is None)
    ):
        if whole:
            yield from ([letter] for letter in group)
        else:
            yield list(group)
