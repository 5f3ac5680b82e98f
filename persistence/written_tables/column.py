"""Columns of a table, and the values that fit them, as a driver takes them."""

import datetime as dt
import json
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from elastic.persistence.result_files.column_types import check_json_keys

#: NUL in JSON: an odd number of backslashes before its code.
_JSON_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class ColumnKind(StrEnum):
    """Kind of the values of a column."""

    INTEGER = "whole numbers"
    BOOLEAN = "booleans"
    NUMERIC = "decimal numbers"
    FLOAT = "floats"
    TEXT = "strings"
    BYTES = "bytes"
    DATE = "dates"
    DATETIME = "datetimes without a time zone"
    ZONED = "datetimes with a time zone"
    TIME = "times"
    JSON = "JSON"
    UUID = "UUIDs"
    #: The database decides.
    ANY = "values that the database accepts"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlColumn:
    """Column of a table."""

    name: str
    kind: ColumnKind
    #: `sqlite`, `postgresql` or `mysql`.
    database: str
    #: Range of whole numbers, or of the absolute value of floats.
    low: float = -math.inf
    high: float = math.inf
    #: Characters of a string, bytes, or digits before the point of a decimal number; None without a limit.
    limit: int | None = None
    #: Strings of an enumeration.
    choices: tuple[str, ...] = ()
    #: True if the column takes no NULL.
    not_null: bool = False
    #: True if a record must have a value, because there is no default.
    required: bool = False
    #: Reason why records may not have it; empty if they may.
    refused: str = ""

    def fit(self, value: Any) -> Any:
        """Return a value as the driver takes it.

        Raises:
            ValueError: The value does not fit. The message is a part of a sentence.
        """
        if value is None:
            if self.not_null:
                raise ValueError("it takes no NULL")
            return None
        return _FITS[self.kind](self, value)


def _whole(column: SqlColumn, value: Any) -> Any:
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    if not isinstance(value, int):
        raise ValueError(f"it takes {column.kind}")
    if not column.low <= value <= column.high:
        raise ValueError(f"it takes numbers from {column.low} to {column.high}")
    return int(value)


def _boolean(column: SqlColumn, value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"it takes {column.kind}")
    return value


def _decimal(column: SqlColumn, value: Any) -> Any:
    if not isinstance(value, int | float | Decimal):
        raise ValueError(f"it takes {column.kind}")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        if column.database == "postgresql" and number.is_nan() and not number.is_snan():
            return number
        raise ValueError("it takes finite numbers")
    if column.limit is not None and number and number.adjusted() >= column.limit:
        raise ValueError(f"it takes {column.limit} digits before the point")
    if column.database == "sqlite":
        return _sqlite_number(number)
    return number


def _sqlite_number(number: Decimal) -> Any:
    # SQLite keeps a fraction as a float of 64 bits.
    if number == number.to_integral_value():
        if not -(2**63) <= number < 2**63:
            raise ValueError("SQLite keeps whole numbers of 64 bits; give the column the type TEXT for longer ones")
        return int(number)
    if len(number.normalize().as_tuple().digits) > 15:
        raise ValueError("SQLite keeps 15 digits; give the column the type TEXT for more")
    return str(number)


def _float(column: SqlColumn, value: Any) -> Any:
    if not isinstance(value, int | float | Decimal):
        raise ValueError(f"it takes {column.kind}")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        raise ValueError("it takes floats of 64 bits") from None
    if math.isnan(number) and column.database != "postgresql":
        raise ValueError("the database has no NaN")
    if math.isinf(number):
        if column.database == "mysql" or not (isinstance(value, float) or Decimal(value).is_infinite()):
            raise ValueError("it takes finite numbers")
    elif abs(number) > column.high:
        raise ValueError("it takes floats of 32 bits")
    return number


def _text(column: SqlColumn, value: Any) -> Any:
    text = _as_text(value)
    if text is None:
        raise ValueError(f"it takes {column.kind}")
    _check_text(column, text)
    if column.choices and text not in column.choices:
        raise ValueError(f"it takes {', '.join(map(repr, column.choices))}")
    return text


