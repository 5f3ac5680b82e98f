"""Parquet. Format: https://parquet.apache.org/docs/file-format."""

import datetime as dt
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from elastic.core.errors import EncodingError, UsageError
from elastic.core.frames import arrow_module, is_frame, polars_module
from elastic.core.optional import require
from elastic.persistence.result_files.column_types import check_keys, check_kinds, has_set
from elastic.persistence.written_files.file_format import EncodedRows, FileFormat, FileRows
from elastic.persistence.written_files.text_formats import shown

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Compressions of Parquet's pages; `none` is the absence of one.
COMPRESSIONS = ("zstd", "snappy", "gzip", "none")

#: Arrow types of Python's types, by name.
_OF_PYTHON: dict[Any, str] = {
    str: "string", int: "int64", float: "float64", bool: "bool", bytes: "binary", dt.date: "date32",
    dt.datetime: "timestamp[us]",
}  # fmt: skip


class ParquetFormat(FileFormat):
    """Parquet: each record is a dict from column to value, or a row of a frame.

    Args:
        schema: A schema of Arrow, or a dict from column to type: a type of Arrow or its name, or `str`, `int`,
            `float`, `bool`, `bytes`, `date` or `datetime`. None: the types come from the records.
        compression: Compression of the pages.

    Raises:
        UsageError: An argument is invalid, or pyarrow is not installed.
    """

    name, suffix = "parquet", ".parquet"

    def __init__(self, schema: Any = None, compression: str | None = None) -> None:
        self._compression = compression or COMPRESSIONS[0]
        if self._compression not in COMPRESSIONS:
            raise UsageError(f"compression={compression!r} must be one of {', '.join(COMPRESSIONS)}.")
        require("pyarrow", extra="arrow", user="write_parquet")
        self._schema = None if schema is None else _schema_of(schema)

    def without(self, names: Collection[str]) -> FileFormat:
        if self._schema is None or not set(names) & set(self._schema.names):
            return self
        kept = [field for field in self._schema if field.name not in names]
        if not kept:
            raise UsageError("schema has no column beside those of the folders; add one.")
        return ParquetFormat(arrow_module().schema(kept), self._compression)

    def describe(self) -> dict[str, Any]:
        schema = None if self._schema is None else _text(self._schema)
        return {"format": self.name, "schema": schema, "compression": self._compression}

    def encode(self, records: Sequence[Any]) -> list[EncodedRows]:
        encoded: list[EncodedRows] = []
        for are_frames, group in groupby(records, is_frame):
            if are_frames:
                encoded += [_rows(self._of_frame(frame)) for frame in group if frame.height]
            else:
                encoded.append(_rows(self._of_records(list(group))))
        return encoded

    def gather(self, rows: Sequence[EncodedRows], before: EncodedRows | None) -> list[EncodedRows]:
        if len({each.columns for each in (rows if before is None else (before, *rows))}) < 2:
            return list(rows)
        common = rows[0].data.schema if before is None else before.data.schema
        for each in rows:
            joined = _joined(common, each.data.schema)
            if joined is None:
                return list(rows)
            common = joined
        try:
            return [_rows(_cast(each.data, common)) for each in rows]
        except EncodingError:
            return list(rows)

    def row_groups(self, rows: list[EncodedRows]) -> list[list[EncodedRows]]:
        return [rows]

    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        return _ParquetRows(write, self._compression)

    # -- records

    def _of_records(self, records: list[Any]) -> Any:
        names = self._names_of(records)
        arrow = arrow_module()
        arrays = [self._array(name, [record.get(name) for record in records]) for name in names]
        return arrow.table(arrays, names=names) if self._schema is None else arrow.table(arrays, schema=self._schema)

    def _names_of(self, records: list[Any]) -> list[str]:
        for record in records:
            if not isinstance(record, Mapping):
                raise EncodingError(f"write_parquet takes dicts or frames, got {shown(record)}; map it to a dict.")
        found = dict.fromkeys(name for record in records for name in record)
        try:
            check_keys(found)
        except TypeError as error:
            raise EncodingError(f"{shown(dict(records[0]))} cannot be written ({error}).") from error
        if not found:
            raise EncodingError("a record is an empty dict, and Parquet has no rows without columns; leave it out.")
        if self._schema is None:
            return list(found)
        other = next((name for name in found if name not in self._schema.names), None)
        if other is not None:
            raise EncodingError(f"a record has {other!r}, and the schema only {', '.join(self._schema.names)}.")
        return list(self._schema.names)

    def _array(self, name: str, values: list[Any]) -> Any:
        arrow = arrow_module()
        if self._schema is None and has_set(values):
            raise EncodingError(f"column {name!r} has a set, whose values have no order; make it a list by map.")
        try:
            if self._schema is not None and is_typed_only(arrow.types, kind := self._schema.field(name).type):
                return typed_array(values, kind)
            check_kinds(values)
            array = arrow.array(values)
        except (arrow.ArrowException, TypeError, ValueError, OverflowError, RecursionError) as error:
            misfit = _misfit(values) if isinstance(error, TypeError) else None
            what = misfit or "cannot be written"
            raise EncodingError(
                f"column {name!r} {what} ({error}); give each column one type, or use write_jsonl."
            ) from error
        if _has_empty_struct(arrow.types, array.type):
            raise EncodingError(f"column {name!r} has an empty dict, which Parquet does not hold; replace it by None.")
        return array if self._schema is None else _fitted(array, self._schema.field(name))

    def _of_frame(self, frame: "Frame") -> Any:
        pl = polars_module()
        for name, kind in frame.schema.items():
            if kind in (pl.Int128, pl.UInt128, pl.Object):
                raise EncodingError(f"column {name!r} is {kind}, which Parquet does not hold; cast it.")
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._schema is None:
            return table
        different = set(table.column_names) ^ set(self._schema.names)
        if different:
            raise EncodingError(f"a frame and the schema differ in the column {min(different)!r}.")
        return _cast(table.select(self._schema.names), self._schema)


