"""Keys and integers as two columns: bytes that take no step for each of them to write or to read."""

import sys
from array import array
from collections.abc import Collection, Hashable
from typing import Any

from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError

#: Stands between texts.
_BETWEEN = "\0"

_INT64 = "q"


def pack_columns(keys: Collection[Hashable], numbers: Collection[Any]) -> bytes | None:
    """Return keys and integers as bytes, or None where a number is none, or takes more than 64 bits."""
    column = _column(numbers)
    return None if column is None else pack([_texts(keys), column])


def pack_utf8(keys: Collection[bytes], numbers: Collection[Any]) -> bytes | None:
    """Return what `pack_columns` makes of keys that are texts; these are their bytes in UTF-8."""
    column, between = _column(numbers), _BETWEEN.encode()
    if column is None:
        return None
    text = between.join(keys)
    is_one = keys and text.count(between) == len(keys) - 1
    return pack([text.decode() if is_one else [key.decode() for key in keys], column])


def unpack_columns(data: bytes) -> tuple[list[Hashable], list[int]] | None:
    """Return what `pack_columns` was given, or None where it has not made these bytes.

    Raises:
        EncodingError: The bytes are damaged.
    """
    plain = unpack(data)
    if type(plain) is not list or len(plain) != 2 or type(plain[1]) is not bytes:
        return None
    keys: Any = plain[0].split(_BETWEEN) if type(plain[0]) is str else plain[0]
    if type(keys) is not list or 8 * len(keys) != len(plain[1]):
        raise EncodingError("these bytes are no columns of keys and numbers")
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


def _texts(keys: Collection[Any]) -> str | list[Any]:
    """Return texts as one; a list of the keys where they are not all texts, or one could not be told from two."""
    try:
        text = _BETWEEN.join(keys)
    except TypeError:
        return list(keys)
    return text if text.count(_BETWEEN) == len(keys) - 1 else list(keys)
