"""Rows as a JSON array of objects."""

import base64
import datetime as dt
import json
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any


def json_array(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a JSON array with one object per row and one row per line.

    Instants and dates become ISO 8601 strings, decimals become numbers with all digits, and bytes become base64.
    NaN and infinity become null.
    """
    names = [f"{json.dumps(name, ensure_ascii=False)}: " for name in columns]
    lines = ["{" + ", ".join(map(_member, names, row)) + "}" for row in rows]
    return "[" + ",\n ".join(lines) + "]"


def _member(name: str, value: Any) -> str:
    return name + _text(value)


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        # The json module would convert it to a float.
        return format(value, "f") if value.is_finite() else "null"
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    return _written(value)


def _written(value: Any) -> str:
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    return str(value)
