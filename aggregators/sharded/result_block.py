"""A block of a wide result: the keys of a bucket in order, and the value of each."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from elastic.aggregators.exact.nan import with_one_nan
from elastic.core.encoding import digest, pack, unpack
from elastic.core.errors import EncodingError

_SORTABLE = ({str}, {int})


def in_order(result: Mapping[Hashable, Any]) -> tuple[list[Any], list[Any]]:
    """Return keys and values in the order of the keys: that of texts or integers, or else of their bytes."""
    keys: list[Any] = list(result)
    keys.sort(key=None if set(map(type, keys)) in _SORTABLE else pack)
    return keys, list(map(result.__getitem__, keys))


def merged(keys: list[Any], values: list[Any]) -> bytes:
    """Return the bytes of a block: the same for equal keys and values.

    Raises:
        EncodingError: A value is not plain data.
    """
    if not set(map(type, values)) <= {int, float, str, bytes, bool, type(None)}:
        values = list(map(_canonical, values))
    return pack([keys, values])


def opened(data: bytes) -> tuple[list[Any], list[Any]]:
    """Return keys and values of a block.

    Raises:
        EncodingError: It is none.
    """
    keys, values = unpack(data)
    if len(keys) != len(values):
        raise EncodingError("a block of a wide result has not as many values as keys")
    ours = with_one_nan(keys)
    # An earlier version kept several apart, each with its value.
    return (keys if ours is keys or len(set(ours)) < len(keys) else list(ours)), values


def digest_of(contents: Iterable[tuple[int, bytes]]) -> str:
    """Return the digest of a wide result, in hexadecimal letters.

    Args:
        contents: Bucket and digest of each block, in the order of buckets.
    """
    return digest(pack([[bucket, content] for bucket, content in contents])).hex()


def _canonical(value: Any) -> Any:
    """Return what is kept of a value, with its mappings in order."""
    if isinstance(value, dict):
        items = {key: _canonical(value[key]) for key in sorted(value, key=pack)}
        # Others are kept as plain dicts; their classes want to be called in ways of their own.
        return Counter(items) if type(value) is Counter else items
    if isinstance(value, list):
        return list(map(_canonical, value))
    if isinstance(value, tuple):
        return tuple(map(_canonical, value))
    return value
