"""Result of a write: the written files, with records, bytes and digests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """Complete file of a write, or the rows that one transaction added to a table."""

    #: Path below the folder, with `/` as separator; for rows, the id of the attempt.
    name: str
    records: int
    #: Bytes of the file; for rows, an estimate.
    size: int
    #: SHA-256 of the bytes, in hexadecimal; empty for rows.
    sha256: str
    #: Columns and their types, if the format has columns.
    columns: str = ""
    #: Chunks `[first, stop)` from which its records come. Of files in `key=value/` folders: from which they may come.
    chunks: tuple[tuple[int, int], ...] = ()

    def plain(self) -> list[Any]:
        """Return plain data from which `of` rebuilds this value."""
        return [self.name, self.records, self.size, self.sha256, self.columns, [list(span) for span in self.chunks]]

    @classmethod
    def of(cls, plain: list[Any]) -> "WrittenFile":
        """Return the value of `plain`."""
        name, records, size, sha256, columns, chunks = plain
        return cls(name, records, size, sha256, columns, tuple((first, stop) for first, stop in chunks))


def joined_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans `[first, stop)` in order, with adjacent and overlapping ones joined."""
    joined: list[tuple[int, int]] = []
    for first, stop in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((first, stop))
    return joined


@dataclass(frozen=True, slots=True)
class Written:
    """Files or rows that a flow wrote. Iteration yields the files; `len` is the number of records."""

    #: Folder, as a local path or a URL, or the URL of a database, without secrets.
    url: str
    files: tuple[WrittenFile, ...] = ()
    #: Table of the database at `url`; empty for files.
    table: str = ""

    @property
    def records(self) -> int:
        """Number of records in all files."""
        return sum(file.records for file in self.files)

    @property
    def bytes(self) -> int:
        """Number of bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def paths(self) -> list[str]:
        """Path or URL of each file; empty for a table."""
        return [] if self.table else [f"{self.url.rstrip('/')}/{file.name}" for file in self.files]

    def __len__(self) -> int:
        return self.records

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[WrittenFile]:
        return iter(self.files)

    def __str__(self) -> str:
        files = f"{len(self.files):,} file{'' if len(self.files) == 1 else 's'}"
        records = f"{self.records:,} record{'' if self.records == 1 else 's'}"
        if self.table:
            return f"{records} in table {self.table!r} of {self.url}"
        return f"{records} in {files}, {self.bytes:,} bytes, in {self.url}"
