"""Batches of entries: one call for a list costs a fraction of one call for each entry."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

#: Entries per batch. Larger batches need memory and are not faster.
BATCH_SIZE = 1 << 14


def batches(entries: Iterable[Any], size: int = BATCH_SIZE) -> Iterator[list[Any]]:
    """Yield all entries in order, in lists that the caller may keep and change."""
    iterator = iter(entries)
    while True:
        batch = list(islice(iterator, size))
        if batch:
            yield batch
        # A short batch is the end. A `map` whose function raised StopIteration would otherwise continue after the
        # entry that it lost, without an error.
        if len(batch) < size:
            return
