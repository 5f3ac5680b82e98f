"""Compression of files of text: gzip (RFC 1952) or Zstandard (RFC 8878)."""

import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import zstandard

from elastic.core.errors import UsageError
from elastic.persistence.written_files.file_format import EncodedRows, FileFormat, FileRows

#: Level of zlib: half of the time of the default level, for files that are a tenth larger.
_GZIP_LEVEL = 4

#: Window bits of zlib that make a gzip header, without a time.
_GZIP_WINDOW = 31


class _Compressor(Protocol):
    def compress(self, data: bytes) -> bytes:
        """Return compressed bytes that are ready."""

    def flush(self) -> bytes:
        """Return the end of the file."""


_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    "gzip": lambda: zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW),
    "zstd": lambda: zstandard.ZstdCompressor().compressobj(),
}

_SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}


class CompressedFormat(FileFormat):
    """Another format, compressed.

    Args:
        format: The other format.
        compression: `gzip` or `zstd`.

    Raises:
        UsageError: There is no such compression.
    """

    def __init__(self, format: FileFormat, compression: str) -> None:
        if compression not in _COMPRESSORS:
            raise UsageError(f"compression={compression!r} must be {' or '.join(_COMPRESSORS)}, or left out.")
        self._format, self._compression = format, compression
        self.name, self.suffix = format.name, format.suffix + _SUFFIXES[compression]

    def without(self, names: Collection[str]) -> FileFormat:
        return CompressedFormat(self._format.without(names), self._compression)

    def describe(self) -> dict[str, Any]:
        return {**self._format.describe(), "compression": self._compression}

    def encode(self, records: Sequence[Any]) -> list[EncodedRows]:
        return self._format.encode(records)

    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        return _CompressedRows(self._format, write, columns, _COMPRESSORS[self._compression]())


class _CompressedRows(FileRows):
    """Compressed file that is being written."""

    def __init__(
        self, format: FileFormat, write: Callable[[bytes], None], columns: str, compressor: _Compressor
    ) -> None:
        self._write, self._compressor = write, compressor
        self._rows = format.open(self._compress, columns)

    def write(self, rows: Sequence[EncodedRows]) -> None:
        self._rows.write(rows)

    def finish(self) -> None:
        self._rows.finish()
        self._write(self._compressor.flush())

    def _compress(self, data: bytes) -> None:
        compressed = self._compressor.compress(data)
        if compressed:
            self._write(compressed)
