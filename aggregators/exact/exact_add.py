"""Adding the values of mappings: as `+` does, but exactly where `+` would round."""

from collections.abc import Callable, Collection, Iterable
from copy import copy
from decimal import Decimal
from functools import reduce
from itertools import repeat
from operator import add
from typing import Any, TypeVar

from elastic.aggregators.exact.exact_sum import ExactSum
from elastic.aggregators.exact.nan import joined_by_nan, one_nan, with_one_nan
from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import KEYS_AT_ONCE, read_mapping
from elastic.core.errors import EncodingError

SumsT = TypeVar("SumsT", bound=dict[Any, Any])

_ROUNDED_BY_PLUS = (float, Decimal)


def plus(one: Any, other: Any) -> Any:
    """Return the sum of two values; it is a Total, which `with_results` turns into a number, where `+` would round."""
    if isinstance(one, ExactSum):
        total = one
    elif isinstance(other, (*_ROUNDED_BY_PLUS, ExactSum)) or isinstance(one, _ROUNDED_BY_PLUS):
        total = ExactSum()
        total.add([one])
    else:
        return one + other
    if isinstance(other, ExactSum):
        total.merge(other)
    else:
        total.add([other])
    return total


def fold(into: dict[Any, Any], items: Iterable[tuple[Any, Any]], function: Callable[[Any, Any], Any] = plus) -> None:
    """Put items into a mapping, joining the values of a key by `function`."""
    if function is plus:
        _add_up(into, items)
        return
    for key, value in items:
        if key in into or (type(key) is not str and (key := one_nan(key)) in into):
            into[key] = function(into[key], value)
        else:
            into[key] = value


def _add_up(into: dict[Any, Any], items: Iterable[tuple[Any, Any]]) -> None:
    """Fold with `plus`, without a call for integers, which are what most mappings hold."""
    get = into.get
    for key, value in items:
        held = get(key)
        if type(held) is int and type(value) is int:
            into[key] = held + value
        elif held is None and key not in into:
            if type(key) is str or (key := one_nan(key)) not in into:
                into[key] = value
            else:
                into[key] = plus(into[key], value)
        else:
            into[key] = plus(held, value)


def add_integers(into: SumsT, keys: Collection[Any], numbers: Collection[int]) -> SumsT:
    """Add integers to those of a mapping, and return it.

    Raises:
        ValueError: There are not as many numbers as keys.
    """
    if len(keys) != len(numbers):
        raise ValueError(f"{len(keys)} keys and {len(numbers)} numbers")
    if not into:
        # Of keys that are all different there is nothing to add.
        remaining = iter(numbers)
        for part in batches(keys, KEYS_AT_ONCE):
            dict.update(into, zip(part, remaining, strict=False))
        if len(into) == len(keys):
            return into
        into.clear()
    remaining = iter(numbers)
    for part in batches(keys, KEYS_AT_ONCE):
        # Each key is looked up when the one before has its sum, so that one may come twice.
        sums = map(add, map(into.get, part, repeat(0)), remaining)
        dict.update(into, zip(part, sums, strict=False))
    return into


def add_decoded(into: SumsT, keys: Collection[Any], numbers: Collection[int], aggregator: object) -> SumsT:
    """Add integers that were read from bytes, as `add_integers` does.

    Raises:
        EncodingError: A key is not hashable, or there are not as many numbers. What was in the mapping is not known
            then.
    """
    try:
        return add_integers(into, keys, numbers)
    except (TypeError, ValueError) as error:
        raise EncodingError(f"these bytes are not a state of {aggregator} ({error})") from error


def undo_fold(
    into: SumsT, others: Collection[Any], held: dict[Any, Callable[[], Any]] | None = None
) -> Callable[[], SumsT]:
    """Return a function that gives a mapping as it is now, after others were folded into it, or some of them.

    Args:
        into: The mapping.
        others: Their keys.
        held: Gives what is held of a key as it is now; by default only a Total ever changes.
    """
    before = {} if held is None else held
    ours = with_one_nan(others)
    keys = others if ours is others else [*others, *ours]
    plain = {key: _copied(into[key]) for key in keys if key in into} if held is None else {}
    add_integers = [key for key in keys if key not in into]

    def back() -> SumsT:
        for key in add_integers:
            into.pop(key, None)
        into.update(plain)
        into.update({key: value() for key, value in before.items()})
        return into

    return back


def _copied(value: Any) -> Any:
    return copy(value) if isinstance(value, ExactSum) else value


def with_one_nan_key(sums: dict[Any, Any], function: Callable[[Any, Any], Any] = plus) -> dict[Any, Any]:
    """Return a mapping in which keys that are one but for their NaN are one, with values joined by `function`."""
    joined = joined_by_nan(sums, lambda values: reduce(function, map(_copied, values)))
    return sums if joined is None else joined


def with_results(sums: dict[Any, Any]) -> dict[Any, Any]:
    """Return a mapping with numbers in place of Totals."""
    return {key: value.result if isinstance(value, ExactSum) else value for key, value in sums.items()}


def to_plain(sums: dict[Any, Any]) -> list[list[Any]]:
    """Return plain data: keys, values (None for a Total), and the Totals by index.

    Keys are a list, because the keys of a dict that is read from bytes are interned by the reader and stay in memory.
    """
    values = [*sums.values()]
    exact = {index: value.plain for index, value in enumerate(values) if isinstance(value, ExactSum)}
    for index in exact:
        values[index] = None
    return [[*sums], values, [*exact], [*exact.values()]]


def from_plain(plain: Any, aggregator: object) -> dict[Any, Any]:
    """Return the mapping of which this is the plain data.

    Raises:
        EncodingError: It is not that of one.
    """
    if type(plain) is not list or list(map(type, plain)) != [list] * 4:
        raise EncodingError(f"these bytes are not a state of {aggregator}")
    keys, values, indexes, totals = plain
    try:
        for index, total in zip(indexes, totals, strict=True):
            values[index] = ExactSum.of(total)
    except (TypeError, ValueError, IndexError) as error:
        raise EncodingError(f"these bytes are not a state of {aggregator} ({error})") from error
    return read_mapping(keys, values, aggregator)
