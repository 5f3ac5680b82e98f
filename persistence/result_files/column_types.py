"""The types of columns: what may stand in one of them so that it comes back equal."""

import datetime as dt
from collections.abc import Collection
from decimal import Decimal
from itertools import chain
from numbers import Integral, Real
from typing import Any

#: What may stand in one column: Arrow makes one of them without loss, or raises.
_JOINED: tuple[frozenset[type], ...] = (frozenset({int, float}), frozenset({int, Decimal}))

#: The kinds of values, each before those that it is one of as well.
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
    """Raise TypeError for values of which Arrow would silently make others, at any depth."""
    kinds = {_kind_of(each) for each in set(map(type, column)) if each is not type(None)}
    if len(kinds) > 1 and not any(kinds <= joined for joined in _JOINED):
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
            check_texts(value or ())
            for name, each in (value or {}).items():
                by_name.setdefault(name, []).append(each)
        for each in by_name.values():
            check_kinds(each)


def _kind_of(kind: type) -> type:
    return next((told for base, told in _KINDS if issubclass(kind, base)), kind)


def fits(types: Any, kind: Any, wanted: Any) -> bool:
    """Tell whether values of one type of Arrow can be of another, so that they are equal to what they were."""
    if kind.equals(wanted) or types.is_null(kind):
        return True
    if types.is_list(kind) and types.is_list(wanted):
        return fits(types, kind.value_type, wanted.value_type)
    if types.is_struct(kind) and types.is_struct(wanted):
        # A dict that lacks a key has None there, as it has beside others in one group.
        fields = {field.name: field.type for field in wanted}
        return all(field.name in fields and fits(types, field.type, fields[field.name]) for field in kind)
    if types.is_timestamp(kind) and types.is_timestamp(wanted):
        return bool((kind.tz is None) == (wanted.tz is None))
    # Arrow itself refuses a number that would be rounded.
    if types.is_integer(kind):
        return bool(types.is_float64(wanted) or types.is_decimal(wanted))
    return bool(types.is_decimal(kind) and types.is_decimal(wanted))


def check_texts(names: Collection[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{name!r} is the key of a dict and no text")
