"""Reader of chunks that are Arrow tables, as bytes of an IPC stream."""

from collections.abc import Collection
from copy import copy
from typing import Any, Self

from elastic.core.contracts.source import Reader
from elastic.core.model.chunk import Reference
from elastic.stages.sources.tables.table_entries import TableEntries, rows_of, unpack_table


class TableReader(Reader):
    """Reader of chunks that carry their table by value; a reference is `(index of the first row, count)`."""

    def __init__(self) -> None:
        self._in_columns = False

    def columnar(self) -> Self:
        reader = copy(self)
        reader._in_columns = True
        return reader

    def read_block(self, reference: Reference) -> bytes:
        raise TypeError("chunks of this source travel by value")

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        table = unpack_table(block)
        return TableEntries(table) if self._in_columns else rows_of(table)

    def locate(self, reference: Reference, index: int) -> str:
        return f"row {reference[0] + index}"
