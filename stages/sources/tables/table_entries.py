"""Rows of an Arrow table as entries: dicts for functions of entries, one frame for functions of frames."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, overload

from elastic.core.errors import EncodingError, UsageError
from elastic.core.frames import check_decimals, polars_module
from elastic.core.optional import require

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: What reads Parquet files and tables, for the error about a missing package.
_USER = "a source of tables"


def pyarrow_module(submodule: str = "") -> Any:
    """Return pyarrow, or a submodule of it.

    Raises:
        UsageError: It is not installed; names the extra.
    """
    return require(f"pyarrow{submodule}", extra="arrow", user=_USER)


class TableEntries(Sequence[Any]):
    """Sequence of the rows of an Arrow table, each a new dict; it converts only those that are asked for."""

    __slots__ = ("table",)

    def __init__(self, table: Any) -> None:
        self.table = table

    @property
    def frame(self) -> "Frame":
        """The rows as a Polars frame.

        Raises:
            UsageError: Polars is not installed, or cannot hold a column.
        """
        pl = polars_module()
        check_decimals(self.table.schema)
        try:
            frame: Frame = pl.from_arrow(self.table, rechunk=False)
        except (pl.exceptions.PolarsError, TypeError, ValueError, NotImplementedError) as error:
            raise UsageError(f"a table cannot become a frame ({error}); select other columns") from error
        return frame

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(rows_of(self.table))

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> "TableEntries": ...

    def __getitem__(self, index: int | slice) -> Any:
        rows = range(len(self))[index]
        if isinstance(rows, int):
            return rows_of(self.table.slice(rows, 1))[0]
        if rows.step != 1:
            return TableEntries(self.table.take(list(rows)))
        return TableEntries(self.table.slice(rows.start, len(rows)))


def rows_of(table: Any) -> list[dict[str, Any]]:
    """Return the rows of an Arrow table as dicts of Python values.

    Raises:
        EncodingError: Python has no value for one of a column, such as a time with nanoseconds or after the year 9999,
            or a struct with two fields of one name; names the column.
    """
    if not table.num_columns:
        return [{} for _ in range(table.num_rows)]
    names = table.column_names
    columns = [_values(name, column) for name, column in zip(names, table.columns, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse a table with two columns of one name.

    Raises:
        UsageError: The message has the name.
    """
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise UsageError(f"{where} has several columns named {', '.join(map(repr, repeated))}; rename them.")


def pack_rows(table: Any, first: int, count: int) -> bytes:
    """Return a part of a table in memory as `pack_table` does; equal rows give equal bytes."""
    pa = pyarrow_module()
    part = table.slice(first, count).combine_chunks()
    # A slice still has bits of its neighbours; Arrow cannot copy arrays of a few rare types.
    with suppress(pa.ArrowNotImplementedError):
        part = part.take(pa.array(range(part.num_rows), "int64"))
    return pack_table(part)


def pack_table(table: Any) -> bytes:
    """Return an Arrow table as an IPC stream (https://arrow.apache.org/docs/format/Columnar.html)."""
    pa, sink = pyarrow_module(), pyarrow_module().BufferOutputStream()
    # One batch per table, whatever the pieces that it was read in, so that equal rows give equal bytes.
    whole = table.combine_chunks()
    with pa.ipc.new_stream(sink, whole.schema.remove_metadata()) as stream:
        stream.write_table(whole.replace_schema_metadata(None))
    return bytes(sink.getvalue())


def unpack_table(block: bytes) -> Any:
    """Return the Arrow table that `pack_table` was given.

    Raises:
        EncodingError: The bytes are damaged.
    """
    pa = pyarrow_module()
    try:
        return pa.ipc.open_stream(pa.py_buffer(block)).read_all()
    except (pa.ArrowException, OSError) as error:
        raise EncodingError(f"bytes are not a table ({error})") from error


def _values(name: str, column: Any) -> list[Any]:
    pa = pyarrow_module()
    wanted = _plain_type(pa, column.type)
    if wanted != column.type:
        try:
            column = column.cast(wanted)
        except pa.ArrowException as error:
            raise EncodingError(
                f"the column {name!r} of type {column.type} has a value that Python's types cannot hold ({error}); "
                "process it by map_frames, or leave it out with columns="
            ) from error
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError) as error:
        raise EncodingError(
            f"the column {name!r} of type {column.type} has a value that Python's types cannot hold ({error}); "
            "leave it out with columns="
        ) from error
    return values


def _plain_type(pa: Any, kind: Any) -> Any:
    """Return the type whose values are plain data: times of microseconds, as Python has them, also inside lists."""
    types = pa.types
    if types.is_dictionary(kind):
        return _plain_type(pa, kind.value_type)
    if types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(pa, field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(_plain_type(pa, kind.key_type), _plain_type(pa, kind.item_type))
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain_type(pa, kind.value_type)))
    if types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(pa, kind.value_type)), kind.list_size)
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(pa, kind.value_type)))
    return kind
