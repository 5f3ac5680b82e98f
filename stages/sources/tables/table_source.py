"""Source of a table in memory: a frame of pandas or Polars, or an Arrow table."""

import warnings
from collections.abc import Iterator
from typing import Any

from elastic.core.contracts.source import Source
from elastic.core.errors import SourceError, UsageError
from elastic.core.frames import polars_module
from elastic.core.model.chunk import Position, SourcePiece
from elastic.core.optional import require
from elastic.stages.sources.tables.table_entries import check_names, pack_rows, pyarrow_module
from elastic.stages.sources.tables.table_reader import TableReader
from elastic.stages.sources.validation import positive_integer


class TableSource(Source):
    """Rows of an Arrow table in memory; each entry is a dict from column name to value, or a chunk is a frame.

    Chunks travel by value. The source is replayable: a process that resumes the run passes an equal table again.

    Args:
        table: Arrow table.
        chunk_size: Rows per chunk.

    Raises:
        UsageError: Two columns have one name, or `chunk_size` is not positive.
    """

    def __init__(self, table: Any, *, chunk_size: int) -> None:
        check_names(table.column_names, "the table")
        self._table = table
        self._chunk_size = positive_integer("chunk_size", chunk_size)

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the first row, rows of the table)`.

        Raises:
            SourceError: The table has another number of rows than at `position`.
        """
        rows = self._table.num_rows
        start, before = position or (0, rows)
        if before != rows:
            raise SourceError(
                f"the table had {before} rows when the run began and has {rows}; "
                "pass the same table, or start a new run."
            )
        for first in range(start, rows, self._chunk_size):
            count = min(self._chunk_size, rows - first)
            yield SourcePiece((first, rows), (first, count), None, pack_rows(self._table, first, count))

    def reader(self) -> TableReader:
        return TableReader()

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "table",
            "rows": self._table.num_rows,
            "columns": [[field.name, str(field.type)] for field in self._table.schema],
            "chunk_size": self._chunk_size,
        }

    def reading(self) -> str:
        return "the master"

    def expected_entries(self) -> int:
        return int(self._table.num_rows)

    def expected_chunks(self) -> int:
        return -(-int(self._table.num_rows) // self._chunk_size)


def table_of_arrow(value: Any) -> Any:
    """Return an Arrow table, batch or stream as a table.

    Raises:
        UsageError: The value is not a table, or pyarrow is not installed.
    """
    pa = pyarrow_module()
    if isinstance(value, pa.Table):
        return value
    if not hasattr(value, "__arrow_c_stream__") and not hasattr(value, "__arrow_c_array__"):
        raise UsageError(f"from_arrow takes an Arrow table, not {type(value).__module__}.{type(value).__qualname__}.")
    try:
        return pa.table(value)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UsageError(f"from_arrow cannot read the given table ({_first_line(error)}).") from error


def table_of_polars(frame: Any) -> Any:
    """Return a frame or a lazy frame of Polars as an Arrow table.

    Raises:
        UsageError: The value is not a frame, has a column of Python objects, or a package is not installed.
    """
    pl = polars_module()
    pyarrow_module()
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    if not isinstance(frame, pl.DataFrame):
        raise UsageError(f"from_polars takes a Polars frame, not {type(frame).__module__}.{type(frame).__qualname__}.")
    objects = [name for name, kind in frame.schema.items() if kind == pl.Object]
    if objects:
        raise UsageError(f"the column {objects[0]!r} holds Python objects; turn it into a type of Polars, or drop it.")
    wide = [name for name, kind in frame.schema.items() if kind in (pl.Int128, pl.UInt128)]
    if wide:
        raise UsageError(f"the column {wide[0]!r} is {frame.schema[wide[0]]}, which Arrow does not hold; cast it.")
    return frame.to_arrow()


def table_of_pandas(frame: Any) -> Any:
    """Return a frame of pandas as an Arrow table, without its index; NaN becomes null, as in pandas.

    Raises:
        UsageError: The value is not a frame, or a column has mixed types or a name that is not a string.
    """
    pd = require("pandas", extra="pandas", user="from_pandas")
    pa = pyarrow_module()
    if not isinstance(frame, pd.DataFrame):
        raise UsageError(f"from_pandas takes a pandas frame, not {type(frame).__module__}.{type(frame).__qualname__}.")
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"the column {name!r} of the frame has a name that is not a string; rename it.")
    check_names(names, "the frame")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"the frame cannot be read ({_first_line(error)}); turn its columns into one type each."
        ) from error


def _first_line(error: Exception) -> str:
    # Arrow's exceptions may have several arguments: the reason, and the column.
    return "; ".join(str(part).partition("\n")[0].rstrip(".") for part in error.args) or type(error).__name__
