"""Reader of file ranges, used by the workers."""

from array import array
from collections.abc import Collection, Mapping
from copy import copy
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from elastic.core.contracts.source import Reader
from elastic.core.errors import DecodingError, SourceError
from elastic.core.model.bad_record import BadRecord, RawRecord
from elastic.core.model.chunk import Reference
from elastic.core.model.folder_column import FolderColumn
from elastic.stages.sources.files.block import ByteRange, FileBlock, align
from elastic.stages.sources.files.compression import PLAIN, plain_bytes, skip
from elastic.stages.sources.files.file_type import SIGNATURE_BYTES
from elastic.stages.sources.files.format import RecordFormat
from elastic.stages.sources.files.lines import LinesOrBad, TextLines
from elastic.stages.sources.files.listing import is_url
from elastic.stages.sources.files.opener import open_range, read_exactly
from elastic.stages.sources.tables.partition_columns import PartitionColumns

#: Bytes of the first read after a range in search of the end of its last record. Each further read is twice as large,
#: up to the maximum.
_FIRST_TAIL_BYTES = 1 << 16
_MAX_TAIL_BYTES = 1 << 22

#: Maximum number of bytes to read again in order to find a line number or a place in a compressed file.
_MAX_SEARCH_BYTES = 64 << 20


class _Places(NamedTuple):
    """Places of the entries of a range."""

    reference: Reference
    #: For each entry its byte in the file, and the number of line ends between the start of the range and it.
    starts: "array[int]"
    #: Number of line ends before the range; None if counting them takes too long.
    lines_before: int | None


