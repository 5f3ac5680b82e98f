"""Keys and integers as two columns: bytes that take no step for each of them to write or to read.

Plain data `[keys, numbers]`, or `[texts, numbers, count]` where all keys are texts: each of `texts` is some keys with a
zero character between two of them. `numbers` are 8 bytes each, little-endian.
"""

import sys
from array import array
from collections.abc import Collection, Hashable
from itertools import islice
from typing import Any, TypeVar

from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError

#: Stands between texts.
_BETWEEN = "\0"

#: Keys in one text. In one of all keys, a single wide character would make each of the others take four bytes.
_PART = 1 << 16

_INT64 = "q"


TextT = TypeVar("TextT", str, bytes)


def pack_columns(keys: Collection[Hashable], numbers: Collection[Any]) -> bytes | None:
    """Return keys and integers as bytes, or None where a number is none, or takes more than 64 bits."""
    column, texts = _column(numbers), _texts(keys, _BETWEEN)
    if column is None:
        return None
    return pack([list(keys), column] if texts is None else [texts, column, len(keys)])


def pack_utf8(keys: Collection[bytes], numbers: Collection[Any]) -> bytes | None:
    """Return what `pack_columns` makes of keys that are texts; these are their bytes in UTF-8."""
    column, texts = _column(numbers), _texts(keys, _BETWEEN.encode())
    if column is None:
        return None
    if texts is None:
        return pack([[key.decode() for key in keys], column])
    return pack([[text.decode() for text in texts], column, len(keys)])


def unpack_columns(data: bytes) -> tuple[list[Hashable], list[int]] | None:
    """Return what `pack_columns` was given, or None where it has not made these bytes.

    Raises:
        EncodingError: The bytes are damaged.
    """
    plain = unpack(data)
    if type(plain) is not list or len(plain) not in (2, 3) or type(plain[1]) is not bytes:
        return None
    keys: Any = plain[0]
    if type(keys) is not list:
        raise EncodingError("these bytes are no columns of keys and numbers")
    if len(plain) == 3:
        if not set(map(type, keys)) <= {str}:
            raise EncodingError("these bytes are no columns of texts and numbers")
        keys = [key for text in keys for key in text.split(_BETWEEN)]
        if len(keys) != plain[2]:
            raise EncodingError("these bytes are not as many texts as they say")
    if 8 * len(keys) != len(plain[1]):
        raise EncodingError("these bytes are not as many keys as numbers")
    column = array(_INT64, plain[1])
    if sys.byteorder == "big":
        column.byteswap()
    return keys, column.tolist()


def _column(numbers: Collection[Any]) -> bytes | None:
    try:
        column = array(_INT64, list(numbers))  # a list is of a known length
    except (TypeError, OverflowError):
        return None
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _texts(keys: Collection[Any], between: TextT) -> list[TextT] | None:
    """Return keys as texts; None where they are not all texts, or one could not be told from two."""
    remaining, texts = iter(keys), list[TextT]()
    while part := list(islice(remaining, _PART)):
        try:
            text = between.join(part)
        except TypeError:
            return None
        if text.count(between) != len(part) - 1:
            return None
        texts.append(text)
    return texts
