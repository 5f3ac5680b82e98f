"""Validation of states that were read from bytes, which are not trusted."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from elastic.core.encoding import unpack
from elastic.core.errors import EncodingError

#: Keys that are added to a mapping, or joined into one string, in one call: while Python fills a mapping, other threads
#: wait, and this many keys are still in the CPU's caches when they are looked up.
KEYS_AT_ONCE = 1 << 10

#: Shape of every value.
ANY = object()


@dataclass(frozen=True, slots=True)
class ListOf:
    """Shape of a list whose items all have one shape."""

    item: Any
    max_length: int | None = None


def has_shape(value: Any, shape: Any) -> bool:
    """Return whether plain data has a shape.

    Args:
        value: The data.
        shape: A type for its instances, without those of subclasses; a string or None for an equal value; a list of
            shapes for a list of this length; `ListOf` for a list of any length; a tuple of alternative shapes; `ANY`;
            or a function that returns whether a value has the shape.
    """
    if shape is ANY:
        return True
    if shape is None or isinstance(shape, str):
        return type(value) is type(shape) and bool(value == shape)
    if isinstance(shape, type):
        return type(value) is shape
    if isinstance(shape, tuple):
        return any(has_shape(value, alternative) for alternative in shape)
    if isinstance(shape, list):
        return type(value) is list and len(value) == len(shape) and all(map(has_shape, value, shape))
    if isinstance(shape, ListOf):
        return _is_list_of(value, shape)
    return bool(shape(value))


def check_state(state: Any, shape: Any, aggregator: object) -> Any:
    """Return the plain data of a state.

    Raises:
        EncodingError: The data does not have the shape, which `has_shape` describes.
    """
    if not has_shape(state, shape):
        raise EncodingError(f"these bytes are not a state of {aggregator}; was it saved by another aggregator?")
    return state


def read_state(data: bytes, shape: Any, aggregator: object) -> Any:
    """Return the plain data of an encoded state. Raise as `check_state` does."""
    return check_state(unpack(data), shape, aggregator)


def is_count(number: Any) -> bool:
    """Return whether a value is an int from 0 on."""
    return type(number) is int and number >= 0


def read_mapping(keys: Collection[Any], values: Iterable[Any], aggregator: object) -> dict[Any, Any]:
    """Return a mapping from keys to values.

    Raises:
        EncodingError: A key is unhashable or repeated, or the numbers of keys and values differ.
    """
    mapping: dict[Any, Any] = {}
    try:
        pairs = zip(keys, values, strict=True)
        # The last slice, which may be empty, makes zip compare the lengths.
        for _ in range(0, len(keys) + 1, KEYS_AT_ONCE):
            mapping.update(islice(pairs, KEYS_AT_ONCE))
    except (TypeError, ValueError) as error:
        raise EncodingError(f"these bytes are not a state of {aggregator} ({error})") from error
    if len(mapping) < len(keys):
        raise EncodingError(f"these bytes are not a state of {aggregator} (a key is repeated)")
    return mapping


def _is_list_of(value: Any, shape: ListOf) -> bool:
    if type(value) is not list or (shape.max_length is not None and len(value) > shape.max_length):
        return False
    if isinstance(shape.item, type):
        return set(map(type, value)) <= {shape.item}  # one step of Python, however long the list is
    return all(has_shape(item, shape.item) for item in value)
