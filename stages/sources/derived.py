"""Sources that pass on a part of another source: its first entries, or a random sample of them.

A piece of the other source stays a piece, with one more field in its position and in its reference. The readers drop
the entries that are left out, so the entries are the same on any number of workers, and after a resume.
"""

import random
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from itertools import compress, islice
from typing import Any, Self

from elastic.core.contracts.source import Reader, Source
from elastic.core.errors import DecodingError, UsageError
from elastic.core.model.bad_record import BadRecord, RawRecord
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.stages.sources.iterable import IterableSource


class _DerivedReader(Reader):
    """Reader whose references are those of another reader, followed by a mark."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner

    def read_block(self, reference: Reference) -> bytes:
        return self._inner.read_block(reference[:-1])

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        try:
            entries = self._inner.parse(reference[:-1], block)
        except DecodingError:
            # A bad record that is left out must not cost the others.
            kept = self.parse_each(reference, block)
            if (bad := next((entry for entry in kept if isinstance(entry, BadRecord)), None)) is not None:
                raise bad.error from None
            return kept
        return self._kept(reference, entries)

    def parse_each(self, reference: Reference, block: bytes) -> Collection[Any]:
        return self._kept(reference, self._inner.parse_each(reference[:-1], block))

    def parse_record(self, raw: RawRecord) -> Any:
        return self._inner.parse_record(raw)

    def probes(self, reference: Reference) -> str | None:
        return self._inner.probes(reference[:-1])

    @abstractmethod
    def _kept(self, reference: Reference, entries: Collection[Any]) -> Collection[Any]:
        """Return the entries of a piece that are not left out."""

    def columnar(self) -> Self:
        reader = copy(self)
        reader._inner = self._inner.columnar()
        return reader


class _DerivedSource(Source):
    """Source that passes on a part of the entries of another one."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self.replayable = inner.replayable

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        if self.replayable:
            twin._inner = copy(self._inner)
        return twin

    @abstractmethod
    def reader(self) -> _DerivedReader: ...

    def record_reader(self) -> Reader:
        # The record was chosen when its run met it, and a dead letter has no place in a piece.
        return self._inner.record_reader()


class LimitedReader(_DerivedReader):
    """Reader of pieces of which only the first entries count; the mark is their number, or None for all."""

    def _kept(self, reference: Reference, entries: Collection[Any]) -> Collection[Any]:
        return _first(entries, reference[-1])

    def locate(self, reference: Reference, index: int) -> str:
        return self._inner.locate(reference[:-1], index)


