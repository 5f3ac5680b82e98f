"""Layout of a table: its columns and unique keys, as the database describes them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from elastic.core.errors import EncodingError, UsageError
from elastic.core.suggest import did_you_mean
from elastic.persistence.written_tables.column import ColumnKind, SqlColumn
from elastic.persistence.written_tables.sql_target import SqlTarget

if TYPE_CHECKING:
    from sqlalchemy import Connection, Inspector

#: Largest absolute value of a float of 32 bits.
_MAX_FLOAT = 3.4028234663852886e38

#: Bits of the integer types.
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT2": 16, "SMALLSERIAL": 16, "MEDIUMINT": 24, "BIGINT": 64, "INT8": 64}

#: Bytes of the types of MySQL without a length.
_MYSQL_BYTES = {"TINY": 255, "": 65535, "MEDIUM": 2**24 - 1, "LONG": 2**32 - 1}

#: Error of MySQL for a view into which rows can be inserted, but not without another column.
_NO_DEFAULT = 1423

#: Storage engines of MySQL with transactions.
_TRANSACTIONAL = ("innodb", "rocksdb", "ndb", "ndbcluster", "tokudb")

#: Maximum characters of a value in a message.
_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Columns of a table, which records must fit."""

    table: str
    columns: Mapping[str, SqlColumn]
    #: Columns of the key of an upsert; empty for a write without one.
    key: tuple[str, ...] = ()
    #: Columns without which a record has no row.
    required: tuple[str, ...] = field(default=())

    def row(self, record: Any) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the names of a record's columns in the order of the table, and its values.

        Raises:
            EncodingError: The record does not fit the table.
        """
        if not isinstance(record, Mapping):
            raise EncodingError(f"write_sql takes dicts from column to value, got {_shown(record)}; make them by map.")
        if not record:
            raise EncodingError("an empty dict is no row; leave it out by filter.")
        names = tuple(name for name in self.columns if name in record)
        if len(names) != len(record):
            self._refuse_name(record)
        for name in self.required:
            if name not in record:
                raise EncodingError(f"a record has no {name!r}, which table {self.table!r} requires; add it by map.")
        return names, tuple(self._fit(self.columns[name], record[name]) for name in names)

    def _fit(self, column: SqlColumn, value: Any) -> Any:
        try:
            if column.refused:
                raise ValueError(column.refused)
            return column.fit(value)
        except ValueError as error:
            raise EncodingError(
                f"{_shown(value)} does not fit column {column.name!r} of table {self.table!r}: {error}."
            ) from None

    def _refuse_name(self, record: Mapping[Any, Any]) -> None:
        name = next(name for name in record if name not in self.columns)
        names = ", ".join(self.columns)
        hint = did_you_mean(name, self.columns, f"there are {names}.") if isinstance(name, str) else f"use {names}."
        raise EncodingError(f"table {self.table!r} has no column {name!r}; {hint}")


def layout_of(connection: "Connection", target: SqlTarget, key: tuple[str, ...]) -> TableLayout:
    """Return the layout of a table.

    Raises:
        UsageError: The table does not exist, or the key is not unique in it.
    """
    from sqlalchemy import inspect

    inspector = inspect(connection)
    if not inspector.has_table(target.table, schema=target.schema):
        raise UsageError(f"{target} does not exist; create it first, with the columns of your records.")
    described: Sequence[Mapping[str, Any]] = inspector.get_columns(target.table, schema=target.schema)
    primary = tuple(inspector.get_pk_constraint(target.table, schema=target.schema)["constrained_columns"])
    columns = {str(each["name"]): _column(target.database, each, primary) for each in described}
    if target.table in inspector.get_view_names(schema=target.schema):
        _check_view(connection, target, columns)
    elif target.database == "mysql":
        _check_engine(inspector, target)
    if key:
        columns = _with_key(inspector, target, columns, (key, primary))
    required = tuple(name for name, column in columns.items() if column.required and not column.refused)
    return TableLayout(target.shown_table, columns, key, required)


def _check_view(connection: "Connection", target: SqlTarget, columns: Iterable[str]) -> None:
    """Refuse a view that takes no rows: one of no column, because some columns of other views may be generated."""
    from sqlalchemy.exc import DBAPIError

    # SQLite's count of inserted rows leaves out those of a trigger of a view, and the count is checked.
    view, reason = target.quoted_table(target.table), "SQLite counts no rows of views"
    for column in map(target.quoted, () if target.database == "sqlite" else columns):
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(
                    f"INSERT INTO {view} ({column}) SELECT {column} FROM {view} WHERE 1 = 0"  # noqa: S608 - quoted
                )
            return
        except DBAPIError as error:
            if target.database == "mysql" and error.orig is not None and error.orig.args[:1] == (_NO_DEFAULT,):
                return
            reason = target.reason(error)
    raise UsageError(f"{target} is a view that takes no rows ({reason}); name a table.")


def _check_engine(inspector: "Inspector", target: SqlTarget) -> None:
    options = inspector.get_table_options(target.table, schema=target.schema)
    engine = next((value for name, value in options.items() if name.endswith("_engine")), "InnoDB")
    if str(engine).lower() not in _TRANSACTIONAL:
        raise UsageError(f"{target} has the engine {engine}, which has no transactions; convert it to InnoDB.")


def _with_key(
    inspector: "Inspector",
    target: SqlTarget,
    columns: dict[str, SqlColumn],
    keys: tuple[tuple[str, ...], tuple[str, ...]],
) -> dict[str, SqlColumn]:
    """Return the columns for an upsert by a key, after a check that the key is unique."""
    key, primary = keys
    for name in key:
        if name not in columns:
            hint = did_you_mean(name, columns, f"there are {', '.join(columns)}.")
            raise UsageError(f"{target} has no column {name!r} for key; {hint}")
    unique = _unique_keys(inspector, target, primary)
    if set(key) not in unique:
        raise UsageError(
            f"{target} has no primary key and no unique index over {', '.join(key)}, which key needs to find the row "
            "of a record; create one, or name the columns of another."
        )
    changed = {name: replace(columns[name], required=True, not_null=True) for name in key}
    for other in unique if target.database == "mysql" else ():
        generated = other == set(primary) and not any(columns[name].required for name in other)
        if other == set(key):
            continue
        if not generated:
            raise UsageError(
                f"{target} has another unique key, {', '.join(sorted(other))}, by which the database would update "
                "rows too; write without key, or drop it."
            )
        # A given number could be that of another row.
        changed |= {name: replace(columns[name], refused="the database counts it") for name in other - set(key)}
    return {**columns, **changed}


def _unique_keys(inspector: "Inspector", target: SqlTarget, primary: tuple[str, ...]) -> list[set[str]]:
    table, schema = target.table, target.schema
    unique = [set(primary)] if primary else []
    unique += [set(each["column_names"]) for each in inspector.get_unique_constraints(table, schema=schema)]
    for index in inspector.get_indexes(table, schema=schema):
        options: Mapping[str, Any] = index.get("dialect_options") or {}
        names = index["column_names"]
        if index["unique"] and None not in names and not any(name.endswith("_where") for name in options):
            unique.append({str(name) for name in names})
    return [each for number, each in enumerate(unique) if each not in unique[:number]]


def _column(database: str, described: Mapping[str, Any], primary: tuple[str, ...]) -> SqlColumn:
    name, type_ = str(described["name"]), described["type"]
    counted = described.get("autoincrement") is True or "identity" in described
    if database == "sqlite" and primary == (name,) and str(type_) == "INTEGER":
        counted = True  # an alias of the row's number
    computed = "computed" in described
    always = bool((described.get("identity") or {}).get("always"))
    has_default = counted or computed or described.get("default") is not None
    not_null = not described["nullable"] or counted
    kind, limits = _kind(database, type_)
    return SqlColumn(
        name=name,
        kind=kind,
        database=database,
        not_null=not_null,
        required=not_null and not has_default,
        refused="the database computes it" if computed or always else "",
        **limits,
    )


def _kind(database: str, type_: Any) -> tuple[ColumnKind, dict[str, Any]]:
    """Return the kind of a type, and the limits of its values."""
    from sqlalchemy import types

    name = type(type_).__name__.upper()
    if isinstance(type_, types.Boolean):
        return ColumnKind.BOOLEAN, {}
    if isinstance(type_, types.Integer):
        return ColumnKind.INTEGER, _range(database, type_, name)
    if isinstance(type_, types.Enum):
        return ColumnKind.TEXT, {"choices": tuple(type_.enums)}
    if isinstance(type_, types.JSON):
        return ColumnKind.JSON, {}
    if isinstance(type_, types.Uuid):
        return ColumnKind.UUID, {}
    if isinstance(type_, types.Numeric | types.Float):  # the latter is not a Numeric since SQLAlchemy 2.1
        return _number(database, type_, name)
    if isinstance(type_, types.String):
        return ColumnKind.TEXT, {"limit": _length(database, type_, name, "TEXT")}
    if isinstance(type_, types.LargeBinary | types.BINARY | types.VARBINARY):
        return ColumnKind.BYTES, {"limit": _length(database, type_, name, "BLOB")}
    return _kind_of_time(database, type_, name), {}


def _kind_of_time(database: str, type_: Any, name: str) -> ColumnKind:
    from sqlalchemy import types

    if isinstance(type_, types.DateTime):
        is_zoned = type_.timezone if database == "postgresql" else database == "mysql" and name == "TIMESTAMP"
        return ColumnKind.ZONED if is_zoned else ColumnKind.DATETIME
    if isinstance(type_, types.Date):
        return ColumnKind.DATE
    if isinstance(type_, types.Time) and not (database == "postgresql" and type_.timezone):
        return ColumnKind.TIME
    return ColumnKind.ANY


def _range(database: str, type_: Any, name: str) -> dict[str, Any]:
    bits = 64 if database == "sqlite" else _BITS.get(name, 32)
    if getattr(type_, "unsigned", False):
        return {"low": 0, "high": 2**bits - 1}
    return {"low": -(2 ** (bits - 1)), "high": 2 ** (bits - 1) - 1}


def _number(database: str, type_: Any, name: str) -> tuple[ColumnKind, dict[str, Any]]:
    from sqlalchemy import types

    if isinstance(type_, types.Float):
        precision = type_.precision if database == "postgresql" else None
        is_small = (
            name == "REAL" or (precision is not None and precision <= 24) or (database, name) == ("mysql", "FLOAT")
        )
        return ColumnKind.FLOAT, {"high": _MAX_FLOAT} if is_small and database != "sqlite" else {}
    if database == "sqlite" or type_.precision is None:
        return ColumnKind.NUMERIC, {}
    return ColumnKind.NUMERIC, {"limit": type_.precision - (type_.scale or 0)}


def _length(database: str, type_: Any, name: str, suffix: str) -> int | None:
    if database == "sqlite":
        return None
    if database == "mysql" and name.endswith(suffix):
        return _MYSQL_BYTES.get(name.removesuffix(suffix))
    length: int | None = type_.length
    return length


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + '...'}"
