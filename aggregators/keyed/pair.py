"""Checks of pairs `(key, value)`, the entries of aggregators by key."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from elastic.aggregators.states.batching import batches
from elastic.core.errors import UsageError

_PAIRS = {tuple, list}

#: Maximum length of an entry in a message (characters).
_MAX_SHOWN = 60


def pairs_of(entries: Iterable[Any], aggregator: str) -> Iterator[Any]:
    """Return an iterator over entries that checks them as `check_pairs` does."""

    def checked(batch: list[Any]) -> list[Any]:
        check_pairs(batch, aggregator)
        return batch

    return chain.from_iterable(map(checked, batches(entries)))


def check_pairs(batch: list[Any], aggregator: str) -> None:
    """Refuse entries that are not pairs.

    Raises:
        UsageError: An entry is not a pair. The message shows it.
    """
    if set(map(type, batch)) <= _PAIRS and set(map(len, batch)) <= {2}:
        return
    for entry in batch:
        # A string of two characters could be unpacked as well, without an error.
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise UsageError(
                f"{aggregator} got {_shown(entry)}, which is not a pair (key, value); put key_by(function) before it"
            )


def _shown(entry: Any) -> str:
    shown = repr(entry)
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[: _MAX_SHOWN - 3]}..."
