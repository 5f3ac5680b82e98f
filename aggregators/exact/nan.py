"""NaN as a key: two NaN read from bytes are two keys, and a result would depend on how often it travelled.

So all NaN of a type are one key, wherever they are in it: in tuples and frozensets, as Decimal, complex or of numpy.
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

#: What stands for all of them; numpy scalars become Python's.
NAN = math.nan
_OF_TYPE: dict[type, Any] = {float: NAN, Decimal: Decimal("NaN"), complex: complex(NAN, NAN)}

#: Types of keys that are no NaN and hold none.
_SOUND = frozenset(
    {str, bytes, int, bool, type(None), Fraction, uuid.UUID, dt.date, dt.datetime, dt.time, dt.timedelta}
)
_NESTING = frozenset({tuple, frozenset})


def kinds_of(keys: Iterable[Any]) -> set[type]:
    """Return the types of keys: what is looked at first, because it takes no step of Python for each of them."""
    return set(map(type, keys))


def holds_nan(keys: Collection[Any], kinds: set[type] | None = None) -> bool:
    """Tell whether a key is NaN, or holds one.

    Args:
        keys: The keys.
        kinds: Their types, where they are known.

    Raises:
        EncodingError: A key is a text of a class of its own, which is not plain data; a column of texts would take it
            for one.
    """
    kinds = (kinds_of(keys) if kinds is None else kinds) - _SOUND
    for kind in kinds:
        if issubclass(kind, str) and kind.__module__ != "numpy":
            pack(next(key for key in keys if type(key) is kind))
    level: Iterable[Any] = keys
    while kinds:
        if kinds - _NESTING and any(map(ne, level, level)):
            return True
        level = list(chain.from_iterable(key for key in level if type(key) in _NESTING))
        kinds = kinds_of(level) - _SOUND
    return False


def one_nan(key: Any) -> Any:
    """Return a key with the one NaN of its type in place of any other; the key itself if there is none to replace."""
    kind = type(key)
    if kind in _SOUND:
        return key
    if kind in _NESTING:
        items = [*map(one_nan, key)]
        return key if all(one is other for one, other in zip(key, items, strict=True)) else kind(items)
    if key == key:
        return key
    return _OF_TYPE.get(type(key.item()) if kind.__module__ == "numpy" else kind, key)


def with_one_nan(keys: Collection[Any], kinds: set[type] | None = None) -> Collection[Any]:
    """Return keys with one NaN of each type; several of them may be equal then."""
    return list(map(one_nan, keys)) if holds_nan(keys, kinds) else keys


def joined_by_nan(mapping: dict[Hashable, Any], join: Callable[[list[Any]], Any]) -> dict[Hashable, Any] | None:
    """Return a mapping in which keys that are one but for their NaN are one; None if no key holds a NaN.

    Args:
        mapping: The mapping, which stays as it is.
        join: Makes one value of those of several keys, in their order.
    """
    if not holds_nan(mapping):
        return None
    values: dict[Hashable, list[Any]] = {}
    for key, value in mapping.items():
        values.setdefault(one_nan(key), []).append(value)
    return {key: some[0] if len(some) == 1 else join(some) for key, some in values.items()}
