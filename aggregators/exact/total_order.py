"""Order: which key is greater, so that the order in which entries came cannot show in a result.

Python compares some values that have no total order: NaN, and tuples that hold it, are neither less nor greater than
others, sets are compared by inclusion, and times of a zone that repeats an hour may go in a circle with others.
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

#: Types whose values Python orders, and compares with no others that have no order; but for NaN.
ORDERED = frozenset({str, bytes, int, bool, float, Fraction, dt.date, dt.timedelta, uuid.UUID})

#: The rank of a key that is NaN, or holds one: it comes behind all others.
UNORDERED = object()

_MAY_BE_NAN = frozenset({float, Decimal})
_SOUND = ORDERED - _MAY_BE_NAN
_ITEMS = frozenset({tuple, list})
#: Types of which a look at all keys at once tells whether they have an order. None may be an item, as long as Python
#: need not compare it with something else.
_SEEN = ORDERED | _MAY_BE_NAN | _ITEMS | {dt.datetime, dt.time, type(None)}
#: So many keys are ranked as fast as they are looked at.
_FEW = 16
_FIXED = frozenset({type(None), dt.timezone})


@dataclass(frozen=True, order=True, slots=True)
class OrderedInstant:
    """The rank of a time with a zone."""

    microseconds: int


def is_ordered(keys: Iterable[Any]) -> bool:
    """Tell whether Python's own order of keys is total, without a step of Python for each of them."""
    level = list(keys)
    kinds = kinds_of(level)
    if type(None) in kinds:
        return False
    while kinds := kinds - _SOUND:
        if kinds - _SEEN or (kinds & _MAY_BE_NAN and any(map(ne, level, level))):
            return False
        if dt.datetime in kinds and not kinds_of(one.tzinfo for one in level if type(one) is dt.datetime) <= _FIXED:
            return False
        level = list(chain.from_iterable(one for one in level if type(one) in _ITEMS))
        kinds = kinds_of(level)
    return True


def ranks_of(keys: list[Any]) -> list[Any]:
    """Return what each key is compared by: itself for most; NOWHERE for one that comes behind all others.

    It is the same list if each key is compared by itself.

    Raises:
        UnorderedKeyError: A key has no order.
    """
    if kinds_of(keys) <= _SOUND or (len(keys) > _FEW and is_ordered(keys)):
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
