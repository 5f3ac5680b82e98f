"""NaN as a key: two decoded NaN are two keys, so a result would depend on how often its state was encoded.

So all NaN of a type are one key, also inside tuples and frozensets, and as Decimal, complex or numpy scalars.
"""

import datetime as dt
import math
import uuid
from collections.abc import Callable, Collection, Hashable, Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from operator import ne
from typing import Any

from elastic.core.encoding import pack

#: NaN that replaces all others; numpy scalars become Python's types.
NAN = math.nan
_OF_TYPE: dict[type, Any] = {float: NAN, Decimal: Decimal("NaN"), complex: complex(NAN, NAN)}

#: Types of keys that neither are NaN nor contain one.
_WITHOUT_NAN = frozenset(
    {str, bytes, int, bool, type(None), Fraction, uuid.UUID, dt.date, dt.datetime, dt.time, dt.timedelta}
)
_NESTING = frozenset({tuple, frozenset})


def kinds_of(keys: Iterable[Any]) -> set[type]:
    """Return the types of keys, which needs no step of Python for each key."""
    return set(map(type, keys))


def holds_nan(keys: Collection[Any], kinds: set[type] | None = None) -> bool:
    """Return whether a key is NaN, or contains one.

    Args:
        keys: The keys.
        kinds: Their types, if the caller knows them.

    Raises:
        EncodingError: A key is of a subclass of str, which is not plain data. A column of strings would lose its class.
    """
    kinds = (kinds_of(keys) if kinds is None else kinds) - _WITHOUT_NAN
    for kind in kinds:
        if issubclass(kind, str) and kind.__module__ != "numpy":
            pack(next(key for key in keys if type(key) is kind))
    level: Iterable[Any] = keys
    while kinds:
        if kinds - _NESTING and any(map(ne, level, level)):
            return True
        level = list(chain.from_iterable(key for key in level if type(key) in _NESTING))
        kinds = kinds_of(level) - _WITHOUT_NAN
    return False


def one_nan(key: Any) -> Any:
    """Return a key with one NaN per type; the key itself if it contains no NaN."""
    kind = type(key)
    if kind in _WITHOUT_NAN:
        return key
    if kind in _NESTING:
        items = [*map(one_nan, key)]
        return key if all(one is other for one, other in zip(key, items, strict=True)) else kind(items)
    if key == key:
        return key
    return _OF_TYPE.get(type(key.item()) if kind.__module__ == "numpy" else kind, key)


def with_one_nan(keys: Collection[Any], kinds: set[type] | None = None) -> Collection[Any]:
    """Return keys with one NaN per type, which may make some of them equal."""
    return list(map(one_nan, keys)) if holds_nan(keys, kinds) else keys


def joined_by_nan(mapping: dict[Hashable, Any], join: Callable[[list[Any]], Any]) -> dict[Hashable, Any] | None:
    """Return a mapping in which keys that differ only in their NaN are one; None if no key contains NaN.

    Args:
        mapping: The mapping, which is not changed.
        join: Joins the values of several keys, in their order.
    """
    if not holds_nan(mapping):
        return None
    values: dict[Hashable, list[Any]] = {}
    for key, value in mapping.items():
        values.setdefault(one_nan(key), []).append(value)
    return {key: some[0] if len(some) == 1 else join(some) for key, some in values.items()}
