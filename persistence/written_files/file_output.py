"""Files of a write on a worker: the buffer of encoded records, and the files that are being written."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from elastic.core.contracts.record_sink import RecordBuffer, RecordOutput, RecordWriter, columns_error
from elastic.core.errors import StoreError
from elastic.core.model.written import WrittenFile, joined_spans
from elastic.persistence.written_files.file_format import EncodedRows, FileFormat, FileRows
from elastic.persistence.written_files.target_folder import TargetFile, TargetFolder

#: Bytes of the random part of a name.
_RANDOM_BYTES = 6

#: Maximum number of files that a worker writes at a time, in different folders.
_MAX_OPEN_FILES = 64

#: A span of chunks `[first, stop)`.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FileWriter(RecordWriter):
    """Writer of records to files of one format in a target folder."""

    folder: TargetFolder
    format: FileFormat
    #: Bytes at which a file is complete.
    file_bytes: int
    #: Part of each name that no other step has.
    tag: str
    ordered: bool = False

    def buffer(self) -> "FileBuffer":
        return FileBuffer(self.format)

    def output(self) -> "FileOutput":
        if not self.folder.is_reachable():
            raise StoreError(
                f"{self.folder.shown} is not, on this host, the folder to which the run writes; "
                "write to a folder that all hosts share, or to a URL."
            )
        return FileOutput(self)

    def __str__(self) -> str:
        return f"write_{self.format.name}"


class FileBuffer(RecordBuffer):
    """Encoded records of one format."""

    def __init__(self, format: FileFormat) -> None:
        self._format = format
        #: Rows with the columns that all rows so far have; None before the first ones.
        self._common: EncodedRows | None = None
        self.rows: list[EncodedRows] = []
        self.size = 0
        self.chunks = []

    @property
    def is_empty(self) -> bool:
        return not self.rows

    def add_many(self, records: Sequence[Any]) -> None:
        encoded = self._format.encode(records)
        self._common = self._common_with(encoded)
        self.rows += encoded
        self.size += sum(rows.size for rows in encoded)

    def join(self, other: RecordBuffer) -> None:
        if not isinstance(other, FileBuffer):
            raise TypeError(f"expected a buffer of records for files, got {other!r}")
        self._common = self._common_with([] if other._common is None else [other._common])
        self.rows += other.rows
        self.size += other.size
        self.chunks += other.chunks
        other.rows, other.size, other.chunks = [], 0, []

    def like(self) -> "FileBuffer":
        buffer = FileBuffer(self._format)
        buffer._common = self._common
        return buffer

    def _common_with(self, encoded: Sequence[EncodedRows]) -> EncodedRows | None:
        """Return rows with the columns of this buffer and of more rows.

        Raises:
            EncodingError: Files of both would differ in their columns.
        """
        common = self._common
        for rows in encoded:
            if common is None or common.columns == rows.columns:
                common = common or rows
                continue
            *_, joined = gathered = self._format.gather([common, rows], None)
            if any(each.columns != joined.columns for each in gathered):
                raise columns_error(common.columns, rows.columns)
            common = joined
        return common

    def take(self) -> list[EncodedRows]:
        """Return all rows, and empty the buffer."""
        rows, self.rows, self.size = self.rows, [], 0
        return rows


@dataclass(slots=True)
class _OpenFile:
    """File that is being written; passes bytes on, counts and hashes them."""

    name: str
    target: TargetFile
    columns: str
    records: int = 0
    size: int = 0
    chunks: list[Span] = field(default_factory=list)
    rows: FileRows | None = None
    #: The first rows, with the types of the columns.
    first: EncodedRows | None = None
    _hasher: Any = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.target.write(data)
        self._hasher.update(data)
        self.size += len(data)

    def add(self, rows: Sequence[EncodedRows], chunks: list[Span]) -> None:
        """Write rows that come from some chunks."""
        self.first = self.first or rows[0]
        if not self.chunks or self.chunks[-1] is not chunks[-1]:
            self.chunks += chunks
        if self.rows is not None:
            self.rows.write(rows)
        self.records += sum(each.count for each in rows)

    def close(self) -> WrittenFile:
        if self.rows is not None:
            self.rows.finish()
        self.target.close()
        digest = self._hasher.hexdigest()
        return WrittenFile(self.name, self.records, self.size, digest, self.columns, tuple(joined_spans(self.chunks)))


class FileOutput(RecordOutput):
    """Files that a worker is writing, one for each folder; each is complete at `file_bytes`."""

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer
        #: Open files by folder; the one that was written last comes last.
        self._files: dict[str, _OpenFile] = {}
        #: Number of files begun, which keeps the order of files of one chunk.
        self._begun = 0

    def write(self, buffer: RecordBuffer) -> list[WrittenFile]:
        if not isinstance(buffer, FileBuffer):
            raise TypeError(f"expected a buffer of records for files, got {buffer!r}")
        complete: list[WrittenFile] = []
        chunks = joined_spans(buffer.chunks)
        by_folder: dict[str, list[EncodedRows]] = {}
        for rows in buffer.take():
            by_folder.setdefault(rows.folder, []).append(rows)
        for folder, several in by_folder.items():
            complete += self._write_to(folder, several, chunks)
        return complete

    def close(self) -> list[WrittenFile]:
        files, self._files = self._files, {}
        return [file.close() for file in files.values()]

    def _write_to(self, folder: str, rows: list[EncodedRows], chunks: list[Span]) -> list[WrittenFile]:
        complete: list[WrittenFile] = []
        writer, file = self._writer, self._files.pop(folder, None)
        gathered = writer.format.gather(rows, None if file is None else file.first)
        for columns, group in groupby(gathered, lambda each: each.columns):
            for together in writer.format.row_groups(list(group)):
                if file is not None and (file.columns != columns or file.size >= writer.file_bytes):
                    complete.append(file.close())
                    file = None
                if file is None:
                    if len(self._files) >= _MAX_OPEN_FILES:
                        complete.append(self._files.pop(next(iter(self._files))).close())
                    file = self._begin(folder, chunks[0][0], columns)
                file.add(together, chunks)
        if file is not None:
            self._files[folder] = file
        return complete

    def _begin(self, folder: str, first_chunk: int, columns: str) -> _OpenFile:
        writer = self._writer
        unique = f"{self._begun:08x}{writer.tag}{secrets.token_hex(_RANDOM_BYTES)}"
        self._begun += 1
        name = f"{folder}part-{first_chunk:010}-{unique}{writer.format.suffix}"
        file = _OpenFile(name, writer.folder.create(name), columns)
        file.rows = writer.format.open(file.write, columns)
        return file
