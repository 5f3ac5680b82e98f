"""Union of tables whose columns differ: their common schema, and tables that are extended to it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from elastic.core.errors import SourceError
from elastic.stages.sources.tables.table_entries import pyarrow_module


def union_of(schemas: Mapping[str, Any], needed: Collection[str] | None = None) -> Any:
    """Return the schema with the columns of all files, in the order in which they are found.

    Types of one column are joined if no value changes: shorter integers or floats with longer ones, strings with large
    strings, null with every type, and dictionaries as the type of their values.

    Args:
        schemas: Arrow schemas by path.
        needed: Names of the columns that are read; None for all.

    Raises:
        SourceError: Two files have types that cannot be joined; names the files, the column and both types.
    """
    pa = pyarrow_module()
    kinds: dict[str, Any] = {}
    first: dict[str, str] = {}
    for path, schema in schemas.items():
        for field in schema if needed is None else [field for field in schema if field.name in needed]:
            known = kinds.get(field.name, field.type)
            kind = _joined(pa, known, field.type)
            if kind is None:
                raise SourceError(
                    f"the column {field.name!r} of {path!r} has the type {field.type}, and that of "
                    f"{first[field.name]!r} {known}; read such files by flows of their own, or leave the column out by "
                    "columns=."
                )
            kinds[field.name] = kind
            if field.name not in first or not kind.equals(known):
                first[field.name] = path
    return pa.schema(list(kinds.items()))


def extend_table(table: Any, schema: Any, names: Sequence[str], rows: int) -> Any:
    """Return a table with some columns of a schema; those that it does not have are null.

    Args:
        table: The table.
        schema: The schema, from `union_of`.
        names: Columns of the new table.
        rows: Number of rows, which a table without columns does not know.
    """
    pa = pyarrow_module()
    fields = [schema.field(name) for name in names]
    own = set(table.column_names)
    columns = [
        table.column(field.name).cast(field.type) if field.name in own else pa.nulls(rows, field.type)
        for field in fields
    ]
    return pa.table(columns, schema=pa.schema(fields))


def _joined(pa: Any, one: Any, other: Any) -> Any:
    """Return the type that has all values of two types, without changing one; None if there is none."""
    types = pa.types
    if one.equals(other) or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if types.is_dictionary(one) or types.is_dictionary(other):
        return _joined(pa, *(kind.value_type if types.is_dictionary(kind) else kind for kind in (one, other)))
    for is_kind in (types.is_signed_integer, types.is_unsigned_integer, types.is_floating):
        if is_kind(one) and is_kind(other):
            return max(one, other, key=lambda kind: kind.bit_width)
    for small, large in ((pa.string(), pa.large_string()), (pa.binary(), pa.large_binary())):
        if {one, other} == {small, large}:
            return large
    return None
