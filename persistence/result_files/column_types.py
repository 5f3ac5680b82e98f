"""Type checks for columns: values that Arrow would change must not share a column."""

import datetime as dt
from collections.abc import Collection
from decimal import Decimal
from itertools import chain
from numbers import Integral, Real
from typing import Any

#: Types of JSON without nested keys.
_SCALARS = frozenset({type(None), bool, int, float, str})

#: Types that may share a column: Arrow converts them without loss, or raises.
_COMPATIBLE: tuple[frozenset[type], ...] = (frozenset({int, float}), frozenset({int, Decimal}))

#: Base types and the kind of their values; subclasses come before their bases.
_KINDS: tuple[tuple[type, type], ...] = (
    (bool, bool),
    (Integral, int),
    (Real, float),
    (str, str),
    (bytes, bytes),
    (dt.datetime, dt.datetime),
    (dt.date, dt.date),
    (dict, dict),
    (list, list),
    (tuple, list),
    (set, list),
)


def check_kinds(column: Collection[Any]) -> None:
    """Raise TypeError for values that Arrow would silently change, at any depth."""
    kinds = {_kind_of(each) for each in set(map(type, column)) if each is not type(None)}
    if len(kinds) > 1 and not any(kinds <= compatible for compatible in _COMPATIBLE):
        raise TypeError(f"{' and '.join(sorted(kind.__name__ for kind in kinds))} in one column")
    if dt.time in kinds and any(value is not None and value.tzinfo is not None for value in column):
        raise TypeError("times of a day with a time zone")
    if dt.datetime in kinds and len({value.tzinfo is None for value in column if value is not None}) > 1:
        raise TypeError("datetimes with and without a time zone in one column")
    if list in kinds:
        check_kinds(list(chain.from_iterable(value for value in column if value is not None)))
    if dict in kinds:
        by_name: dict[str, list[Any]] = {}
        for value in column:
            check_keys(value or ())
            for name, each in (value or {}).items():
                by_name.setdefault(name, []).append(each)
        for each in by_name.values():
            check_kinds(each)


def has_set(values: Collection[Any]) -> bool:
    """Return whether a set is among the values, at any depth."""
    if _SCALARS.issuperset(map(type, values)):
        return False
    inner = [
        each.values() if isinstance(each, dict) else each for each in values if isinstance(each, dict | list | tuple)
    ]
    return any(isinstance(each, set | frozenset) for each in values) or any(map(has_set, inner))


def _kind_of(kind: type) -> type:
    return next((found for base, found in _KINDS if issubclass(kind, base)), kind)


def can_convert(types: Any, kind: Any, wanted: Any) -> bool:
    """Return whether values of the Arrow type `kind` stay equal when they are converted to `wanted`.

    Args:
        types: The module `pyarrow.types`.
        kind: Type of the values.
        wanted: Type of the column.
    """
    if kind.equals(wanted) or types.is_null(kind):
        return True
    if types.is_list(kind) and types.is_list(wanted):
        return can_convert(types, kind.value_type, wanted.value_type)
    if types.is_struct(kind) and types.is_struct(wanted):
        # A dict without a key gets None for it, as it does beside dicts with the key in one group of rows.
        fields = {field.name: field.type for field in wanted}
        return all(field.name in fields and can_convert(types, field.type, fields[field.name]) for field in kind)
    if types.is_timestamp(kind) and types.is_timestamp(wanted):
        return bool((kind.tz is None) == (wanted.tz is None))
    # Arrow raises for a number that it would round.
    if types.is_integer(kind):
        return bool(types.is_float64(wanted) or types.is_decimal(wanted))
    return bool(types.is_decimal(kind) and types.is_decimal(wanted))


def check_keys(names: Collection[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"the keys of a dict must be strings, got {name!r}")


def check_json_keys(value: Any) -> None:
    """Raise TypeError for a dict with keys that JSON would convert to strings: two keys could become one."""
    if type(value) in _SCALARS:
        return
    if isinstance(value, dict):
        check_keys(value)
        for item in value.values():
            if type(item) not in _SCALARS:
                check_json_keys(item)
    elif isinstance(value, list | tuple) and not _SCALARS.issuperset(map(type, value)):
        for item in value:
            check_json_keys(item)
