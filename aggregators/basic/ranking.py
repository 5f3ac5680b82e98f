"""Min and Max: the entry with the smallest or the largest key.

TopK: the entries with the largest keys.

Entries with equal keys are ordered by their encoded bytes, so a result does not depend on the order of entries.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any

from elastic.aggregators.exact.total_order import ORDERED, UNORDERED, is_ordered, ranks_of
from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import ANY, ListOf, read_state
from elastic.core.callables import check_plain
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import pack
from elastic.core.errors import UsageError

#: `(key, entry)`. The state has the key, so that the user's function is called once for each entry, on its worker.
Ranked = tuple[Any, Any]

key_of = itemgetter(0)


def encoded_order(ranked: Ranked) -> bytes:
    """Return the sort key of ties: the encoded entry and the encoded key, which differs for 1 and 1.0."""
    key, entry = ranked
    return pack([entry, key])


def first_of(ties: list[Ranked]) -> Ranked:
    """Return the first of several ties, without encoding a single one."""
    return ties[0] if len(ties) == 1 else min(ties, key=encoded_order)


class Max(Aggregator[Any, "Ranked | None", Any]):
    """Aggregator of the entry with the largest key; None without entries.

    Of several entries with equal keys it is the one with the smallest encoded bytes, so the order of entries does not
    matter. A key that is NaN, or a tuple or list with NaN, counts only if there is no other. Times with a zone are
    compared by their instant.

    Args:
        key: Returns the key of an entry; by default the entry is its own key. Keys are numbers, strings, bytes, times,
            UUIDs, or tuples or lists of these.

    Raises:
        UsageError: `key` is not callable.
        UnorderedKeyError: A key has another type, such as None, a set, a dict or a complex number.
    """

    _extreme: Callable[..., Any] = staticmethod(max)

    def __init__(self, key: Callable[[Any], Any] | None = None) -> None:
        self.key = valid_key(self, key)

    def create(self) -> Ranked | None:
        return None

    def add(self, state: Ranked | None, entry: Any) -> Ranked | None:
        return self._best(state, [entry])

    def add_many(self, state: Ranked | None, entries: Iterable[Any]) -> Ranked | None:
        for batch in batches(entries):
            state = self._best(state, batch)
        return state

    def merge(self, state: Ranked | None, other: Ranked | None) -> Ranked | None:
        ranked = [one for one in (state, other) if one is not None]
        return self._choose(ranked) if ranked else None

    def undo(self, state: Ranked | None, other: Ranked | None) -> Callable[[], Ranked | None]:
        return lambda: state  # `merge` changes nothing

    def finish(self, state: Ranked | None) -> Any:
        return None if state is None else state[1]

    def encode(self, state: Ranked | None) -> bytes:
        return pack([] if state is None else list(state))

    def decode(self, data: bytes) -> Ranked | None:
        saved = read_state(data, ([], [ANY, ANY]), self)
        return (saved[0], saved[1]) if saved else None

    def of_words(self) -> Aggregator[Any, Any, Any] | None:
        # Imported here: a flow without frames needs no Polars.
        from elastic.aggregators.frames.word_reduction import WordReduction

        if type(self) not in (Max, Min) or self.key is not None:
            return None
        # The order of UTF-8 is that of the strings. Both extremes, because the class decides which of them counts.
        return WordReduction(
            self, lambda state, words: self.add_many(state, (words.min(), words.max()) if len(words) else ())
        )

    def _best(self, state: Ranked | None, batch: list[Any]) -> Ranked:
        keys = batch if self.key is None else list(map(self.key, batch))
        extreme = self._python_extreme(keys)
        if extreme is UNORDERED:
            ranked = list(zip(keys, batch, strict=True))
        elif keys.count(extreme) == 1:
            ranked = [(extreme, batch[keys.index(extreme)])]
        else:
            ranked = [(key, entry) for key, entry in zip(keys, batch, strict=True) if key == extreme]
        return self._choose(ranked if state is None else [state, *ranked])

    def _choose(self, ranked: list[Ranked]) -> Ranked:
        """Return the best of at least one entry; unordered keys count only if there are no others."""
        keys = [key for key, _ in ranked]
        ranks = ranks_of(keys)
        ordered = keys if ranks is keys else [rank for rank in ranks if rank is not UNORDERED]
        if not ordered:
            return first_of(ranked)
        extreme = self._extreme(ordered)
        return first_of([one for rank, one in zip(ranks, ranked, strict=True) if rank == extreme])

    def _python_extreme(self, keys: list[Any]) -> Any:
        """Return the extreme from Python's min or max, or UNORDERED if it may depend on the order of keys."""
        try:
            extreme = self._extreme(keys)
        except ArithmeticError:  # Decimals, and one of them is NaN
            return UNORDERED
        is_total = type(extreme) in ORDERED or is_ordered(keys)
        return extreme if is_total and extreme == extreme else UNORDERED


