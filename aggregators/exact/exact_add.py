"""Addition of the values of mappings: like `+`, but exact for numbers that `+` rounds."""

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

#: Types that `+` rounds.
_ROUNDED_BY_PLUS = (float, Decimal)


def exact_add(one: Any, other: Any) -> Any:
    """Return the sum of two values: an ExactSum for numbers that `+` rounds. `with_results` returns its number."""
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


def fold(
    into: dict[Any, Any], items: Iterable[tuple[Any, Any]], function: Callable[[Any, Any], Any] = exact_add
) -> None:
    """Fold items into a mapping; `function` joins the values of a key."""
    if function is exact_add:
        _add_up(into, items)
        return
    for key, value in items:
        if key in into or (type(key) is not str and (key := one_nan(key)) in into):
            into[key] = function(into[key], value)
        else:
            into[key] = value


def _add_up(into: dict[Any, Any], items: Iterable[tuple[Any, Any]]) -> None:
    """Fold with `exact_add`, without a call for integers, the most frequent values."""
    get = into.get
    for key, value in items:
        held = get(key)
        if type(held) is int and type(value) is int:
            into[key] = held + value
        elif held is None and key not in into:
            if type(key) is str or (key := one_nan(key)) not in into:
                into[key] = value
            else:
                into[key] = exact_add(into[key], value)
        else:
            into[key] = exact_add(held, value)


def add_integers(into: SumsT, keys: Collection[Any], numbers: Collection[int]) -> SumsT:
    """Add integers to a mapping of integers, and return it.

    Raises:
        ValueError: The numbers of keys and integers differ.
    """
    if len(keys) != len(numbers):
        raise ValueError(f"{len(keys)} keys and {len(numbers)} numbers")
    if not into:
        # If all keys differ, there is nothing to add.
        remaining = iter(numbers)
        for part in batches(keys, KEYS_AT_ONCE):
            dict.update(into, zip(part, remaining, strict=False))
        if len(into) == len(keys):
            return into
        into.clear()
    remaining = iter(numbers)
    for part in batches(keys, KEYS_AT_ONCE):
        # Each key is looked up after the previous sum is known, so a key may occur twice.
        sums = map(add, map(into.get, part, repeat(0)), remaining)
        dict.update(into, zip(part, sums, strict=False))
    return into


def add_decoded(into: SumsT, keys: Collection[Any], numbers: Collection[int], aggregator: object) -> SumsT:
    """Add decoded integers, as `add_integers` does.

    Raises:
        EncodingError: A key is unhashable, or the numbers of keys and integers differ. The content of the mapping is
            undefined then.
    """
    try:
        return add_integers(into, keys, numbers)
    except (TypeError, ValueError) as error:
        raise EncodingError(f"these bytes are not a state of {aggregator} ({error})") from error


def undo_fold(
    into: SumsT, others: Collection[Any], restores: dict[Any, Callable[[], Any]] | None = None
) -> Callable[[], SumsT]:
    """Return a function that restores a mapping after other items were folded into it, completely or partly.

    Args:
        into: The mapping.
        others: Keys of the other items.
        restores: Functions that restore the value of a key. By default, values are copied, as only an ExactSum changes.
    """
    normalized = with_one_nan(others)
    keys = others if normalized is others else [*others, *normalized]
    copies = {key: _copied(into[key]) for key in keys if key in into} if restores is None else {}
    new_keys = [key for key in keys if key not in into]

    def restore() -> SumsT:
        for key in new_keys:
            into.pop(key, None)
        into.update(copies)
        into.update({key: value() for key, value in (restores or {}).items()})
        return into

    return restore


def _copied(value: Any) -> Any:
    return copy(value) if isinstance(value, ExactSum) else value


def with_one_nan_key(sums: dict[Any, Any], function: Callable[[Any, Any], Any] = exact_add) -> dict[Any, Any]:
    """Return a mapping in which keys that differ only in their NaN are one; `function` joins their values."""
    joined = joined_by_nan(sums, lambda values: reduce(function, map(_copied, values)))
    return sums if joined is None else joined


def with_results(sums: dict[Any, Any]) -> dict[Any, Any]:
    """Return a mapping with the result in place of each ExactSum."""
    return {key: value.result if isinstance(value, ExactSum) else value for key, value in sums.items()}


def to_plain(sums: dict[Any, Any]) -> list[list[Any]]:
    """Return a mapping as plain data: keys, values (None for an ExactSum), and indexes and plain data of the sums.

    Keys are a list, because the decoder interns the keys of a dict, which keeps them in memory.
    """
    values = [*sums.values()]
    exact = {index: value.plain for index, value in enumerate(values) if isinstance(value, ExactSum)}
    for index in exact:
        values[index] = None
    return [[*sums], values, [*exact], [*exact.values()]]


def from_plain(plain: Any, aggregator: object) -> dict[Any, Any]:
    """Return a mapping from its plain data.

    Raises:
        EncodingError: The data is not from `to_plain`.
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
