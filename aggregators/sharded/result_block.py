"""Block of a sharded mapping: the keys of one bucket in order, and their values."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from elastic.aggregators.exact.nan import with_one_nan
from elastic.core.encoding import digest, pack, unpack
from elastic.core.errors import EncodingError

_SORTABLE = ({str}, {int})


def in_order(result: Mapping[Hashable, Any]) -> tuple[list[Any], list[Any]]:
    """Return keys and values, sorted by key; keys that are neither all str nor all int sort by their bytes."""
    keys: list[Any] = list(result)
    keys.sort(key=None if set(map(type, keys)) in _SORTABLE else pack)
    return keys, list(map(result.__getitem__, keys))


def merged(keys: list[Any], values: list[Any]) -> bytes:
    """Return a block as bytes, which are the same for equal keys and values.

    Raises:
        EncodingError: A value is not plain data.
    """
    if not set(map(type, values)) <= {int, float, str, bytes, bool, type(None)}:
        values = list(map(_canonical, values))
    return pack([keys, values])


def opened(data: bytes) -> tuple[list[Any], list[Any]]:
    """Return keys and values of a block.

    Raises:
        EncodingError: The bytes are not a block.
    """
    keys, values = unpack(data)
    if len(keys) != len(values):
        raise EncodingError(f"a block of a sharded result has {len(keys)} keys and {len(values)} values")
    normalized = with_one_nan(keys)
    # An earlier version kept several NaN keys apart, each with its value.
    is_kept = normalized is keys or len(set(normalized)) < len(keys)
    return (keys if is_kept else list(normalized)), values


def digest_of(contents: Iterable[tuple[int, bytes]]) -> str:
    """Return the digest of a sharded result in hexadecimal.

    Args:
        contents: Bucket and digest of each block, in the order of buckets.
    """
    return digest(pack([[bucket, content] for bucket, content in contents])).hex()


def _canonical(value: Any) -> Any:
    """Return a value as plain data, with sorted keys in its mappings."""
    if isinstance(value, dict):
        items = {key: _canonical(value[key]) for key in sorted(value, key=pack)}
        # Other mappings become plain dicts, because their classes have different constructors.
        return Counter(items) if type(value) is Counter else items
    if isinstance(value, list):
        return list(map(_canonical, value))
    if isinstance(value, tuple):
        return tuple(map(_canonical, value))
    return value