def _as_text(value: Any) -> str | None:
    """Return a value as a string if this loses nothing, or None."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    return _as_json(value) if isinstance(value, dict | list) else None


def _check_text(column: SqlColumn, text: str) -> None:
    if column.database == "postgresql" and "\0" in text:
        raise ValueError("PostgreSQL takes no NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair has no UTF-8") from None
    # MySQL limits its types without a length in bytes; the smallest of those limits is above any length.
    if column.limit is not None and (len(text) if column.limit < _TEXT_BYTES else size) > column.limit:
        raise ValueError(f"it takes {column.limit} {'characters' if column.limit < _TEXT_BYTES else 'bytes'}")


#: Limit from which on it counts bytes: that of TEXT in MySQL. No VARCHAR of utf8mb4 is longer.
_TEXT_BYTES = 65535


def _bytes(column: SqlColumn, value: Any) -> Any:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueError(f"it takes {column.kind}")
    data = bytes(value)
    if column.limit is not None and len(data) > column.limit:
        raise ValueError(f"it takes {column.limit} bytes")
    return data


def _date(column: SqlColumn, value: Any) -> Any:
    if isinstance(value, str):
        value = dt.date.fromisoformat(value)
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise ValueError(f"it takes {column.kind}")
    return value.isoformat() if column.database == "sqlite" else value


def _moment(column: SqlColumn, value: Any) -> Any:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.datetime):
        raise ValueError(f"it takes {column.kind}")
    zone = value.utcoffset()
    if column.kind is ColumnKind.ZONED:
        if zone is None:
            raise ValueError(f"it takes {column.kind}")
        if column.database == "postgresql":
            return value
    if zone is not None:
        try:
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        except OverflowError:
            raise ValueError("its time in UTC is outside the calendar") from None
    return value.isoformat(sep=" ", timespec="microseconds") if column.database == "sqlite" else value


def _time(column: SqlColumn, value: Any) -> Any:
    if isinstance(value, str):
        value = dt.time.fromisoformat(value)
    if not isinstance(value, dt.time) or value.tzinfo is not None:
        raise ValueError(f"it takes {column.kind} without a zone")
    return value.isoformat() if column.database == "sqlite" else value


def _as_json(value: Any) -> str:
    try:
        check_json_keys(value)
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None


def _json(column: SqlColumn, value: Any) -> Any:
    text = _as_json(value)
    if column.database == "postgresql" and _JSON_NUL.search(text):
        raise ValueError("PostgreSQL takes no NUL character")
    _check_text(column, text)
    return text


def _uuid(column: SqlColumn, value: Any) -> Any:
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))


def _any(column: SqlColumn, value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, float):
        return _float(column, value)
    if isinstance(value, int):
        if column.database == "sqlite" and not -(2**63) <= value < 2**63:
            raise ValueError("SQLite keeps whole numbers of 64 bits")
        return value
    text = _as_text(value) if column.database != "postgresql" or isinstance(value, str | dict) else None
    if text is not None:
        _check_text(column, text)
        return text
    if column.database == "postgresql" and isinstance(value, list | dt.date | dt.time | dt.timedelta | Decimal):
        return value
    raise ValueError(f"it takes {column.kind}")


_FITS: dict[ColumnKind, Callable[[SqlColumn, Any], Any]] = {
    ColumnKind.INTEGER: _whole,
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.NUMERIC: _decimal,
    ColumnKind.FLOAT: _float,
    ColumnKind.TEXT: _text,
    ColumnKind.BYTES: _bytes,
    ColumnKind.DATE: _date,
    ColumnKind.DATETIME: _moment,
    ColumnKind.ZONED: _moment,
    ColumnKind.TIME: _time,
    ColumnKind.JSON: _json,
    ColumnKind.UUID: _uuid,
    ColumnKind.ANY: _any,
}
