"""Entries in lists: what is done to a list at once costs a fraction of what it costs entry by entry."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

#: Entries in a list. Larger gains nothing and takes memory.
BATCH_SIZE = 1 << 14


def batches(entries: Iterable[Any], size: int = BATCH_SIZE) -> Iterator[list[Any]]:
    """Yield all entries in order, in lists that the caller may keep and change."""
    iterator = iter(entries)
    while True:
        batch = list(islice(iterator, size))
        if batch:
            yield batch
        # A short list is the end, whatever comes after it: a `map` whose function raised StopIteration would go
        # on behind the entry that it lost, and nobody would notice.
        if len(batch) < size:
            return
