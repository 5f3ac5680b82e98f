"""Anything that can be iterated: the entries are read on the master and travel by value.

Several iterables, one after another.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from typing import Any

from elastic.core.callables import check_plain
from elastic.core.contracts.source import EntriesReader, Source
from elastic.core.errors import SourceError, UsageError
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.core.transform import name_of
from elastic.stages.sources.validation import positive_integer

#: Told the number of a chunk, from 0, says how many entries it may hold.
Window = Callable[[int], int]


class IterableSource(Source):
    """The entries of one iterable: a list, a generator, an open file.

    A sequence (list, tuple) is replayable: whoever resumes the run in another process gives the same sequence again.
    Anything else is one-shot, so that what was cut is persisted before it is sent. The iterable is never read beyond
    the piece that was asked for. If it raises, the entries before that are still yielded, and the error comes with
    the next piece.

    Args:
        iterable: What to read. Text, bytes and mappings are refused, because iterating them is seldom meant.
        chunk_size: Entries a chunk.
        window: Decides the size of each chunk instead of `chunk_size`: a function of the chunk's number, from 0.

    Raises:
        UsageError: The iterable cannot be iterated or is refused, or `chunk_size` is not a positive integer.
    """

    def __init__(self, iterable: Iterable[Any], *, chunk_size: int = 3000, window: Window | None = None) -> None:
        self._iterable = _accepted(iterable)
        self.replayable = isinstance(iterable, Sequence)
        self._chunk_size = positive_integer("chunk_size", chunk_size)
        if window is not None and not callable(window):
            raise UsageError(f"window must be a function of the number of a chunk, not {window!r}.")
        check_plain("window", window)
        self.window = window
        #: None until the first cut; stays where the last piece ended
        self._iterator: Iterator[Any] | None = None
        self._taken = 0
        #: pieces that were given back; they lie right in front of where the iterator stands
        self._returned: deque[SourcePiece] = deque()

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the first entry, number of the chunk, length or None)`.

        A sequence starts at any position. Anything else goes on only where it stands, or from the start
        if it can be iterated again.

        Raises:
            SourceError: It cannot go on there, or the sequence has another length than that of `position`.
        """
        first, chunk, length = position or (0, 0, self._length())
        if isinstance(self._iterable, Sequence):
            if length != len(self._iterable):
                raise SourceError(
                    f"{self} had {length} entries when the run began and has {len(self._iterable)}; "
                    "give the same entries, or start a new run."
                )
            return self._pieces(_items(self._iterable, first), first, chunk)
        if self._iterator is None or (first == 0 and not isinstance(self._iterable, Iterator)):
            self._iterator, self._taken = self._begin(), 0
            self._returned.clear()
        while self._returned and self._returned[0].position[0] < first:
            self._returned.popleft()  # the run has kept it after all
        stands_at = self._returned[0].position[0] if self._returned else self._taken
        if first != stands_at:
            raise SourceError(
                f"{self} stands at entry {stands_at} and cannot go on at entry {first}; "
                "give a new iterable, or a list if it is to be read twice."
            )
        return self._onward(self._iterator, chunk)

    def take_back(self, pieces: Sequence[SourcePiece]) -> None:
        self._returned.extendleft(reversed(pieces))

    def position_after(self, position: Position, entries: int) -> Position:
        first, chunk, length = position
        return (first + entries, chunk + 1, length)

    def reader(self) -> EntriesReader:
        return EntriesReader()

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "iterable",
            "type": type(self._iterable).__name__,
            "entries": self._length(),
            "chunk_size": self._chunk_size if self.window is None else name_of(self.window),
        }

    def expected_chunks(self) -> int | None:
        length = self._length()
        return None if length is None or self.window is not None else -(-length // self._chunk_size)

    def __str__(self) -> str:
        return f"the source of type {type(self._iterable).__name__}"

    def _length(self) -> int | None:
        return len(self._iterable) if isinstance(self._iterable, Sized) else None

    def _begin(self) -> Iterator[Any]:
        try:
            return iter(self._iterable)
        except Exception as error:
            raise self._failure(0, error) from error

    def _onward(self, iterator: Iterator[Any], chunk: int) -> Iterator[SourcePiece]:
        """Yield what was given back, and then what the iterator still has."""
        while self._returned:
            chunk += 1
            yield self._returned.popleft()
        yield from self._pieces(iterator, self._taken, chunk)

    def _pieces(self, iterator: Iterator[Any], first: int, chunk: int) -> Iterator[SourcePiece]:
        length = self._length()
        cause: Exception | None = None
        while cause is None:
            size = self._size(chunk)
            entries: list[Any] = []
            try:
                # On an error `extend` keeps what it has read by then.
                entries.extend(islice(iterator, size))
            except Exception as error:
                cause = error
            count = len(entries)
            self._taken = first + count
            if entries:
                yield SourcePiece((first, chunk, length), (first, count), entries)
            first, chunk = first + count, chunk + 1
            if count < size and cause is None:
                return
        raise self._failure(first, cause) from cause

    def _size(self, chunk: int) -> int:
        """Return the number of entries that a chunk may hold."""
        if self.window is None:
            return self._chunk_size
        try:
            size = self.window(chunk)
        except Exception as error:
            raise SourceError(
                f"the window {name_of(self.window)} failed on chunk {chunk} ({_text(error)}); "
                "it must return the number of entries that the chunk may hold."
            ) from error
        return positive_integer(f"what the window {name_of(self.window)} returns", size)

    def _failure(self, read: int, error: Exception) -> SourceError:
        return SourceError(f"{self} failed after {read} entries ({_text(error)}); correct what yields its entries.")


def _accepted(iterable: Any) -> Iterable[Any]:
    if isinstance(iterable, str):
        raise UsageError(f"{iterable[:60]!r} is text; use read_text to read a file, or a list to give entries.")
    if isinstance(iterable, bytes | bytearray | memoryview):
        raise UsageError(f"{type(iterable).__name__} cannot be a source; give a list of entries.")
    if isinstance(iterable, Mapping):
        raise UsageError("a mapping cannot be a source; give its .items(), .keys() or .values().")
    rows = next((rows for package, rows in _ROWS.items() if _is_table(iterable, package)), None)
    if rows is not None:
        raise UsageError(f"iterating a {type(iterable).__name__} yields its columns; give its rows: {rows}.")
    if not isinstance(iterable, Iterable) and not hasattr(type(iterable), "__getitem__"):
        raise UsageError(f"{iterable!r} cannot be iterated; give a list, a generator or an open file.")
    accepted: Iterable[Any] = iterable
    return accepted


#: By package the way to the rows of its tables, as plain data.
_ROWS = {
    "pandas": "frame.to_dict('records')",
    "polars": "frame.iter_rows(named=True), of a lazy frame behind collect()",
    "pyarrow": "table.to_pylist()",
    "": "a list of dicts",
}


def _is_table(value: object, package: str) -> bool:
    """Tell whether a value is a table of a package; "" stands for any."""
    is_own = any(base.__module__.partition(".")[0] == package for base in type(value).__mro__)
    return (is_own or not package) and any(hasattr(value, name) for name in ("__dataframe__", "collect_schema"))


def _items(sequence: Sequence[Any], first: int) -> Iterator[Any]:
    """Iterate a sequence from an index on, without visiting what lies before."""
    return (sequence[index] for index in range(first, len(sequence))) if first else iter(sequence)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


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

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is that of `IterableSource` behind the number of the iterable."""
        which, *within = position or (0,)
        for number, source in enumerate(self._sources[which:], which):
            for piece in source.cut(tuple(within) or None):
                yield piece._replace(position=(number, *piece.position), reference=(*piece.reference, number))
            within = []

    def take_back(self, pieces: Sequence[SourcePiece]) -> None:
        for number, source in enumerate(self._sources):
            its_own = [piece for piece in pieces if piece.position[0] == number]
            source.take_back(
                [each._replace(position=each.position[1:], reference=each.reference[:-1]) for each in its_own]
            )

    def position_after(self, position: Position, entries: int) -> Position:
        which, *within = position
        return (which, *self._sources[which].position_after(tuple(within), entries))

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
