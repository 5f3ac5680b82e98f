"""Counts by string, whose strings are bytes in UTF-8 until they are read."""

from collections.abc import Iterable, Iterator
from heapq import nlargest
from itertools import chain
from operator import itemgetter

from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import KEYS_AT_ONCE
from elastic.core.lazy_counter import CountTable


class Utf8Table(CountTable):
    """Table over a dict from strings in UTF-8 to counts, which must not change from now on.

    Args:
        counts: The dict.
    """

    def __init__(self, counts: dict[bytes, int]) -> None:
        self._counts = counts

    def __len__(self) -> int:
        return len(self._counts)

    def total(self) -> int:
        return sum(self._counts.values())

    def count_of(self, key: str) -> int | None:
        try:
            return self._counts.get(key.encode())
        except UnicodeEncodeError:
            return None  # half a surrogate pair, which no UTF-8 has

    def most_common(self, number: int) -> list[tuple[str, int]]:
        common = nlargest(number, self._counts.items(), key=itemgetter(1))
        return [(word.decode(), count) for word, count in common]

    def items(self) -> Iterable[tuple[str, int]]:
        return zip(strings_of(self._counts), self._counts.values(), strict=True)


def strings_of(keys: Iterable[bytes]) -> Iterator[str]:
    """Yield strings that are given in UTF-8; one call decodes many of them."""
    return chain.from_iterable(map(_decoded, batches(keys, KEYS_AT_ONCE)))


def _decoded(keys: list[bytes]) -> list[str]:
    texts = b"\0".join(keys).decode().split("\0")
    return texts if len(texts) == len(keys) else [key.decode() for key in keys]