class FileReader(Reader):
    """Reader of file ranges; a reference is a `ByteRange`.

    Args:
        format: Record format of the files, with known field names.
        remotes: fsspec file systems, by protocol.
        partitions: Columns in the names of the folders of the files.
        headers: Field names of each file, if these differ.
        by_value_if_unseen: The master sends the bytes of a local file to nodes that do not see the file.
    """

    def __init__(
        self,
        format: RecordFormat,
        remotes: Mapping[str, Any],
        partitions: PartitionColumns | None = None,
        *,
        headers: Mapping[str, tuple[str, ...]] | None = None,
        by_value_if_unseen: bool,
    ) -> None:
        self.format = format
        self.remotes = dict(remotes)
        self.by_value_if_unseen = by_value_if_unseen
        self.partitions = partitions or PartitionColumns()
        self._headers = dict(headers or {})
        #: Columns of all files whose headers differ.
        self._all_names = tuple(dict.fromkeys(chain.from_iterable(self._headers.values())))
        self._in_columns = False
        #: The last file whose format was asked for, and that format.
        self._format_of: tuple[str, RecordFormat] | None = None
        #: Places in the last located reference, because one chunk may have thousands of bad records.
        self._places: _Places | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_places": None, "_format_of": None}

    def columnar(self) -> "FileReader":
        reader = copy(self)
        reader._in_columns = True
        return reader

    @property
    def yields_text(self) -> bool:
        """True if `parse` returns `LazyLines`."""
        return self._in_columns and isinstance(self.format, TextLines)

    def read_block(self, reference: Reference) -> bytes:
        """Return the records of a range, preceded by the bytes that `align` removes."""
        part = ByteRange(*reference)
        with open_range(part, self.remotes) as file:
            if part.codec is not None:
                return self._read_sequence(file, part, part.codec)
            data = self._read_range(file, part)
        if not part.start:
            self.format.check_head(part.path, data[:SIGNATURE_BYTES])
        return data

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        format = self._format(reference[0])
        if self._in_columns and not format.whole:
            return format.columns(align(ByteRange(*reference), block))
        return format.parse(align(ByteRange(*reference), block)) if block or format.whole else []

    def parse_each(self, reference: Reference, block: bytes) -> Collection[Any]:
        format = self._format(reference[0])
        entries = format.parse_each(align(ByteRange(*reference), block)) if block or format.whole else []
        return LinesOrBad(entries) if self.yields_text else entries

    def parse_record(self, raw: RawRecord) -> Any:
        if raw.source:
            raise DecodingError(
                "",
                0,
                f"the record is of source {raw.source[0]} of a concat, and the flow has none there",
                "redrive by a flow that joins the same sources",
            )
        format = self.format.with_fields(raw.fields) if self.format.headed else self.format
        format = format.with_columns(raw.columns)
        # Not at the start of a file, where a header or a byte order mark would be.
        entries = format.parse_each(FileBlock("", 1, raw.data))
        if len(entries) != 1:
            raise DecodingError("", 0, f"the record is {len(entries)} records now", "read the file by a new run")
        if isinstance(entries[0], BadRecord):
            raise entries[0].error
        return entries[0]

    def locate(self, reference: Reference, index: int) -> str:
        part = ByteRange(*reference)
        if self.format.whole:
            return f"entry {index} of {part.path!r}"
        around = f"entry {index} of the chunk from byte {part.start} of {part.path!r}"
        if part.codec not in (None, PLAIN) and part.start > _MAX_SEARCH_BYTES:
            return around
        try:
            places = self._places_in(reference)
            byte, line = places.starts[2 * index], places.starts[2 * index + 1]
        except (SourceError, IndexError):
            return around
        if places.lines_before is None:
            return f"byte {byte} of {part.path!r}"
        return f"line {places.lines_before + line + 1} of {part.path!r} (byte {byte})"

    def probes(self, reference: Reference) -> str | None:
        path: str = reference[0]
        return path if self.by_value_if_unseen and not is_url(path) else None

    def _format(self, path: str) -> RecordFormat:
        """Return the format of a file, with the columns that are not in the file itself."""
        if not self.partitions.names and not self._headers:
            return self.format
        if self._format_of is None or self._format_of[0] != path:
            own, columns = self._headers.get(path), self.partitions.columns(path)
            format = self.format if own is None else self.format.with_fields(own)
            missing = [name for name in self._all_names if name not in (*(own or ()), *self.partitions.names)]
            columns += tuple(FolderColumn(name, None, "string") for name in missing)
            self._format_of = (path, format.with_columns(columns))
        return self._format_of[1]

    def _places_in(self, reference: Reference) -> "_Places":
        if self._places is None or self._places.reference != tuple(reference):
            part = ByteRange(*reference)
            block = align(part, self.read_block(reference))
            starts = array("q")
            for offset, line in self.format.starts(block):
                starts.extend((block.at + offset, line))
            self._places = _Places(tuple(reference), starts, self._lines_before(part, block))
        return self._places

    @staticmethod
    def _read_range(file: BinaryIO, part: ByteRange) -> bytes:
        count = part.end - part.base
        data = read_exactly(file, part, part.base, count + _bytes_after_range(file, part))
        if part.start and data.find(b"\n", 0, count - 1) < 0:
            return b""  # inside a record that began in an earlier range
        if part.end == part.size or data.endswith(b"\n"):
            return data
        return b"".join([data, *_tail(file, part)])

    def _read_sequence(self, file: BinaryIO, part: ByteRange, codec: str) -> bytes:
        """Return a range of the plain text of a file that can only be read from its start."""
        count = part.end - part.start
        parts: list[bytes] = []
        whole = self.format.decode_stream(plain_bytes(file, codec, part.path), part.path, codec)
        for plain in skip(whole, part.start):
            parts.append(plain[:count])
            count -= len(parts[-1])
            if not count:
                break
        return b"".join(parts)

    def _lines_before(self, part: ByteRange, block: FileBlock) -> int | None:
        """Return the number of line ends before a block; None if counting them takes too long."""
        if part.codec is not None:
            return part.line
        if is_url(part.path) or block.at > _MAX_SEARCH_BYTES:
            return None
        with open_range(part, self.remotes) as file:
            return read_exactly(file, part, 0, block.at).count(b"\n")


def _bytes_after_range(file: BinaryIO, part: ByteRange) -> int:
    """Return the number of bytes of a range's last record after the range; 0 if they are not close by.

    With it, one read returns the range and these bytes, and no copy is needed to join them. Remote files are read from
    start to end instead.
    """
    if part.end == part.size or is_url(part.path):
        return 0
    near = read_exactly(file, part, part.end - 1, 1 + min(_FIRST_TAIL_BYTES, part.size - part.end))
    return max(near.find(b"\n"), 0)


def _tail(file: BinaryIO, part: ByteRange) -> list[bytes]:
    """Return the bytes between the end of a range and the end of its last record."""
    found: list[bytes] = []
    at, step = part.end, _FIRST_TAIL_BYTES
    while at < part.size:
        more = read_exactly(file, part, at, min(step, part.size - at))
        end = more.find(b"\n") + 1
        if end:
            return [*found, more[:end]]
        found.append(more)
        at += len(more)
        step = min(2 * step, _MAX_TAIL_BYTES)
    return found
