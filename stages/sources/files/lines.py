"""Text files with one line per entry, and lines that are split lazily."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from elastic.core.errors import DecodingError
from elastic.core.model.bad_record import BadRecord, RawRecord
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.format import raw_lines, split_lines
from elastic.stages.sources.files.text_encoding import EncodedLines, decode_block, decoded_lines

#: Minimum size of a piece in bytes; the words of one piece fit into a processor's cache.
_PIECE_BYTES = 1 << 16


class LazyLines(Sequence[str]):
    """Sequence of text lines that is split at the first access.

    Args:
        data: Whole lines of valid UTF-8.
    """

    __slots__ = ("_length", "_lines", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._lines: list[str] | None = None
        self._length: int | None = None

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def pieces(self) -> Iterator[bytes]:
        """The data in pieces of whole lines."""
        start = 0
        while start < len(self.data):
            stop = self.data.find(b"\n", start + _PIECE_BYTES - 1) + 1 or len(self.data)
            yield self.data[start:stop]
            start = stop

    def __len__(self) -> int:
        if self._length is None:
            self._length = self.data.count(b"\n") + (not self.data.endswith(b"\n") and bool(self.data))
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self._split())

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "LazyLines": ...

    def __getitem__(self, index: int | slice) -> "str | LazyLines":
        if isinstance(index, int):
            return self._split()[index]
        if index.indices(len(self)) == (0, len(self), 1):
            return self
        return lazy_lines(self._split()[index])

    def _split(self) -> list[str]:
        if self._lines is None:
            self._lines = split_lines(self.text)
        return self._lines


def lazy_lines(lines: Sequence[str]) -> LazyLines:
    """Return split lines as a lazy sequence."""
    # A carriage return at the end of a line is data here, so another one must stand before the line feed.
    return LazyLines("".join([f"{line}\r\n" if line.endswith("\r") else f"{line}\n" for line in lines]).encode())


class LinesOrBad(Sequence[Any]):
    """Sequence of lines with a `BadRecord` in the place of each invalid one; a part without these is `LazyLines`."""

    __slots__ = ("_records",)

    def __init__(self, records: Sequence[str | BadRecord]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        found = self._records[index]
        if isinstance(found, str | BadRecord):
            return found
        lines = [record for record in found if isinstance(record, str)]
        return lazy_lines(lines) if len(lines) == len(found) else LinesOrBad(found)


@dataclass(frozen=True, slots=True)
class TextLines(EncodedLines):
    r"""Text files; an entry is one line as `str`, without its line end.

    Only `\n` and `\r\n` end a line. Blank lines are entries. A byte order mark at the start of a file is dropped.
    """

    def parse(self, block: FileBlock) -> list[Any]:
        return split_lines(decode_block(block, self.encoding, self.errors))

    def columns(self, block: FileBlock) -> LazyLines:
        data = bytes(block.data)
        if self.encoding != "utf-8" or not data.isascii():
            # Decode here, so that the first reader of the file finds invalid bytes. Files never yield surrogates.
            data = decode_block(block, self.encoding, self.errors).encode()
        return LazyLines(data)

    def parse_each(self, block: FileBlock) -> list[Any]:
        lines = decoded_lines(block, self.encoding, self.errors)
        return [
            BadRecord(RawRecord(line.raw), line.text) if isinstance(line.text, DecodingError) else line.text
            for line in lines
        ]

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        for number, (at, _) in enumerate(raw_lines(block.data)):
            yield at, number

    def describe(self) -> dict[str, Any]:
        return {"format": "text", "encoding": self.encoding, "errors": self.errors}
