"""Range of a file, and the whole records in it as bytes."""

from dataclasses import dataclass
from typing import NamedTuple

from elastic.core.errors import DecodingError


class ByteRange(NamedTuple):
    """Reference to a part of a file; it travels as a plain tuple.

    Without a codec, the master chose the range without reading the file: records whose first byte is in the range
    belong to it. With a codec, the master read the file as one sequence: the range holds whole records, and its byte
    numbers count the plain text after decompression.
    """

    path: str
    start: int  #: First byte.
    end: int  #: Exclusive end.
    size: int  #: Stored size of the file when the master cut it, in bytes.
    version: int | str  #: Modification time in nanoseconds, or the version string of a remote store.
    codec: str | None = None
    line: int = 0  #: With a codec: number of line ends before the range.

    @property
    def base(self) -> int:
        """First byte to read: the one before the range, which shows whether a line ends there."""
        return max(self.start - 1, 0) if self.codec is None else self.start


@dataclass(frozen=True, slots=True)
class FileBlock:
    """Whole records of a file, as bytes."""

    path: str
    #: Offset of `data` in the plain text of the file, in bytes.
    at: int
    data: bytes | memoryview

    def error(self, offset: int, problem: str, advice: str) -> DecodingError:
        """Return an error for the byte at `offset` of the data."""
        return DecodingError(self.path, self.at + offset, problem, advice)


def align(part: ByteRange, data: bytes) -> FileBlock:
    """Return the whole records of a range in the bytes that were read for it, without copying them.

    A reader reads a range from one byte before it, unless the range starts its file. The records then begin after the
    first line end.
    """
    skip = data.find(b"\n") + 1 if part.codec is None and part.start else 0
    return FileBlock(part.path, part.base + skip, memoryview(data)[skip:])
