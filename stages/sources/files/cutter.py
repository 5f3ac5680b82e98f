"""Cuts listed files into pieces, on the master."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from elastic.core.errors import DecodingError
from elastic.core.model.chunk import SourcePiece
from elastic.stages.sources.files.block import ByteRange, FileBlock
from elastic.stages.sources.files.compression import PLAIN, codec_of, plain_bytes, skip
from elastic.stages.sources.files.csv import HEADER_ADVICE
from elastic.stages.sources.files.file_type import SIGNATURE_BYTES
from elastic.stages.sources.files.format import RecordFormat
from elastic.stages.sources.files.listing import FileListing, FoundFile, is_url
from elastic.stages.sources.files.opener import open_range
from elastic.stages.sources.files.reader import FileReader

Mark = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class FileCutter:
    """Cuts the files of a listing, one after another.

    The master reads only files that need sequential reading. Of each other file it reads at most the header, right
    before cutting it, to compare it with the header of the first file.
    """

    listing: FileListing
    format: RecordFormat
    #: Bytes per chunk; None for one chunk per file.
    chunk_bytes: int | None

    def pieces(
        self,
        which: int,
        byte: int,
        line: int,
        by_value: FileReader | None,
        *,
        names: tuple[str, ...] | None = None,
    ) -> Iterator[SourcePiece]:
        """Yield pieces from a byte of a file on; `line` is the number of line ends before that byte.

        If `by_value` is a reader, the master reads the ranges with it and sends them by value. `names` are the expected
        field names, by default those of the first file.
        """
        mark, names = self.listing.mark, self.names() if names is None else names
        for number in range(which, len(self.listing.files)):
            file = self.listing.files[number]
            codec = self._codec(file)
            if names and not is_url(file.path) and not self.format.union_by_name:
                self._check_header(file, codec, names)
            if codec is None:
                yield from self._ranges(file, (number, byte, mark), by_value)
            else:
                yield from self._sequence(file, codec, (number, byte, line, mark))
            byte = line = 0

    def names(self) -> tuple[str, ...]:
        """Return the field names in the first non-empty file, or an empty tuple for formats without headers."""
        if self.format.headed:
            for file in self.listing.files:
                if names := self._header(file, self._codec(file)):
                    return names
        return ()

    def headers(self) -> dict[str, tuple[str, ...]]:
        """Return the field names of each file; those of an empty file are an empty tuple."""
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        found = {file.path: self._header(file, self._codec(file)) for file in self.listing.files}
        # One object per header, which is pickled once.
        return {path: known.setdefault(names, names) for path, names in found.items()}

    def _ranges(
        self, file: FoundFile, begin: tuple[int, int, Mark], by_value: FileReader | None
    ) -> Iterator[SourcePiece]:
        path, size, version = file
        number, byte, mark = begin
        step, stop = self.chunk_bytes or max(size, 1), size
        if self.chunk_bytes is None:
            stop = max(size, 1)  # an empty file is one chunk
        if byte == 0 and size > step and not is_url(path):
            # Before the workers: a smaller file is one range, and the worker that reads it looks.
            with open_range(_whole(file), self.listing.remotes) as stored:
                self.format.check_head(path, stored.read(SIGNATURE_BYTES))
        start, head = byte, 0 if byte else self._head_bytes(file)
        while start < stop:
            end = max(start + step, head)
            reference = (path, start, min(end, size), size, version)
            block = by_value.read_block(reference) if by_value is not None else None
            yield SourcePiece((number, start, 0, mark), reference, None, block)
            start = end

    def _head_bytes(self, file: FoundFile) -> int:
        if not self.format.has_head:
            return 0
        with open_range(_whole(file), self.listing.remotes) as stored:
            return self.format.head_bytes(plain_bytes(stored, PLAIN, file.path))

    def _sequence(self, file: FoundFile, codec: str, begin: tuple[int, int, int, Mark]) -> Iterator[SourcePiece]:
        path, size, version = file
        number, byte, line, mark = begin
        with open_range(_whole(file), self.listing.remotes) as stored:
            plain = skip(self.format.decode_stream(plain_bytes(stored, codec, path), path, codec), byte)
            for block in self.format.records(path, byte, plain, self.chunk_bytes or sys.maxsize):
                end = byte + len(block)
                yield SourcePiece(
                    (number, byte, line, mark), (path, byte, end, size, version, codec, line), None, block
                )
                byte, line = end, line + block.count(b"\n")
        if byte == 0 and self.chunk_bytes is None:
            yield SourcePiece((number, 0, 0, mark), (path, 0, 0, size, version, codec, 0), None, b"")

    def _codec(self, file: FoundFile) -> str | None:
        """Return the codec of a file that needs sequential reading; None if ranges of the file can be read."""
        codec = codec_of(file.path) if self.format.decompressed else None
        return codec or (PLAIN if self.format.sequential else None)

    def _header(self, file: FoundFile, codec: str | None) -> tuple[str, ...]:
        with open_range(_whole(file), self.listing.remotes) as stored:
            codec = codec or PLAIN
            plain = self.format.decode_stream(plain_bytes(stored, codec, file.path), file.path, codec)
            head = next(self.format.records(file.path, 0, plain, 1), b"")
        return self.format.fields_of(FileBlock(file.path, 0, head))

    def _check_header(self, file: FoundFile, codec: str | None, names: tuple[str, ...]) -> None:
        found = self._header(file, codec)
        if found and found != names:
            raise DecodingError(
                file.path,
                0,
                f"the header is {', '.join(found)} where that of the first file is {', '.join(names)}",
                HEADER_ADVICE,
            )


def _whole(file: FoundFile) -> ByteRange:
    return ByteRange(file.path, 0, file.size, file.size, file.version)
