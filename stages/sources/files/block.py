"""What a reader and a format speak of: a range of a file, and the bytes of whole records in it."""

from dataclasses import dataclass
from typing import NamedTuple

from elastic.core.errors import DecodingError


class ByteRange(NamedTuple):
    """A reference to a part of a file; it travels as a plain tuple.

    Without a codec the range is cut blindly: the records whose first byte lies in it belong to it. With a codec
    the master read the file as one sequence: the range holds whole records, and its bytes are those of the plain
    text, after decompression.
    """

    path: str
    start: int  #: the first byte
    end: int  #: one past the last byte
    size: int  #: bytes of the file when it was cut, as stored
    version: int | str  #: nanoseconds of its last change; of a remote file what its store tells instead
    codec: str | None = None
    line: int = 0  #: with a codec: number of line ends before the range

    @property
    def base(self) -> int:
        """The first byte to read: one before the range, to see whether a line ends there."""
        return max(self.start - 1, 0) if self.codec is None else self.start


@dataclass(frozen=True, slots=True)
class FileBlock:
    """Whole records of a file, as bytes."""

    path: str
    #: where `data` begins, in bytes of the plain text
    at: int
    data: bytes | memoryview

    def error(self, offset: int, problem: str, advice: str) -> DecodingError:
        """Return the error that names the byte at `offset` of the data."""
        return DecodingError(self.path, self.at + offset, problem, advice)


def aligned(part: ByteRange, data: bytes) -> FileBlock:
    """Return the whole records in what was read for a range, without copying them.

    A range that does not begin its file is read from one byte before it, and the records begin behind the
    first line end.
    """
    skip = data.find(b"\n") + 1 if part.codec is None and part.start else 0
    return FileBlock(part.path, part.base + skip, memoryview(data)[skip:])