class Min(Max):
    """Aggregator of the entry with the smallest key; None without entries. The rest is as in `Max`."""

    _extreme = staticmethod(min)


def valid_key(aggregator: object, key: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """Return `key`, which must be None or callable."""
    if key is not None and not callable(key):
        raise UsageError(f"{type(aggregator).__name__} got the key {key!r}; pass a function of one entry, or none")
    check_plain(f"{type(aggregator).__name__}(key=)", key)
    return key


class TopK(Aggregator[Any, list[Ranked], list[Any]]):
    """Aggregator of the `k` entries with the largest keys as a list, in descending order; fewer if there are fewer.

    Entries with equal keys are sorted by their encoded bytes, so the order of entries does not matter. Entries with a
    key that is NaN, or a tuple or list with NaN, come last. Times with a zone are compared by their instant.

    Args:
        k: Number of entries, at least 1.
        key: Returns the key of an entry; by default the entry is its own key. Keys are as those of `Max`.

    Raises:
        UsageError: `k` is not a whole number from 1 on, or `key` is not callable.
        UnorderedKeyError: A key has no order, as with `Max`.
    """

    def __init__(self, k: int, key: Callable[[Any], Any] | None = None) -> None:
        if type(k) is not int or k < 1:
            raise UsageError(f"TopK got k={k!r}; pass a whole number from 1 on")
        self.k = k
        self.key = valid_key(self, key)

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
        shape = ListOf([ANY, ANY], max_length=self.k)
        return [(key, entry) for key, entry in read_state(data, shape, self)]

    def _join(self, state: list[Ranked], batch: list[Any]) -> list[Ranked]:
        keys = batch if self.key is None else list(map(self.key, batch))
        found = _not_below(state[-1][0], keys, batch) if len(state) == self.k else list(zip(keys, batch, strict=True))
        return self._best(state + found) if found else state

    def _best(self, ranked: list[Ranked]) -> list[Ranked]:
        keys = [key for key, _ in ranked]
        ranks = ranks_of(keys)
        rank_at = ranks.__getitem__
        places = range(len(keys)) if ranks is keys else [at for at in range(len(keys)) if rank_at(at) is not UNORDERED]
        best: list[Ranked] = []
        for _, group in groupby(sorted(places, key=rank_at, reverse=True), rank_at):
            if len(best) >= self.k:
                break
            ties = [ranked[at] for at in group]
            best += ties if len(ties) == 1 else sorted(ties, key=encoded_order)
        if len(best) < self.k and len(places) < len(ranked):
            best += sorted(
                (one for rank, one in zip(ranks, ranked, strict=True) if rank is UNORDERED), key=encoded_order
            )
        return best[: self.k]

    def __str__(self) -> str:
        return f"TopK({self.k})"


def _not_below(bound: Any, keys: list[Any], batch: list[Any]) -> list[Ranked]:
    """Return the entries whose keys are at least `bound`; all entries if Python's comparison is unreliable."""
    if bound == bound and (type(bound) in ORDERED or is_ordered([bound, *keys])):
        # A Decimal may be NaN.
        with suppress(ArithmeticError):
            return [(key, entry) for key, entry in zip(keys, batch, strict=True) if key >= bound]
    return list(zip(keys, batch, strict=True))
