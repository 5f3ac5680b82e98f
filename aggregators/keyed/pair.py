"""Pairs `(key, value)`: what aggregators by key take."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from elastic.aggregators.states.batching import batches
from elastic.core.errors import UsageError

_PAIRS = {tuple, list}

_SHOWN = 60


def pairs_of(entries: Iterable[Any], aggregator: str) -> Iterator[Any]:
    """Return an iterator over entries that refuses those that are no pairs, as `check_pairs` does."""

    def checked(batch: list[Any]) -> list[Any]:
        check_pairs(batch, aggregator)
        return batch

    return chain.from_iterable(map(checked, batches(entries)))


def check_pairs(batch: list[Any], aggregator: str) -> None:
    """Refuse entries that are no pairs.

    Raises:
        UsageError: One of them is none; shows it.
    """
    if set(map(type, batch)) <= _PAIRS and set(map(len, batch)) <= {2}:
        return
    for entry in batch:
        # A string of two characters could be taken apart as well, and nobody would notice.
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise UsageError(
                f"{aggregator} got {_shown(entry)}, which is not a pair (key, value); put key_by(function) before it"
            )


def _shown(entry: Any) -> str:
    text = repr(entry)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
