"""Contract of file formats: how records become bytes, and bytes become a file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Records in the form of one format, ready to be written."""

    count: int
    #: Bytes in memory.
    size: int
    data: Any
    #: Columns and their types; empty if the format has none. Rows of one file have the same columns.
    columns: str = ""
    #: Folder `key=value/...` of the rows below the target folder; empty without partitions.
    folder: str = ""


class FileRows(ABC):
    """File of one format that is being written."""

    @abstractmethod
    def write(self, rows: Sequence[EncodedRows]) -> None:
        """Write rows with the columns of the file; those of one call may form a row group."""

    @abstractmethod
    def finish(self) -> None:
        """Write the end of the file."""


class FileFormat(ABC):
    """Format of the files of a write; a value that can be pickled."""

    #: Name for people and for the manifest.
    name: str
    #: End of a file's name, without that of a compression.
    suffix: str

    def without(self, names: Collection[str]) -> "FileFormat":
        """Return this format for records without some columns, which the names of folders hold.

        Raises:
            UsageError: The format names its columns, and no other is left.
        """
        return self

    @abstractmethod
    def encode(self, records: Sequence[Any]) -> list[EncodedRows]:
        """Return records in the form of this format, in order.

        Raises:
            EncodingError: A record does not fit.
        """

    def gather(self, rows: Sequence[EncodedRows], before: EncodedRows | None) -> list[EncodedRows]:
        """Return rows of one folder with as few different columns as is possible without a change of values.

        Args:
            rows: Rows that are written next.
            before: Rows of the open file; None if there is none.
        """
        return list(rows)

    def row_groups(self, rows: list[EncodedRows]) -> list[list[EncodedRows]]:
        """Return rows of equal columns in groups that `FileRows.write` gets together; a file ends between groups."""
        return [[each] for each in rows]

    @abstractmethod
    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        """Return a new file that passes its bytes to `write`, for rows with the given columns."""

    def describe(self) -> dict[str, Any]:
        """Return the format and its parameters as plain data."""
        return {"format": self.name}
