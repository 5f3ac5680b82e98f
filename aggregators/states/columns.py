"""Codec of keys and integers as two columns, which needs no step of Python for each key.

The plain data is `[keys, numbers]`, or `[strings, numbers, count]` if all keys are strings. Each of `strings` joins
some keys with a zero character between them. `numbers` have 8 bytes each, little-endian.

Keys are joined and split in parts, so that each part stays in the CPU's caches.
"""

import sys
from array import array
from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar, overload

from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import KEYS_AT_ONCE, is_count
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError
from elastic.core.type_registry import has_registered_text

#: Separator of joined keys.
_SEPARATOR = "\0"

_INT64 = "q"

#: Minimum number of bytes that `pack_joined` writes as one string.
_JOINED_BYTES = 1 << 14


TextT = TypeVar("TextT", str, bytes)


class TextColumn(Sequence[str]):
    """Sequence of keys that splits joined strings while it is iterated.

    Args:
        texts: Joined keys, with a zero character between them.
        count: Number of keys.

    Raises:
        EncodingError: During iteration, the number of keys differs from `count`.
    """

    def __init__(self, texts: list[str], count: int) -> None:
        self._texts = texts
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._parts())

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return list(self)[index]

    @property
    def joined(self) -> str:
        """All keys, joined by zero characters."""
        return _SEPARATOR.join(self._texts)

    def _parts(self) -> Iterator[list[str]]:
        missing = self._count
        for text in self._texts:
            part = text.split(_SEPARATOR)
            missing -= len(part)
            if missing < 0:
                break
            yield part
        if missing:
            raise EncodingError("the number of strings in these bytes differs from their count")


def pack_columns(keys: Collection[Hashable], numbers: Collection[Any]) -> bytes | None:
    """Return keys and integers as bytes, or None if a number is not an int or exceeds 64 bits."""
    column, texts = _column(numbers), _texts(keys, _SEPARATOR)
    if column is None:
        return None
    return pack([list(keys), column] if texts is None else [texts, column, len(keys)])


def pack_utf8(keys: Collection[bytes], numbers: Collection[Any]) -> bytes | None:
    """Return the bytes of `pack_columns` for string keys, which are given as UTF-8."""
    column, texts = _column(numbers), _texts(keys, _SEPARATOR.encode())
    if column is None:
        return None
    if texts is None:
        return pack([[key.decode() for key in keys], column])
    return pack([[text.decode() for text in texts], column, len(keys)])


def pack_joined(keys: bytes, numbers: Sequence[int], count: int) -> bytes | None:
    """Return the bytes of `pack_columns` for `count` string keys in UTF-8, which are joined by zero characters already.

    None if a key contains a zero character, or as for `pack_columns`.
    """
    column, between = _column(numbers), _SEPARATOR.encode()
    if column is None or keys.count(between) != max(count - 1, 0):
        return None
    texts, start = list[str](), 0
    while count and start <= len(keys):
        stop = keys.find(between, start + _JOINED_BYTES)
        stop = len(keys) if stop < 0 else stop
        texts.append(keys[start:stop].decode())
        start = stop + 1
    return pack([texts, column, count])


def unpack_columns(data: bytes) -> tuple[Sequence[Hashable], list[int]] | None:
    """Return keys and integers from bytes, or None if `pack_columns` did not write them.

    Raises:
        EncodingError: The bytes are damaged. Damage in string keys may show only while they are iterated.
    """
    plain = unpack(data)
    if type(plain) is not list or len(plain) not in (2, 3) or type(plain[1]) is not bytes:
        return None
    keys: Any = plain[0]
    if type(keys) is not list:
        raise EncodingError("these bytes are not columns of keys and numbers")
    if len(plain) == 3:
        if not set(map(type, keys)) <= {str} or not is_count(plain[2]):
            raise EncodingError("these bytes are not columns of strings and numbers")
        keys = TextColumn(keys, plain[2])
    if 8 * len(keys) != len(plain[1]):
        raise EncodingError("the numbers of keys and integers in these bytes differ")
    column = array(_INT64, plain[1])
    if sys.byteorder == "big":
        column.byteswap()
    return keys, column.tolist()


def _column(numbers: Collection[Any]) -> bytes | None:
    try:
        column = array(_INT64, list(numbers))  # array allocates once for a list
    except (TypeError, OverflowError):
        return None
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _texts(keys: Collection[Any], between: TextT) -> list[TextT] | None:
    """Return joined keys, or None if a key is not a string or contains the separator."""
    texts = list[TextT]()
    may_have_class = has_registered_text()
    # Several strings, because a single wide character makes all characters of its string take four bytes.
    for part in batches(keys, KEYS_AT_ONCE):
        if may_have_class and not set(map(type, part)) <= {str, bytes}:
            return None
        try:
            text = between.join(part)
        except TypeError:
            return None
        if text.count(between) != len(part) - 1:
            return None
        texts.append(text)
    return texts
