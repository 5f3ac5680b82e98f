"""Keys and integers as two columns: bytes that take no step for each of them to write or to read.

Plain data `[keys, numbers]`, or `[texts, numbers, count]` where all keys are texts: each of `texts` is some keys with a
zero character between two of them. `numbers` are 8 bytes each, little-endian.

Texts are joined and taken apart a part after another, so that what is worked on stays in a CPU's caches.
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

#: Stands between texts.
_BETWEEN = "\0"

_INT64 = "q"


TextT = TypeVar("TextT", str, bytes)


class TextColumn(Sequence[str]):
    """The keys of texts, which are taken apart when they are iterated.

    Args:
        texts: Keys with a zero character between two of them.
        count: How many keys there are.

    Raises:
        EncodingError: When they are iterated: there are more or fewer.
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

    def _parts(self) -> Iterator[list[str]]:
        missing = self._count
        for text in self._texts:
            part = text.split(_BETWEEN)
            missing -= len(part)
            if missing < 0:
                break
            yield part
        if missing:
            raise EncodingError("these bytes are not as many texts as they say")


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


def unpack_columns(data: bytes) -> tuple[Sequence[Hashable], list[int]] | None:
    """Return what `pack_columns` was given, or None where it has not made these bytes.

    Raises:
        EncodingError: The bytes are damaged; of texts this may be seen only when they are iterated.
    """
    plain = unpack(data)
    if type(plain) is not list or len(plain) not in (2, 3) or type(plain[1]) is not bytes:
        return None
    keys: Any = plain[0]
    if type(keys) is not list:
        raise EncodingError("these bytes are no columns of keys and numbers")
    if len(plain) == 3:
        if not set(map(type, keys)) <= {str} or not is_count(plain[2]):
            raise EncodingError("these bytes are no columns of texts and numbers")
        keys = TextColumn(keys, plain[2])
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
    texts = list[TextT]()
    # In one text of all keys, a single wide character would make each of the others take four bytes.
    for part in batches(keys, KEYS_AT_ONCE):
        try:
            text = between.join(part)
        except TypeError:
            return None
        if text.count(between) != len(part) - 1:
            return None
        texts.append(text)
    return texts