class LimitedSource(_DerivedSource):
    """The first entries of another source.

    The master reads each piece that the workers read too, because it must count the entries.

    Args:
        inner: The other source.
        count: Number of entries.
    """

    def __init__(self, inner: Source, count: int) -> None:
        super().__init__(inner)
        self._count = count

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is one of the other source, followed by the number of entries that are left."""
        *inner, left = position or (self._count,)
        if not left:
            return iter(())
        at = tuple(inner) or None
        if isinstance(self._inner, IterableSource):
            # A generator must not be asked for more than is wanted.
            pieces = self._inner.cut(at, stop=self._count)
        else:
            pieces = self._inner.cut(at)
        return _closed(pieces, (piece for _, piece in self._limited(((0, piece) for piece in pieces), left)))

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        return self._limited(self._inner.peek(whole_chunks=whole_chunks), self._count)

    def reader(self) -> LimitedReader:
        return LimitedReader(self._inner.reader())

    def describe(self) -> dict[str, Any]:
        return {"kind": "limit", "limit": self._count, "source": self._inner.describe()}

    def reading(self) -> str:
        return f"{self._inner.reading()}; the master counts the first {self._count:,} entries"

    def position_after(self, position: Position, entries: int) -> Position | None:
        after = self._inner.position_after(position[:-1], entries)
        return None if after is None else (*after, max(0, position[-1] - entries))

    def take_back(self, pieces: Sequence[SourcePiece]) -> None:
        self._inner.take_back(
            [piece._replace(position=piece.position[:-1], reference=piece.reference[:-1]) for piece in pieces]
        )

    def expected_entries(self) -> int | None:
        known = self._inner.expected_entries()
        return None if known is None else min(known, self._count)

    def _limited(self, pieces: Iterator[tuple[int, SourcePiece]], left: int) -> Iterator[tuple[int, SourcePiece]]:
        reader: Reader | None = None
        # Ends before another piece is drawn, which would read more of a one-shot source.
        while left and (found := next(pieces, None)) is not None:
            number, piece = found
            entries = piece.entries
            if entries is None:
                reader = reader or self._inner.reader()
                block = reader.read_block(piece.reference) if piece.block is None else piece.block
                count = _count(reader, piece.reference, block)
            else:
                count = len(entries)
            kept = min(count, left)
            yield (
                number,
                piece._replace(
                    position=(*piece.position, left),
                    reference=(*piece.reference, None if kept == count else kept),
                    entries=None if entries is None else entries[:kept],
                ),
            )
            left -= kept


def _count(reader: Reader, reference: Reference, block: bytes) -> int:
    """Return the number of entries of a block; a record that cannot be parsed is one."""
    try:
        return len(reader.parse(reference, block))
    except DecodingError:
        return len(reader.parse_each(reference, block))


def _closed(pieces: Iterator[SourcePiece], parts: Iterator[SourcePiece]) -> Iterator[SourcePiece]:
    """Yield the parts of some pieces; at the end close the pieces, which may hold a file or a connection."""
    try:
        yield from parts
    finally:
        if hasattr(pieces, "close"):
            pieces.close()


def _first(entries: Collection[Any], count: int | None) -> Collection[Any]:
    if count is None or len(entries) <= count:
        return entries
    return entries[:count] if isinstance(entries, Sequence) else list(islice(entries, count))


class SampledReader(_DerivedReader):
    """Reader of pieces of which a random part counts; the mark is the number of the piece, or -1 - number by value.

    The entries of a piece that travels by value were chosen before they were sent.
    """

    def __init__(self, inner: Reader, fraction: float, seed: int) -> None:
        super().__init__(inner)
        self._fraction, self._seed = fraction, seed

    def _kept(self, reference: Reference, entries: Collection[Any]) -> Collection[Any]:
        number = reference[-1]
        return entries if number < 0 else chosen(entries, (self._fraction, self._seed, number))

    def locate(self, reference: Reference, index: int) -> str:
        number = reference[-1]
        draws = _draws(self._fraction, self._seed, number if number >= 0 else -1 - number)
        places = (place for place, is_chosen in enumerate(draws) if is_chosen)
        return self._inner.locate(reference[:-1], next(islice(places, index, None)))


class SampledSource(_DerivedSource):
    """A random sample of another source: each entry is in it with the same probability.

    The choice depends on the seed, the number of the piece and the place of the entry in it, and on nothing else.

    Args:
        inner: The other source.
        fraction: Probability of an entry, from 0 to 1.
        seed: Any integer.

    Raises:
        UsageError: An argument is invalid.
    """

    def __init__(self, inner: Source, fraction: float, seed: int) -> None:
        super().__init__(inner)
        is_number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
        if not is_number or not 0 <= fraction <= 1:
            raise UsageError(f"sample({fraction!r}): the fraction must be a number from 0 to 1.")
        if type(seed) is not int:
            raise UsageError(f"sample(seed={seed!r}): the seed must be a whole number.")
        self._fraction, self._seed = float(fraction), seed

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is one of the other source, followed by the number of the piece."""
        *inner, first = position or (0,)
        pieces = self._inner.cut(tuple(inner) or None)
        return _closed(pieces, (self._sampled(number, piece) for number, piece in enumerate(pieces, first)))

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        # The choice depends on the pieces, so they must be those of a run.
        return ((number, self._sampled(number, piece)) for number, piece in self._inner.peek(whole_chunks=True))

    def reader(self) -> SampledReader:
        return SampledReader(self._inner.reader(), self._fraction, self._seed)

    def describe(self) -> dict[str, Any]:
        return {"kind": "sample", "fraction": self._fraction, "seed": self._seed, "source": self._inner.describe()}

    def reading(self) -> str:
        return f"{self._inner.reading()}; {self._fraction:.4g} of the entries, by chance with seed {self._seed}"

    def expected_chunks(self) -> int | None:
        return self._inner.expected_chunks()

    def _sampled(self, number: int, piece: SourcePiece) -> SourcePiece:
        entries = piece.entries
        if entries is not None:
            entries = chosen(entries, (self._fraction, self._seed, number))
        mark = number if piece.entries is None else -1 - number
        return piece._replace(position=(*piece.position, number), reference=(*piece.reference, mark), entries=entries)


def chosen(entries: Collection[Any], draw: tuple[float, int, int]) -> list[Any]:
    """Return the entries that are in a sample.

    Args:
        entries: All entries of a piece.
        draw: Fraction, seed, and number of the piece.
    """
    return list(compress(entries, islice(_draws(*draw), len(entries))))


def _draws(fraction: float, seed: int, number: int) -> Iterator[bool]:
    """Yield for each place in a piece whether the entry there is in the sample, without end."""
    # Python promises the same numbers for the same seed in every version.
    draw = random.Random(f"{seed}:{number}").random  # noqa: S311 - a sample needs no secrecy
    while True:
        yield draw() < fraction
