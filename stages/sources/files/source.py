"""Source of records in files, cut into byte ranges or read as a sequence of blocks."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from elastic.core.contracts.source import Source
from elastic.core.errors import SourceChangedError, UsageError
from elastic.core.model.chunk import Position, SourcePiece
from elastic.stages.sources.files.compression import codec_of
from elastic.stages.sources.files.cutter import FileCutter
from elastic.stages.sources.files.format import RecordFormat
from elastic.stages.sources.files.listing import FileListing, FoundFile, is_url, path_strings
from elastic.stages.sources.files.reader import FileReader
from elastic.stages.sources.files.remote import masked
from elastic.stages.sources.files.search import change_of, find_files, iterate_files, shown_paths
from elastic.stages.sources.tables.partition_columns import PartitionColumns
from elastic.stages.sources.validation import one_of, positive_integer

#: Bytes per chunk: about 10 ms of splitting lines, and about 100 ms of a user's function over them.
DEFAULT_CHUNK_BYTES = 4 << 20

#: Bytes of a range that a look at the data reads, of files that are read by range.
_PEEK_BYTES = 64 << 10


class FileSource(Source):
    """Files of records: text lines, JSON lines, CSV.

    The master cuts uncompressed files into byte ranges without reading them. A record belongs to the range that
    contains its first byte, and workers read the ranges. The master reads other files as one sequence each and sends
    their records by value: compressed files (`.gz`, `.bz2`, `.xz`, `.zst`), text that is not compatible with ASCII, and
    formats whose records may contain line ends. The documentation of reading files has the rules.

    Creating a source reads nothing: it looks for files when `cut` is called, before the first piece. It reads a file
    once even if several paths name it. Files must not change until the run has ended.

    Args:
        paths: One or several files, globs (`**` for any depth), folders (as `folder/**`) or URLs (`s3://...`; needs
            the extra `files`); read in this order, the files of each sorted by path.
        format: Record format of the files: `TextLines`, `JsonLines`, `CsvRows`.
        chunk_bytes: Bytes per chunk; stored bytes of uncompressed files, decompressed bytes of others.
        one_file_per_chunk: Each file is one chunk, whatever its size.
        ship: Reader of the ranges: `reference`, the workers; `value`, the master; `auto`, the workers that see the
            file, and the master for the others. Only the master sees the files of fsspec's memory file system.
        storage_options: Parameters of the remote file system; not stored in the run's manifest.

    Raises:
        UsageError: A parameter is invalid.
    """

    def __init__(
        self,
        paths: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]",
        format: RecordFormat,
        *,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        one_file_per_chunk: bool = False,
        ship: str = "auto",
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(format, RecordFormat):
            raise UsageError(f"format must be TextLines, JsonLines, CsvRows or another Format, not {format!r}.")
        self._paths = path_strings(paths)
        self._format = format
        self._chunk_bytes = positive_integer("chunk_bytes", chunk_bytes)
        self._whole_files = bool(one_file_per_chunk) or format.whole
        self._ship = one_of("ship", ship, ("auto", "reference", "value"))
        self._options = dict(storage_options or {})
        if not format.hive_partitioning:
            format.check_columns()
        #: Files found by `cut`, the number of pieces in them, and the columns in the names of their folders.
        self._listing: FileListing | None = None
        self._expected: int | None = None
        self._partitions = PartitionColumns()

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the file, byte, line ends before it, mark of the listing)`.

        Every call looks for the files at once.

        Raises:
            SourceNotFoundError: A path names nothing.
            SourceError: A file cannot be read, or the folders of two files name different columns.
            SourceChangedError: The files have changed since `position` was recorded.
            DecodingError: A compressed file is damaged, or a header differs from that of the first file.
        """
        listing = self._find_files()
        mark = listing.mark
        which, byte, line, expected = position or (0, 0, 0, mark)
        if tuple(expected) != mark:
            raise SourceChangedError(shown_paths(self._paths), change_of(tuple(expected), mark))
        cutter = FileCutter(listing, self._extended(listing), None if self._whole_files else self._chunk_bytes)
        read_on_master = self._ship == "value" or (self._ship == "auto" and "memory" in listing.remotes)
        return cutter.pieces(which, byte, line, self.reader() if read_on_master else None)

    def reader(self) -> FileReader:
        """Return the reader; for formats with headers, read the header of the first file.

        Raises:
            SourceError: As `cut` does.
        """
        format, remotes, headers = self._format, dict[str, Any](), dict[str, tuple[str, ...]]()
        if self._format.hive_partitioning or format.headed or any(map(is_url, self._paths)):
            listing = self._listing or self._find_files()
            remotes = listing.remotes
            cutter = FileCutter(listing, self._extended(listing), None)
            if format.union_by_name:
                headers = cutter.headers()
                names = dict.fromkeys(chain.from_iterable(headers.values())) | dict.fromkeys(self._partitions.names)
                format = format.with_all_columns(tuple(names))
            elif format.headed:
                format = format.with_fields(cutter.names())
        by_value_if_unseen = self._ship == "auto"
        return FileReader(format, remotes, self._partitions, headers=headers, by_value_if_unseen=by_value_if_unseen)

    def record_reader(self) -> FileReader:
        return FileReader(self._format, {}, by_value_if_unseen=False)

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "files",
            "paths": [masked(path) for path in self._paths],
            **self._format.describe(),
            "chunk_bytes": None if self._whole_files else self._chunk_bytes,
        }

    def expected_chunks(self) -> int | None:
        if self._listing is None:
            self._find_files()
        return self._expected

    def reading(self) -> str:
        listing = self._listing or self._find_files()
        if self._format.sequential or any(codec_of(file.path) for file in listing.files):
            return "the master, one file after another"
        if self._ship == "value" or (self._ship == "auto" and "memory" in listing.remotes):
            return "the master, by byte range"
        return "the workers, by byte range"

    def expected_bytes(self) -> int | None:
        listing = self._listing or self._find_files()
        return sum([file.size for file in listing.files])

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        """Yield the first pieces; list only as many files as the caller reads.

        `reader` then uses the files that were found first, so this method belongs to a copy of the source.
        """
        listing = self._find_files() if self._format.union_by_name else None
        remotes: dict[str, Any] = {} if listing is None else listing.remotes
        files = (
            iterate_files(self._paths, self._options, remotes, lazily=True) if listing is None else iter(listing.files)
        )
        head, names = list[FoundFile](), tuple[str, ...]()
        for file in files:
            if not head and self._format.hive_partitioning:
                self._find_partitions(file, listing)
            head.append(file)
            found = FileListing((file,), remotes)
            names = FileCutter(found, self._extended(found), None).names()
            if names or not self._format.headed:
                break
        if listing is None:
            self._listing = FileListing(tuple(head), remotes)
        return self._peeked_pieces(chain(head, files), names, whole_chunks=whole_chunks)

    def _peeked_pieces(
        self, files: Iterable[FoundFile], names: tuple[str, ...], *, whole_chunks: bool
    ) -> Iterator[tuple[int, SourcePiece]]:
        """Yield the pieces of files: chunks, or smaller ranges of files that are read by range."""
        remotes = {} if self._listing is None else self._listing.remotes
        size = None if self._whole_files else self._chunk_bytes
        first = 0
        for file in files:
            is_cut = not (self._format.sequential or self._format.whole or codec_of(file.path))
            is_small = is_cut and not whole_chunks
            listing = FileListing((file,), remotes)
            small = min(_PEEK_BYTES, self._chunk_bytes) if is_small else size
            cutter = FileCutter(listing, self._extended(listing), small)
            chunk = -1
            for piece in cutter.pieces(0, 0, 0, None, names=names):
                in_small = 0 if size is None else piece.reference[1] // size
                chunk = in_small if is_small else chunk + 1
                yield first + chunk, piece
            first += chunk + 1

    def _find_partitions(self, first: FoundFile, listing: FileListing | None) -> None:
        """Find the columns for a look: their types need all files, but files without columns need no others."""
        self._partitions = PartitionColumns.of(self._paths, [first] if listing is None else listing.files)
        if self._partitions.names and listing is None:
            self._find_files()

    def _extended(self, listing: FileListing) -> RecordFormat:
        """Return the format with the columns in the names of the folders, if any."""
        if not self._format.hive_partitioning or not listing.files:
            return self._format
        extended = self._format.with_columns(self._partitions.columns(listing.files[0].path))
        extended.check_columns()
        return extended

    def _find_files(self) -> FileListing:
        """List the files again, and count the pieces."""
        self._listing = listing = find_files(self._paths, self._options)
        if self._format.hive_partitioning:
            self._partitions = PartitionColumns.of(self._paths, listing.files)
        if self._whole_files:
            self._expected = len(listing.files)
        elif self._format.sequential or any(codec_of(file.path) for file in listing.files):
            self._expected = None
        else:
            self._expected = sum([-(-file.size // self._chunk_bytes) for file in listing.files])
        return listing
