"""Contract of record formats: the layout of records in the bytes of a file."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from elastic.core.model.bad_record import BadRecord
from elastic.core.model.folder_column import FolderColumn
from elastic.stages.sources.files.block import FileBlock


class RecordFormat(ABC):
    """Parser of files; a value that holds parameters and is copied to the workers.

    A record ends with a line feed (byte 10) or at the end of its file. A carriage return before the line feed belongs
    to the line end; any other is data. Each format defines the meaning of blank lines.
    """

    __slots__ = ()

    @property
    def headed(self) -> bool:
        """True if the first record of every file names the fields of the others."""
        return False

    @property
    def sequential(self) -> bool:
        """True if a record may contain line ends, so that the master must read each file as one sequence."""
        return False

    @property
    def whole(self) -> bool:
        """True if a file must be one chunk, which may be empty."""
        return False

    @property
    def decompressed(self) -> bool:
        """True if compressed files are decompressed."""
        return True

    @property
    def hive_partitioning(self) -> bool:
        """True if folders `key=value/` below the given paths are columns of the records, which are dicts then."""
        return False

    @property
    def union_by_name(self) -> bool:
        """True if the headers of the files may differ, and records have the columns of all files."""
        return False

    def check_head(self, path: str, head: bytes) -> None:
        """Refuse a file that the format cannot read, by its first bytes.

        Called once or twice per file: by the reader of its first range, and by the master before it cuts the file.

        Raises:
            SourceError: The message has the type of the file and advice.
        """

    @property
    def has_head(self) -> bool:
        """True if `head_bytes` must be called for each file."""
        return False

    def head_bytes(self, plain: Iterable[bytes]) -> int:
        """Return the number of bytes at the start of a file that must be in one range.

        Args:
            plain: The whole file; called for files that are cut into ranges.
        """
        return 0

    def decode_stream(self, plain: Iterator[bytes], path: str, codec: str) -> Iterator[bytes]:
        """Return the bytes to cut, from a file that is read as one sequence.

        Args:
            plain: The whole file, after decompression.
            path: Path of the file, for messages.
            codec: Compression of the file.

        Raises:
            SourceError: As `check_head` does.
        """
        return plain

    @abstractmethod
    def parse(self, block: FileBlock) -> list[Any]:
        """Return the entries of whole records, in order. The hot path.

        Raises:
            DecodingError: The message names the file and the byte.
        """

    def columns(self, block: FileBlock) -> Collection[Any]:
        """Return the entries as `parse` does, possibly as a lazy sequence.

        Raises:
            DecodingError: As `parse` does.
        """
        return self.parse(block)

    def parse_each(self, block: FileBlock) -> list[Any]:
        """Return the entries as `parse` does, with a `BadRecord` in the place of each invalid record.

        Called after `parse` has raised. With the default, a block is valid or invalid as a whole.

        Raises:
            DecodingError: The whole block is invalid.
        """
        return self.parse(block)

    @abstractmethod
    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        """Yield the start of each entry: its byte within the block and the number of line ends before it.

        Invalid records count as entries, as in `parse_each`. Used for messages only; `parse` may not have seen the
        block.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain data for the run's manifest."""

    def records(self, path: str, at: int, plain: Iterable[bytes], chunk_bytes: int) -> Iterator[bytes]:
        """Cut a stream into blocks of whole records; the stream begins at byte `at`, the start of a record.

        A block ends with the first record that makes it at least `chunk_bytes` long, whatever the sizes of the incoming
        buffers. So cutting can restart at the beginning of any block.
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
        """Return the names in the first record of a file. Called only if `headed`."""
        return ()

    def with_fields(self, fields: tuple[str, ...]) -> "RecordFormat":
        """Return this format with the field names of the files. Called only if `headed`."""
        return self

    def with_all_columns(self, names: tuple[str, ...]) -> "RecordFormat":
        """Return this format for records with the columns of all files. Called only if `union_by_name`.

        Raises:
            UsageError: A column that the user names is not among them.
        """
        return self

    def with_columns(self, columns: tuple[FolderColumn, ...]) -> "RecordFormat":
        """Return this format for a file whose records have more columns than the file; records are dicts then.

        A record that has a column of the same name itself keeps it.
        """
        return self

    def check_columns(self) -> None:
        """Check that the columns that the user names exist; called when all are known without reading a file.

        Raises:
            UsageError: One does not exist.
        """


def valid(entries: Iterable[Any]) -> list[Any]:
    """Return entries none of which is a bad record; read no entry after a bad one.

    Raises:
        DecodingError: The error of the first bad record.
    """
    found = []
    for entry in entries:
        if isinstance(entry, BadRecord):
            raise entry.error
        found.append(entry)
    return found


def raw_lines(data: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
    """Yield the offset of each line and the line without its line feed."""
    at = 0
    lines = bytes(data).split(b"\n")
    for line in islice(lines, len(lines) - (lines[-1] == b"")):
        yield at, line
        at += len(line) + 1


def stream_lines(plain: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream with their line feeds."""
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
    """Return the lines of a string without their line ends.

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
