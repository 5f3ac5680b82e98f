"""Source contract: data that the master cuts into pieces and the workers read."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from elastic.core.encoding import unpack
from elastic.core.errors import DecodingError, UsageError
from elastic.core.model.bad_record import RawRecord
from elastic.core.model.chunk import Position, Reference, SourcePiece


class Reader(ABC):
    """Reader that turns a piece's reference into entries on a worker; pickled once per run, without open files."""

    @abstractmethod
    def read_block(self, reference: Reference) -> bytes:
        """Return the bytes that the reference names.

        Called on a worker that can see the data, or on the master for a node that cannot.

        Raises:
            SourceError: The bytes cannot be read, or have changed since they were cut.
        """

    @abstractmethod
    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        """Return the entries of a block, in order.

        Raises:
            DecodingError: The bytes are invalid; names the file and the byte.
        """

    def parse_each(self, reference: Reference, block: bytes) -> Collection[Any]:
        """Return the entries as `parse` does, with a `BadRecord` in the place of each record that is invalid.

        Called after `parse` has raised, so that one bad record does not cost its chunk. With the default, a block is
        valid or invalid as a whole.

        Raises:
            DecodingError: The whole block is invalid.
        """
        return self.parse(reference, block)

    def parse_record(self, raw: RawRecord) -> Any:
        """Return the entry of a record that an earlier run could not parse.

        Called for dead letters, which are redriven without their source.

        Raises:
            DecodingError: The record is still invalid.
        """
        raise DecodingError("", 0, "this source does not parse single records", "redrive by a flow that reads files")

    def columnar(self) -> "Reader":
        """Return the reader for a flow that begins with frames or words.

        Its `parse` may return a sized collection that creates the entries only when it is iterated.
        """
        return self

    def locate(self, reference: Reference, index: int) -> str:
        """Return the place of entry `index` of a piece in the source, for messages."""
        return f"entry {index} of {reference!r}"

    def probes(self, reference: Reference) -> str | None:
        """Return the local path that a node needs to read this reference, or None if every node can read it."""
        return None


class EntriesReader(Reader):
    """Reader of chunks that carry their entries by value; a reference is `(index of the first entry, count)`."""

    def read_block(self, reference: Reference) -> bytes:
        raise TypeError("chunks of this source travel by value")

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        entries: list[Any] = unpack(block)
        return entries

    def locate(self, reference: Reference, index: int) -> str:
        return f"entry {reference[0] + index}"


class Source(ABC):
    """Data source that is read in order and cut into pieces."""

    #: True: `cut` can restart at any position it has yielded, in another process as well, and yields the same pieces.
    #: False (*one-shot*): the master persists each piece before it is sent.
    replayable: bool = True

    @abstractmethod
    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield the pieces from `position` on, or from the start.

        Called once per run; the master reads ahead only as far as it can send. A generator must close its resources
        when it is closed.

        Raises:
            SourceError: The source is missing or cannot be read.
        """

    @abstractmethod
    def reader(self) -> Reader:
        """Return the reader with which workers read the pieces."""

    def record_reader(self) -> Reader:
        """Return the reader whose `parse_record` parses records of dead letters; reads nothing.

        With the default, such records cannot be parsed.
        """
        return EntriesReader()

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain data that describes the source, for the manifest of the run."""

    def position_after(self, position: Position, entries: int) -> Position | None:
        """Return the position after a piece that began at `position` and had `entries` entries, if known.

        It lets a one-shot source continue at its current position, if it is still the object that was read.
        """
        return None

    def take_back(self, pieces: Sequence[SourcePiece]) -> None:
        """Take back the last pieces; `cut` must yield them first when it continues at the first of them.

        Called when a run of a one-shot source ends with pieces that the full disk has refused. With the default, which
        does nothing, the source cannot continue in the same process.
        """
        return

    def expected_chunks(self) -> int | None:
        """Return the total number of pieces, if known without reading, for the progress bar."""
        return None

    def expected_bytes(self) -> int | None:
        """Return the number of stored bytes, if known without reading. Large sources are processed in columns."""
        return None

    def reading(self) -> str:
        """Return who reads the entries, as a clause such as `the workers, by byte range`, for `Flow.explain`."""
        return "the master cuts it"

    def expected_entries(self) -> int | None:
        """Return the total number of entries, if known without reading."""
        return None

    def counted_entries(self) -> int | None:
        """Return the total number of entries, if counting them is less work than reading them.

        Raises:
            SourceError: The source is missing or cannot be read.
        """
        return self.expected_entries()

    def counting(self) -> "Source":
        """Return a source with as many entries as this one, of which only the number is needed.

        Override it if that takes less reading.

        Raises:
            SourceError: The source is missing or cannot be read.
        """
        return self

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        """Yield the first pieces, each with its number, for a look at the data before a run.

        May be called any number of times; the next `cut` yields all entries all the same.

        Args:
            whole_chunks: Whether the pieces must be those of `cut`. Otherwise they may be smaller parts of them, in
                the same order, so that less is read.

        Raises:
            UsageError: The source is one-shot, and would lose the entries.
            SourceError: The source is missing or cannot be read.
        """
        if not self.replayable:
            raise UsageError(
                f"{type(self).__name__} can be read once, so a look at its records would lose them; run the flow, or "
                "override peek in the class."
            )
        # A generator, because it can be closed.
        return (numbered for numbered in enumerate(self.cut()))
