"""Reading states back: bytes are not trusted, so what they hold is looked at before it is used."""

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Any

from elastic.core.encoding import unpack
from elastic.core.errors import EncodingError

#: Keys that go into a mapping at once, or into one text: other threads stand still while Python fills a mapping, and so
#: many are still in a CPU's caches when they are looked up.
KEYS_AT_ONCE = 1 << 10


def read_state(data: bytes, aggregator: object, fits: Callable[[Any], bool]) -> Any:
    """Return the plain data of a state if `fits` says that it is one.

    Raises:
        EncodingError: It is not.
    """
    state = unpack(data)
    if not fits(state):
        raise EncodingError(f"these bytes are not a state of {aggregator}; was it saved by another aggregator?")
    return state


def is_list(state: Any, *lengths: int) -> bool:
    """Say whether a state is a list, of one of these lengths if any are given."""
    return type(state) is list and (not lengths or len(state) in lengths)


def is_count(number: Any) -> bool:
    return type(number) is int and number >= 0


def read_mapping(keys: Collection[Any], values: Iterable[Any], aggregator: object) -> dict[Any, Any]:
    """Return the mapping of these keys to these values.

    Raises:
        EncodingError: A key is not hashable or there twice, or there are not as many values.
    """
    mapping: dict[Any, Any] = {}
    try:
        pairs = zip(keys, values, strict=True)
        # The last part, be it empty, finds that there are as many values.
        for _ in range(0, len(keys) + 1, KEYS_AT_ONCE):
            mapping.update(islice(pairs, KEYS_AT_ONCE))
    except (TypeError, ValueError) as error:
        raise EncodingError(f"these bytes are not a state of {aggregator} ({error})") from error
    if len(mapping) < len(keys):
        raise EncodingError(f"these bytes are not a state of {aggregator} (a key is there twice)")
    return mapping
