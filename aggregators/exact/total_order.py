"""Total order of keys, so that a result does not depend on the order of entries.

Python compares some values that have no total order. NaN, and tuples with NaN, are neither less nor greater than
others. Sets are compared by inclusion. Times of a zone that repeats an hour can be less than each other in a circle.
"""

import datetime as dt
import reprlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from operator import ne
from typing import Any

from elastic.aggregators.exact.nan import kinds_of
from elastic.core.errors import UnorderedKeyError
from elastic.core.time_encoding import instant_of

#: Types that Python orders totally, except for NaN.
ORDERED = frozenset({str, bytes, int, bool, float, Fraction, dt.date, dt.timedelta, uuid.UUID})

#: Rank of a key that is NaN, or contains one: it comes after all others.
UNORDERED = object()

_MAY_BE_NAN = frozenset({float, Decimal})
_ORDERED_WITHOUT_NAN = ORDERED - _MAY_BE_NAN
_ITEMS = frozenset({tuple, list})
#: Types that `is_ordered` can check for all keys at once. None may be an item, if Python need not compare it.
_CHECKABLE = ORDERED | _MAY_BE_NAN | _ITEMS | {dt.datetime, dt.time, type(None)}
#: Number of keys up to which ranking them is as fast as checking them.
_MIN_CHECKED = 16
_FIXED = frozenset({type(None), dt.timezone})


@dataclass(frozen=True, order=True, slots=True)
class OrderedInstant:
    """Rank of a time with a zone."""

    microseconds: int


def is_ordered(keys: Iterable[Any]) -> bool:
    """Return whether Python's order of these keys is total, without a step of Python for each key."""
    level = list(keys)
    kinds = kinds_of(level)
    if type(None) in kinds:
        return False
    while kinds := kinds - _ORDERED_WITHOUT_NAN:
        if kinds - _CHECKABLE or (kinds & _MAY_BE_NAN and any(map(ne, level, level))):
            return False
        if dt.datetime in kinds and not kinds_of(one.tzinfo for one in level if type(one) is dt.datetime) <= _FIXED:
            return False
        level = list(chain.from_iterable(one for one in level if type(one) in _ITEMS))
        kinds = kinds_of(level)
    return True


def ranks_of(keys: list[Any]) -> list[Any]:
    """Return the rank to compare each key by: mostly the key itself, and UNORDERED for a key that comes last.

    The result is the same list if each key is its own rank.

    Raises:
        UnorderedKeyError: A key has no order.
    """
    if kinds_of(keys) <= _ORDERED_WITHOUT_NAN or (len(keys) > _MIN_CHECKED and is_ordered(keys)):
        return keys
    return list(map(_rank_of, keys))


def _rank_of(key: Any, *, inside: bool = False) -> Any:
    kind = type(key)
    if kind in _MAY_BE_NAN:
        return key if key == key else UNORDERED
    if kind in _ITEMS:
        ranks = [_rank_of(item, inside=True) for item in key]
        return UNORDERED if any(rank is UNORDERED for rank in ranks) else kind(ranks)
    if kind is dt.datetime and key.tzinfo is not None:
        return OrderedInstant(instant_of(key))
    if kind.__module__ == "numpy" and hasattr(key, "item") and type(key.item()) in ORDERED:
        return _rank_of(key.item())
    if kind in ORDERED or kind in (dt.datetime, dt.time) or (inside and key is None):
        return key
    raise UnorderedKeyError(kind.__name__, reprlib.repr(key))
