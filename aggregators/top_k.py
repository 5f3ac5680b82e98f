"""TopK: the entries with the greatest keys."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from typing import Any

from elastic.aggregators.batch import batches
from elastic.aggregators.extreme import checked_key
from elastic.aggregators.order import NOWHERE, ORDERED, is_ordered, ranks_of
from elastic.aggregators.saved_state import is_list, read_state
from elastic.aggregators.tie import Ranked, by_bytes
from elastic.core.aggregator import Aggregator
from elastic.core.encoding import pack
from elastic.core.errors import UsageError


class TopK(Aggregator[Any, list[Ranked], list[Any]]):
    """The `k` entries with the greatest keys as a list, greatest first; fewer when there are fewer entries.

    Entries with equal keys are listed in the order of their encoded bytes, so the order of entries does not matter.
    Entries whose key is NaN, or a tuple or list that holds NaN, come last. Times with a zone are compared by their
    instant.

    Args:
        k: How many entries, at least 1.
        key: Gives the key of an entry; without it the entry is its own. Keys are as those of `Max`.

    Raises:
        UsageError: `k` is not a whole number from 1 on, or `key` cannot be called.
        UnorderedKeyError: A key has no order, as with `Max`.
    """

    def __init__(self, k: int, key: Callable[[Any], Any] | None = None) -> None:
        if type(k) is not int or k < 1:
            raise UsageError(f"TopK got k={k!r}; pass a whole number from 1 on")
        self.k = k
        self.key = checked_key(self, key)

    def create(self) -> list[Ranked]:
        return []

    def add(self, state: list[Ranked], entry: Any) -> list[Ranked]:
        return self._join(state, [entry])

    def add_many(self, state: list[Ranked], entries: Iterable[Any]) -> list[Ranked]:
        for batch in batches(entries):
            state = self._join(state, batch)
        return state

    def merge(self, state: list[Ranked], other: list[Ranked]) -> list[Ranked]:
        return self._best([*state, *other])

    def undo(self, state: list[Ranked], other: list[Ranked]) -> Callable[[], list[Ranked]]:
        return lambda: state  # `merge` changes nothing

    def finish(self, state: list[Ranked]) -> list[Any]:
        return [entry for _, entry in state]

    def encode(self, state: list[Ranked]) -> bytes:
        return pack([list(ranked) for ranked in state])

    def decode(self, data: bytes) -> list[Ranked]:
        return [(key, entry) for key, entry in read_state(data, self, self._fits)]

    def _fits(self, state: Any) -> bool:
        return is_list(state) and len(state) <= self.k and all(is_list(ranked, 2) for ranked in state)

    def _join(self, state: list[Ranked], batch: list[Any]) -> list[Ranked]:
        keys = batch if self.key is None else list(map(self.key, batch))
        found = _not_below(state[-1][0], keys, batch) if len(state) == self.k else list(zip(keys, batch, strict=True))
        return self._best(state + found) if found else state

    def _best(self, ranked: list[Ranked]) -> list[Ranked]:
        keys = [key for key, _ in ranked]
        ranks = ranks_of(keys)
        rank_at = ranks.__getitem__
        places = range(len(keys)) if ranks is keys else [at for at in range(len(keys)) if rank_at(at) is not NOWHERE]
        best: list[Ranked] = []
        for _, group in groupby(sorted(places, key=rank_at, reverse=True), rank_at):
            if len(best) >= self.k:
                break
            ties = [ranked[at] for at in group]
            best += ties if len(ties) == 1 else sorted(ties, key=by_bytes)
        if len(best) < self.k and len(places) < len(ranked):
            best += sorted((one for rank, one in zip(ranks, ranked, strict=True) if rank is NOWHERE), key=by_bytes)
        return best[: self.k]

    def __str__(self) -> str:
        return f"TopK({self.k})"


def _not_below(least: Any, keys: list[Any], batch: list[Any]) -> list[Ranked]:
    """Return the entries whose keys are not less than another; all of them if Python's comparison may not tell."""
    if least == least and (type(least) in ORDERED or is_ordered([least, *keys])):
        # Of Decimals one may be NaN.
        with suppress(ArithmeticError):
            return [(key, entry) for key, entry in zip(keys, batch, strict=True) if key >= least]
    return list(zip(keys, batch, strict=True))
