"""The format contract: how records lie in the bytes of a file."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from elastic.stages.sources.files.block import FileBlock


class RecordFormat(ABC):
    """Turns bytes into entries; a value that holds parameters and is copied to the workers.

    A record ends with a line feed (byte 10) or with its file; a carriage return in front of the line feed
    belongs to the line end, any other is data. Blank lines are up to the format.
    """

    __slots__ = ()

    @property
    def headed(self) -> bool:
        """True: every file begins with a record that names the fields of the others."""
        return False

    @property
    def sequential(self) -> bool:
        """True: a line end does not always end a record, so that the master reads each file as one sequence."""
        return False

    def check_head(self, path: str, head: bytes) -> None:
        """Refuse a file that the format cannot read, by its first bytes.

        Called once or twice for each file, by the reader of its first range and by the master before it cuts a file.

        Raises:
            SourceError: Says what the file is, and what to do.
        """

    def recoded(self, plain: Iterator[bytes], path: str, codec: str) -> Iterator[bytes]:
        """Return the bytes that are cut, given those of a file that is read as one sequence.

        Args:
            plain: The whole file, after decompression.
            path: For messages.
            codec: How the file is compressed.

        Raises:
            SourceError: As `check_head` does.
        """
        return plain

    @abstractmethod
    def parse(self, block: FileBlock) -> list[Any]:
        """Return the entries of whole records, in order. The hot path.

        Raises:
            DecodingError: Names the file and the byte.
        """

    def columns(self, block: FileBlock) -> Collection[Any]:
        """Return the entries as `parse` does, but perhaps in one piece that is taken apart when it is iterated.

        Raises:
            DecodingError: As `parse` does.
        """
        return self.parse(block)

    @abstractmethod
    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        """Yield for each entry where it begins: the byte within the block and the number of line ends before it.

        Only for messages; the block has not necessarily been parsed.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain data for the manifest of a run."""

    def records(self, path: str, at: int, plain: Iterable[bytes], chunk_bytes: int) -> Iterator[bytes]:
        """Cut a stream that begins at byte `at`, a record's first, into blocks of whole records.

        A block ends with the first record that makes it `chunk_bytes` long or longer, whatever the sizes
        of the buffers that come in, so that cutting can begin again where any block begins.
        """
        held, searched = bytearray(), 0
        for buffer in plain:
            held += buffer
            while end := held.find(b"\n", max(chunk_bytes - 1, searched)) + 1:
                yield bytes(memoryview(held)[:end])
                del held[:end]
                searched = 0
            searched = len(held)
        if held:
            yield bytes(held)

    def fields_of(self, head: FileBlock) -> tuple[str, ...]:
        """Return the names in the first record of a file. Only called if `headed`."""
        return ()

    def with_fields(self, fields: tuple[str, ...]) -> "RecordFormat":
        """Return this format with the names that the files give. Only called if `headed`."""
        return self


def raw_lines(data: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its first byte, without the line feed that ends it."""
    at = 0
    lines = bytes(data).split(b"\n")
    for line in islice(lines, len(lines) - (lines[-1] == b"")):
        yield at, line
        at += len(line) + 1


def stream_lines(plain: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream with the line feeds that end them."""
    held: list[bytes] = []
    for buffer in plain:
        lines = buffer.split(b"\n")
        held.append(lines[0])
        if len(lines) > 1:
            yield b"".join(held) + b"\n"
            for line in lines[1:-1]:
                yield line + b"\n"
            held = [lines[-1]]
    if rest := b"".join(held):
        yield rest


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without their line ends.

    Only a line feed ends a line: `str.splitlines` would also split at other characters, which are data here.
    """
    if not text:
        return []
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines
