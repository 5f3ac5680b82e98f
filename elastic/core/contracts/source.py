"""The source contract: what can be enumerated, cut into pieces on the master and read on the workers."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from elastic.core.encoding import unpack
from elastic.core.model.chunk import Position, Reference, SourcePiece


class Reader(ABC):
    """Turns a piece's reference into entries, on a worker. It is pickled once per run and holds no open file."""

    @abstractmethod
    def read_block(self, reference: Reference) -> bytes:
        """Return the bytes that the reference names.

        Called on a worker that can see the data, or on the master for a node that cannot.

        Raises:
            SourceError: The bytes cannot be read, or are no longer those that were cut.
        """

    @abstractmethod
    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        """Return the entries of a block, in order.

        Raises:
            DecodingError: The bytes are not what they should be; names the file and the byte.
        """

    def columnar(self) -> "Reader":
        """Return the reader of a flow that begins with frames or words.

        Its `parse` may return a collection that knows its length, and turns into entries only when it is iterated.
        """
        return self

    def locate(self, reference: Reference, index: int) -> str:
        """Say where entry `index` of a piece lies in the source, for a person."""
        return f"entry {index} of {reference!r}"

    def probes(self, reference: Reference) -> str | None:
        """Return the local path that a node must see to read this reference, or None when every node can."""
        return None


class EntriesReader(Reader):
    """Reads chunks that carry their entries by value; a reference is `(index of the first entry, count)`."""

    def read_block(self, reference: Reference) -> bytes:
        raise TypeError("chunks of this source travel by value")

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        entries: list[Any] = unpack(block)
        return entries

    def locate(self, reference: Reference, index: int) -> str:
        return f"entry {reference[0] + index}"


class Source(ABC):
    """An enumerable, read in order, cut into pieces."""

    #: True: `cut` can begin again at any position it has yielded, in another process as well, and yields
    #: the same pieces. False (*one-shot*): what was cut is persisted before it is sent.
    replayable: bool = True

    @abstractmethod
    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield the pieces from `position` on, or from the start.

        Called once per run, and read no further ahead than the window of what can be sent. A generator that
        holds something open closes it when it is closed.

        Raises:
            SourceError: There is nothing to read, or it cannot be read.
        """

    @abstractmethod
    def reader(self) -> Reader:
        """Return what workers need to read the pieces."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain data that says what is read, for the manifest of the run."""

    def position_after(self, position: Position, entries: int) -> Position | None:
        """Return the position behind a piece that began at `position` and had so many entries, where that is known.

        So one that can be read once only goes on where it stands, when it is still the object that was read.
        """
        return None

    def take_back(self, pieces: Sequence[SourcePiece]) -> None:
        """Take back the last pieces that were cut, and yield them first when `cut` goes on at the first of them.

        Called when a run of a one-shot source ends and has pieces that its disk has refused. A source that does
        nothing here cannot go on in the same process then.
        """
        return

    def expected_chunks(self) -> int | None:
        """Return how many pieces there will be, where that is known without reading, for the progress bar."""
        return None
