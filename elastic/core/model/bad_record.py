"""Records of a source that cannot be parsed: what takes their place among the entries, and what is kept of them."""

from dataclasses import dataclass

from elastic.core.errors import DecodingError
from elastic.core.model.folder_column import FolderColumn


@dataclass(frozen=True, slots=True)
class RawRecord:
    """Bytes of a record that could not be parsed: plain data, which a dead letter keeps until it is redriven."""

    #: The record as it was read, without the line end behind it; UTF-8 where the master converted the file to UTF-8.
    data: bytes
    #: Field names from the header of the file; empty for formats without headers.
    fields: tuple[str, ...] = ()
    #: Number of its source among those of a concatenation, followed by that in a nested one, if any; else empty.
    source: tuple[int, ...] = ()
    #: Columns of its file that are not in the record itself.
    columns: tuple[FolderColumn, ...] = ()

    def __str__(self) -> str:
        return self.data.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class BadRecord:
    """Record that a reader could not parse. It takes the place of its entry, so that entries keep their numbers."""

    raw: RawRecord
    error: DecodingError
