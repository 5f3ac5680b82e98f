"""Contract of file formats: how records become bytes, and bytes become a file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
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


class FileRows(ABC):
    """File of one format that is being written."""

    @abstractmethod
    def write(self, rows: EncodedRows) -> None:
        """Write rows, all with the columns of the first ones."""

    @abstractmethod
    def finish(self) -> None:
        """Write the end of the file."""


class FileFormat(ABC):
    """Format of the files of a write; a value that can be pickled."""

    #: Name for people and for the manifest.
    name: str
    #: End of a file's name, without that of a compression.
    suffix: str

    @abstractmethod
    def encode(self, records: Sequence[Any]) -> list[EncodedRows]:
        """Return records in the form of this format, in order.

        Raises:
            EncodingError: A record does not fit.
        """

    @abstractmethod
    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        """Return a new file that passes its bytes to `write`, for rows with the given columns."""

    def describe(self) -> dict[str, Any]:
        """Return the format and its parameters as plain data."""
        return {"format": self.name}
