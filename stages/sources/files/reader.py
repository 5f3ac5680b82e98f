"""Reads pieces of files, on the workers."""

from collections.abc import Collection, Mapping
from copy import copy
from itertools import islice
from typing import Any, BinaryIO

from elastic.core.contracts.source import Reader
from elastic.core.errors import SourceError
from elastic.core.model.chunk import Reference
from elastic.stages.sources.files.block import ByteRange, FileBlock, aligned
from elastic.stages.sources.files.compression import PLAIN, plain_bytes, skipped
from elastic.stages.sources.files.file_type import LOOKED_AT
from elastic.stages.sources.files.format import RecordFormat
from elastic.stages.sources.files.lines import TextLines
from elastic.stages.sources.files.listing import is_url
from elastic.stages.sources.files.opener import opened, read_exactly

#: First step when the end of a record is looked for behind its range (bytes); the steps double up to the second.
_TAIL_BYTES = 1 << 16
_MAX_TAIL_BYTES = 1 << 22

#: To find a line's number or a place in a compressed file, no more than this is read again (bytes).
_SEARCH_BYTES = 64 << 20


class FileReader(Reader):
    """Reads parts of files; a reference is a `ByteRange`.

    Args:
        format: How records lie in the files; its field names are known.
        remotes: A file system of fsspec for each protocol among the files.
        by_value_if_unseen: A node that does not see a local file gets its bytes from the master.
    """

    def __init__(self, format: RecordFormat, remotes: Mapping[str, Any], *, by_value_if_unseen: bool) -> None:
        self.format = format
        self.remotes = dict(remotes)
        self.by_value_if_unseen = by_value_if_unseen
        self._in_columns = False

    def columnar(self) -> "FileReader":
        reader = copy(self)
        reader._in_columns = True
        return reader

    @property
    def yields_text(self) -> bool:
        """True when entries come as a `TextBlock`."""
        return self._in_columns and isinstance(self.format, TextLines)

    def read_block(self, reference: Reference) -> bytes:
        """Return the records of a range; in front of them what `aligned` takes off again."""
        part = ByteRange(*reference)
        with opened(part, self.remotes) as file:
            if part.codec is not None:
                return self._sequence(file, part, part.codec)
            data = self._range(file, part)
        if not part.start:
            self.format.check_head(part.path, data[:LOOKED_AT])
        return data

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        if self._in_columns:
            return self.format.columns(aligned(ByteRange(*reference), block))
        return self.format.parse(aligned(ByteRange(*reference), block)) if block else []

    def locate(self, reference: Reference, index: int) -> str:
        part = ByteRange(*reference)
        around = f"entry {index} of the chunk from byte {part.start} of {part.path!r}"
        if part.codec not in (None, PLAIN) and part.start > _SEARCH_BYTES:
            return around
        try:
            block = aligned(part, self.read_block(reference))
            offset, line = next(islice(self.format.starts(block), index, None))
            before = self._lines_before(part, block)
        except (SourceError, StopIteration):
            return around
        byte = f"byte {block.at + offset}"
        return f"{byte} of {part.path!r}" if before is None else f"line {before + line + 1} of {part.path!r} ({byte})"

    def probes(self, reference: Reference) -> str | None:
        path: str = reference[0]
        return path if self.by_value_if_unseen and not is_url(path) else None

    @staticmethod
    def _range(file: BinaryIO, part: ByteRange) -> bytes:
        count = part.end - part.base
        data = read_exactly(file, part, part.base, count + _overhang(file, part))
        if part.start and data.find(b"\n", 0, count - 1) < 0:
            return b""  # inside of a record that began in an earlier range
        if part.end == part.size or data.endswith(b"\n"):
            return data
        return b"".join([data, *_tail(file, part)])

    def _sequence(self, file: BinaryIO, part: ByteRange, codec: str) -> bytes:
        """Return a range of the plain text of a file that can only be read from its start."""
        count = part.end - part.start
        parts: list[bytes] = []
        whole = self.format.recoded(plain_bytes(file, codec, part.path), part.path, codec)
        for plain in skipped(whole, part.start):
            parts.append(plain[:count])
            count -= len(parts[-1])
            if not count:
                break
        return b"".join(parts)

    def _lines_before(self, part: ByteRange, block: FileBlock) -> int | None:
        """Return the number of line ends before a block, or None if counting them would take too long."""
        if part.codec is not None:
            return part.line
        if is_url(part.path) or block.at > _SEARCH_BYTES:
            return None
        with opened(part, self.remotes) as file:
            return read_exactly(file, part, 0, block.at).count(b"\n")


def _overhang(file: BinaryIO, part: ByteRange) -> int:
    """Return how many bytes of a range's last record lie behind the range, or 0 where that is not seen at once.

    Then the range and they are read in one piece, which would have to be copied to be joined. What comes from far away
    is read from its start to its end instead.
    """
    if part.end == part.size or is_url(part.path):
        return 0
    near = read_exactly(file, part, part.end - 1, 1 + min(_TAIL_BYTES, part.size - part.end))
    return max(near.find(b"\n"), 0)


def _tail(file: BinaryIO, part: ByteRange) -> list[bytes]:
    """Return what lies between the end of a range and the end of its last record."""
    found: list[bytes] = []
    at, step = part.end, _TAIL_BYTES
    while at < part.size:
        more = read_exactly(file, part, at, min(step, part.size - at))
        end = more.find(b"\n") + 1
        if end:
            return [*found, more[:end]]
        found.append(more)
        at += len(more)
        step = min(2 * step, _MAX_TAIL_BYTES)
    return found