class _ParquetRows(FileRows):
    """Parquet file that is being written; the rows of one call are a row group."""

    def __init__(self, write: Callable[[bytes], None], compression: str) -> None:
        self._stream, self._compression = _Stream(write), compression
        self._writer: Any = None

    def write(self, rows: Sequence[EncodedRows]) -> None:
        table = arrow_module().concat_tables([each.data for each in rows])
        if self._writer is None:
            from pyarrow import parquet

            self._writer = parquet.ParquetWriter(self._stream, table.schema, compression=self._compression)
        self._writer.write_table(table, row_group_size=table.num_rows)

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def __del__(self) -> None:
        # A file that is given up writes nothing when its writer is collected.
        self._stream.drop()


class _Stream(io.RawIOBase):
    """Writable stream for Arrow that passes bytes on."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write: Callable[[bytes], None] | None = write
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        copied = bytes(data)
        if self._write is not None:
            self._write(copied)
        self._size += len(copied)
        return len(copied)

    def tell(self) -> int:
        return self._size

    def drop(self) -> None:
        """Ignore all later writes."""
        self._write = None


def _misfit(values: list[Any]) -> str | None:
    """Return a clause about the first value whose type does not go with that of the first one; None if all go."""
    known = [value for value in values if value is not None]
    for value in known:
        for one, others in ((value, ""), (known[0], f" and later {shown(value)}")):
            try:
                check_kinds([one, value])
            except TypeError:
                return f"has {shown(one)}{others}"
    return None


def is_typed_only(types: Any, kind: Any) -> bool:
    """Return whether Arrow makes arrays of a type only if the type is given."""
    return bool(types.is_uint64(kind) or types.is_map(kind))


def typed_array(values: list[Any], kind: Any) -> Any:
    """Return values as an array of a type; a map takes dicts, and lists of pairs.

    Raises:
        EncodingError, ArrowException, TypeError, ValueError, OverflowError: A value is not of the type.
    """
    arrow = arrow_module()
    if arrow.types.is_map(kind):
        values = [list(value.items()) if isinstance(value, Mapping) else value for value in values]
    array = arrow.array(values, type=kind)
    for value, kept in zip(values, array.to_pylist(), strict=True):
        # Arrow cuts some values to fit, such as 2.5 for integers.
        if kept != (value if value is None or not isinstance(value, list) else [tuple(pair) for pair in value]):
            raise TypeError(f"{shown(value)} is not {kind}")
    return array


def _rows(table: Any) -> EncodedRows:
    return EncodedRows(table.num_rows, table.nbytes, table, _text(table.schema))


def _text(schema: Any) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _schema_of(given: Any) -> Any:
    """Return the schema of Arrow that a user gave.

    Raises:
        UsageError: It is none.
    """
    arrow = arrow_module()
    if isinstance(given, arrow.Schema):
        return given
    if not isinstance(given, Mapping) or not given:
        raise UsageError(f"schema={given!r} must be a schema of Arrow, or a dict from column to type.")
    fields = []
    for name, kind in given.items():
        try:
            named = _OF_PYTHON.get(kind, kind)
            fields.append((name, named if isinstance(named, arrow.DataType) else arrow.type_for_alias(named)))
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"schema has {kind!r} for column {name!r}; give a type of Arrow, its name, or one of "
                f"{', '.join(kind.__name__ for kind in _OF_PYTHON)}."
            ) from error
    return arrow.schema(fields)


def _fitted(array: Any, field: Any) -> Any:
    """Return an array with the type of a column of the schema.

    Raises:
        EncodingError: A value would change.
    """
    arrow = arrow_module()
    if not field.nullable and array.null_count:
        raise EncodingError(f"column {field.name!r} has None, and the schema says that it has none.")
    if array.type.equals(field.type):
        return array
    if not _can_cast(arrow.types, array.type, field.type):
        raise EncodingError(f"column {field.name!r} has {array.type}, expected {field.type}.")
    try:
        if arrow.types.is_integer(array.type) and arrow.types.is_decimal(field.type):
            # Arrow casts only if any integer of the type would fit.
            return arrow.array(array.to_pylist(), field.type)
        fitted = array.cast(field.type, safe=True)
    except (arrow.ArrowException, ValueError, OverflowError) as error:
        raise EncodingError(f"column {field.name!r} does not fit into {field.type} ({error}).") from error
    # Even a safe cast of Arrow turns a number that is too large for a shorter float into infinity.
    if _has_overflow(array, fitted):
        raise EncodingError(f"column {field.name!r} contains a number that is too large for {field.type}.")
    return fitted


def _has_overflow(array: Any, fitted: Any) -> bool:
    """Return whether a cast turned a finite float into infinity."""
    from pyarrow import compute

    types, kind, wanted = arrow_module().types, array.type, fitted.type
    if types.is_floating(kind) and types.is_floating(wanted):
        if wanted.bit_width >= kind.bit_width:
            return False
        overflows = compute.and_(compute.is_finite(array), compute.is_inf(fitted))
        return bool(compute.any(overflows).as_py())
    if _is_list(types, kind) and _is_list(types, wanted):
        return _has_overflow(compute.list_flatten(array), compute.list_flatten(fitted))
    if types.is_struct(kind) and types.is_struct(wanted):
        return any(
            _has_overflow(compute.struct_field(array, [field.name]), compute.struct_field(fitted, [field.name]))
            for field in kind
        )
    return False


def _cast(table: Any, schema: Any) -> Any:
    """Return a table with a schema; missing columns are filled with None. Raise as `_fitted` does."""
    arrow = arrow_module()
    present = set(table.column_names)
    arrays = [
        _fitted(table.column(field.name), field) if field.name in present else arrow.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return arrow.table(arrays, schema=schema)


def _can_cast(types: Any, kind: Any, wanted: Any) -> bool:
    """Return whether a safe cast keeps values as they are, or raises."""
    if kind.equals(wanted) or types.is_null(kind):
        return True
    if types.is_dictionary(wanted):
        return _can_cast(types, kind, wanted.value_type)
    if _is_list(types, kind) and _is_list(types, wanted):
        return _can_cast(types, kind.value_type, wanted.value_type)
    if types.is_struct(kind) and types.is_struct(wanted):
        fields = {field.name: field.type for field in wanted}
        return all(field.name in fields and _can_cast(types, field.type, fields[field.name]) for field in kind)
    if types.is_timestamp(kind) and types.is_timestamp(wanted):
        return bool((kind.tz is None) == (wanted.tz is None))
    if types.is_integer(kind):
        return bool(types.is_integer(wanted) or types.is_floating(wanted) or types.is_decimal(wanted))
    return any(is_kind(kind) and is_kind(wanted) for is_kind in _families(types))


def _families(types: Any) -> tuple[Callable[[Any], bool], ...]:
    return (
        types.is_floating,
        types.is_decimal,
        types.is_duration,
        types.is_time,
        lambda kind: types.is_string(kind) or types.is_large_string(kind),
        lambda kind: types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind),
    )


def _is_list(types: Any, kind: Any) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _has_empty_struct(types: Any, kind: Any) -> bool:
    if types.is_struct(kind):
        return not kind.num_fields or any(_has_empty_struct(types, field.type) for field in kind)
    return _is_list(types, kind) and _has_empty_struct(types, kind.value_type)


def _joined(one: Any, other: Any) -> Any:
    """Return the schema into which the values of two schemas fit; None if there is none."""
    arrow = arrow_module()
    kinds = {field.name: field.type for field in one}
    for field in other:
        kind = _joined_type(arrow, kinds.get(field.name, arrow.null()), field.type)
        if kind is None:
            return None
        kinds[field.name] = kind
    return arrow.schema(list(kinds.items()))


def _joined_type(arrow: Any, one: Any, other: Any) -> Any:
    """Return the type into which the values of two types fit; None if there is none."""
    types = arrow.types
    if one.equals(other) or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if types.is_list(one) and types.is_list(other):
        kind = _joined_type(arrow, one.value_type, other.value_type)
        return None if kind is None else arrow.list_(kind)
    if types.is_struct(one) and types.is_struct(other):
        schema = _joined(arrow.schema(list(one)), arrow.schema(list(other)))
        return None if schema is None else arrow.struct(list(schema))
    if {str(one), str(other)} == {"int64", "double"}:
        return arrow.float64()
    return None
