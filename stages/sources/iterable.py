"""Sources of Python iterables: the master reads the entries and sends them by value."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain, islice
from typing import Any

from elastic.core.callables import check_plain
from elastic.core.contracts.source import EntriesReader, Source
from elastic.core.errors import SourceError, UsageError
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.core.transform import name_of
from elastic.stages.sources.validation import positive_integer

#: Returns the maximum number of entries of a chunk, by the number of the chunk, from 0.
Window = Callable[[int], int]

#: Types whose iterators all begin at the first element. Of another class, an object may share one iterator among them.
_CONTAINERS: tuple[type, ...] = (set, frozenset, deque, type({}.keys()), type({}.values()), type({}.items()))


class IterableSource(Source):
    """Entries of one iterable: a list, a generator, an open file.

    A sequence (list, tuple) is replayable: a process that resumes the run passes the same sequence again. Any other
    iterable is one-shot, so the run persists its chunks before it sends them. The source never reads beyond the
    requested piece. If the iterable raises, the source still yields the entries before the error, and raises with the
    next piece.

    Args:
        iterable: Iterable to read. Strings, bytes and mappings are refused, because iterating over them is rarely
        meant. chunk_size: Entries per chunk. window: Function that returns the size of each chunk, by its number from
        0; replaces `chunk_size`.

    Raises:
        UsageError: The iterable cannot be iterated or is refused, or `chunk_size` is not a positive integer.
    """

    def __init__(self, iterable: Iterable[Any], *, chunk_size: int = 3000, window: Window | None = None) -> None:
        self._iterable = _check_iterable(iterable)
        self.replayable = isinstance(iterable, Sequence)
        self._chunk_size = positive_integer("chunk_size", chunk_size)
        if window is not None and not callable(window):
            raise UsageError(f"window must be a function of a chunk's number, not {window!r}.")
        check_plain("window", window)
        self.window = window
        #: None until the first look or cut. Its next entry follows the last piece.
        self._iterator: Iterator[Any] | None = None
        self._position = 0
        #: False until the first cut.
        self._is_cut = False
        #: Entries that looks have read from the iterator before the first cut, and the error that ended the last look.
        self._ahead: deque[Any] = deque()
        self._error_ahead: Exception | None = None
        #: Pieces that the caller gave back; they come directly before the next entry of the iterator.
        self._taken_back: deque[SourcePiece] = deque()

    def cut(self, position: Position | None = None, *, stop: int | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the first entry, number of the chunk, length or None)`.

        A sequence can start at any position. Any other iterable continues only at its present position, or restarts if
        it can be iterated again. `stop` is the index at which to end; the source reads no entry from there on.

        Raises:
            SourceError: The iterable cannot continue there, or the sequence has another length than at `position`.
        """
        first, chunk, length = position or (0, 0, self._length())
        if isinstance(self._iterable, Sequence):
            if length != len(self._iterable):
                raise SourceError(
                    f"{self} had {length} entries when the run began and has {len(self._iterable)}; "
                    "pass the same entries, or start a new run."
                )
            return self._pieces(_items(self._iterable, first), first, chunk, stop)
        is_looked_at = self._iterator is not None and not self._is_cut
        if self._iterator is None or (first == 0 and not is_looked_at and not isinstance(self._iterable, Iterator)):
            self._iterator, self._position = self._iterate(), 0
            self._taken_back.clear()
            self._ahead.clear()
            self._error_ahead = None
        self._is_cut = True
        while self._taken_back and self._taken_back[0].position[0] < first:
            self._taken_back.popleft()  # the run has stored this piece after all
        present = self._taken_back[0].position[0] if self._taken_back else self._position
        if first != present:
            raise SourceError(
                f"{self} is at entry {present} and cannot continue at entry {first}; "
                "pass a new iterable, or a list, which can be read twice."
            )
        return self._resume(chain(self._entries_ahead(), self._iterator), chunk, stop)

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        """Yield the first pieces; the entries of a one-shot iterable stay in the source for the next `cut`.

        Raises:
            SourceError: A run has read a part of the iterable, or the iterable raises.
        """
        if isinstance(self._iterable, Sequence):
            return self._peeked_pieces(iter(self._iterable), whole_chunks=whole_chunks)
        if type(self._iterable) in _CONTAINERS:
            return self._peeked_pieces(self._iterate(), whole_chunks=whole_chunks)
        if self._is_cut:
            raise SourceError(
                f"{self} was read by a run and cannot be looked at; look at it before, or pass a list, which can be "
                "read twice."
            )
        if self._iterator is None:
            self._iterator = self._iterate()
        return self._peeked_pieces(self._peeked_entries(self._iterator), whole_chunks=whole_chunks)

    def take_back(self, pieces: Sequence[SourcePiece]) -> None:
        self._taken_back.extendleft(reversed(pieces))

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

    def reading(self) -> str:
        return "the master"

    def expected_entries(self) -> int | None:
        # Another object with a length may yield fewer entries.
        return self._length() if isinstance(self._iterable, Sequence) or type(self._iterable) in _CONTAINERS else None

    def __str__(self) -> str:
        return f"the source of type {type(self._iterable).__name__}"

    def _length(self) -> int | None:
        return len(self._iterable) if isinstance(self._iterable, Sized) else None

    def _iterate(self) -> Iterator[Any]:
        try:
            return iter(self._iterable)
        except Exception as error:
            raise self._failure(0, error) from error

    def _resume(self, iterator: Iterator[Any], chunk: int, stop: int | None) -> Iterator[SourcePiece]:
        """Yield the pieces that were given back, then the rest of the iterator."""
        while self._taken_back:
            chunk += 1
            yield self._taken_back.popleft()
        yield from self._pieces(iterator, self._position, chunk, stop)

    def _pieces(
        self, iterator: Iterator[Any], first: int, chunk: int, stop: int | None = None
    ) -> Iterator[SourcePiece]:
        length = self._length()
        cause: Exception | None = None
        while cause is None:
            if first == stop:
                return
            size = self._size(chunk) if stop is None else min(self._size(chunk), stop - first)
            entries: list[Any] = []
            try:
                # On an error, `extend` keeps the entries before it.
                entries.extend(islice(iterator, size))
            except Exception as error:
                cause = error
            count = len(entries)
            self._position = first + count
            if entries:
                yield SourcePiece((first, chunk, length), (first, count), entries)
            first, chunk = first + count, chunk + 1
            if count < size and cause is None:
                return
        raise self._failure(first, cause) from cause

    def _peeked_pieces(self, iterator: Iterator[Any], *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        """Yield pieces without a change of the position: chunks, or parts of them that begin with one entry."""
        first, chunk, left, size = 0, 0, self._size(0), 1
        while True:
            count = left if whole_chunks else min(size, left)
            entries: list[Any] = []
            cause: Exception | None = None
            try:
                entries.extend(islice(iterator, count))
            except Exception as error:
                cause = error
            if entries:
                yield chunk, SourcePiece((first, chunk, self._length()), (first, len(entries)), entries)
            first, left, size = first + len(entries), left - len(entries), 2 * size
            if cause is not None:
                raise self._failure(first, cause) from cause
            if len(entries) < count:
                return
            if not left:
                chunk, left = chunk + 1, self._size(chunk + 1)

    def _peeked_entries(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """Yield the entries of earlier looks, then those of the iterator, which it keeps for the next cut."""
        yield from tuple(self._ahead)
        while self._error_ahead is None:
            try:
                entry = next(iterator)
            except StopIteration:
                return
            except Exception as error:
                self._error_ahead = error
                break
            self._ahead.append(entry)
            yield entry
        raise self._error_ahead

    def _entries_ahead(self) -> Iterator[Any]:
        """Yield the entries that looks have read and a run has not; then raise the error that ended the last look."""
        while self._ahead:
            yield self._ahead.popleft()
        if self._error_ahead is not None:
            raise self._error_ahead

    def _size(self, chunk: int) -> int:
        """Return the maximum number of entries of a chunk."""
        if self.window is None:
            return self._chunk_size
        try:
            size = self.window(chunk)
        except Exception as error:
            raise SourceError(
                f"the window {name_of(self.window)} failed on chunk {chunk} ({_error_text(error)}); "
                "it must return the maximum number of entries of the chunk."
            ) from error
        return positive_integer(f"the return value of the window {name_of(self.window)}", size)

    def _failure(self, read: int, error: Exception) -> SourceError:
        return SourceError(
            f"{self} failed after {read} entries ({_error_text(error)}); correct the code that yields its entries."
        )


def _check_iterable(iterable: Any) -> Iterable[Any]:
    if isinstance(iterable, str):
        raise UsageError(f"{iterable[:60]!r} is a string; pass a list of entries, or read a file with read_text.")
    if isinstance(iterable, bytes | bytearray | memoryview):
        raise UsageError(f"{type(iterable).__name__} cannot be a source; pass a list of entries.")
    if isinstance(iterable, Mapping):
        raise UsageError("a mapping cannot be a source; pass its .items(), .keys() or .values().")
    rows = next((rows for package, rows in _ROWS.items() if _is_table(iterable, package)), None)
    if rows is not None:
        raise UsageError(f"iterating a {type(iterable).__name__} yields its columns; use {rows}.")
    if not isinstance(iterable, Iterable) and not hasattr(type(iterable), "__getitem__"):
        raise UsageError(f"{iterable!r} cannot be iterated; pass a list, a generator or an open file.")
    accepted: Iterable[Any] = iterable
    return accepted


#: Source of the rows of a table, by the table's package.
_ROWS = {
    "pandas": "elastic.from_pandas(frame)",
    "polars": "elastic.from_polars(frame)",
    "pyarrow": "elastic.from_arrow(table)",
    "": "elastic.from_arrow(table), or pass a list of dicts",
}


def _is_table(value: object, package: str) -> bool:
    """Return whether a value is a table of a package; "" stands for any package."""
    is_own = any(base.__module__.partition(".")[0] == package for base in type(value).__mro__)
    return (is_own or not package) and any(hasattr(value, name) for name in ("__dataframe__", "collect_schema"))


def _items(sequence: Sequence[Any], first: int) -> Iterator[Any]:
    """Return an iterator over a sequence from an index on, without visiting earlier items."""
    return (sequence[index] for index in range(first, len(sequence))) if first else iter(sequence)


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class IterablesReader(EntriesReader):
    """Reader of chunks of several iterables; a reference is `(first entry, count, index of the iterable)`."""

    def locate(self, reference: Reference, index: int) -> str:
        first, _, which = reference
        return f"entry {first + index} of iterable {which}"


class IterablesSource(Source):
    """Entries of several iterables, one iterable after another; a chunk never spans two.

    The source is replayable if all iterables are sequences. It touches an iterable only after the previous one has
    ended.

    Args:
        iterables: Iterables as `IterableSource` accepts them. The source collects them into a list at once.
        chunk_size: Entries per chunk.
        window: Function that returns the size of each chunk, by its number within its iterable, from 0; replaces
            `chunk_size`.

    Raises:
        UsageError: An iterable is refused (the message names its index), or `chunk_size` is not positive.
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
        """Yield pieces; a position is the index of the iterable, followed by a position of `IterableSource`."""
        which, *within = position or (0,)
        for number, source in enumerate(self._sources[which:], which):
            for piece in source.cut(tuple(within) or None):
                yield piece._replace(position=(number, *piece.position), reference=(*piece.reference, number))
            within = []

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        chunk = 0
        for number, source in enumerate(self._sources):
            first = chunk
            for inner, piece in source.peek(whole_chunks=whole_chunks):
                position, reference = (number, *piece.position), (*piece.reference, number)
                yield first + inner, piece._replace(position=position, reference=reference)
                chunk = first + inner + 1

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

    def reading(self) -> str:
        return "the master, one iterable after another"

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
