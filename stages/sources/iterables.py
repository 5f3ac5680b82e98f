"""Several iterables, one after another."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from elastic.core.chunk import Piece, Position, Reference
from elastic.core.errors import UsageError
from elastic.core.source import EntriesReader, Source
from elastic.stages.sources.iterable import IterableSource, Window


class IterablesReader(EntriesReader):
    """Reads chunks of several iterables; a reference is `(first entry, count, which iterable)`."""

    def locate(self, reference: Reference, index: int) -> str:
        first, _, which = reference
        return f"entry {first + index} of iterable {which}"


class IterablesSource(Source):
    """The entries of several iterables, one iterable after another; a chunk never spans two.

    It is replayable if all of them are sequences. An iterable is not touched before those in front of it have ended.

    Args:
        iterables: The iterables, each as `IterableSource` takes it. They are collected into a list at once.
        chunk_size: Entries a chunk.
        window: Decides the size of each chunk instead of `chunk_size`: a function of the chunk's number within
            its iterable, from 0.

    Raises:
        UsageError: One of the iterables is refused (its number is named), or `chunk_size` is not positive.
    """

    def __init__(
        self, iterables: Iterable[Iterable[Any]], *, chunk_size: int = 3000, window: Window | None = None
    ) -> None:
        if isinstance(iterables, str | bytes) or not isinstance(iterables, Iterable):
            raise UsageError(f"iterables must be a list of iterables, not {iterables!r}.")
        self.window = window
        self._sources: list[IterableSource] = []
        for which, iterable in enumerate(iterables):
            try:
                self._sources.append(IterableSource(iterable, chunk_size=chunk_size, window=window))
            except UsageError as error:
                raise UsageError(f"iterable {which}: {error}") from error
        self.replayable = all(source.replayable for source in self._sources)

    def cut(self, position: Position | None = None) -> Iterator[Piece]:
        """Yield pieces; a position is that of `IterableSource` behind the number of the iterable."""
        which, *within = position or (0,)
        for number, source in enumerate(self._sources[which:], which):
            for piece in source.cut(tuple(within) or None):
                yield piece._replace(position=(number, *piece.position), reference=(*piece.reference, number))
            within = []

    def take_back(self, pieces: Sequence[Piece]) -> None:
        for number, source in enumerate(self._sources):
            its_own = [piece for piece in pieces if piece.position[0] == number]
            source.take_back(
                [each._replace(position=each.position[1:], reference=each.reference[:-1]) for each in its_own]
            )

    def behind(self, position: Position, entries: int) -> Position:
        which, *within = position
        return (which, *self._sources[which].behind(tuple(within), entries))

    def reader(self) -> IterablesReader:
        return IterablesReader()

    def describe(self) -> dict[str, Any]:
        return {"kind": "iterables", "iterables": [source.describe() for source in self._sources]}

    def expected_chunks(self) -> int | None:
        total = 0
        for source in self._sources:
            chunks = source.expected_chunks()
            if chunks is None:
                return None
            total += chunks
        return total
