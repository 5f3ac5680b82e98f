"""Min and Max: the entry with the smallest or the greatest key."""

from collections.abc import Callable, Iterable
from typing import Any

from elastic.aggregators.batch import batches
from elastic.aggregators.order import NOWHERE, ORDERED, is_ordered, ranks_of
from elastic.aggregators.saved_state import is_list, read_state
from elastic.aggregators.tie import Ranked, first_of
from elastic.core.aggregator import Aggregator
from elastic.core.callables import check_plain
from elastic.core.encoding import pack
from elastic.core.errors import UsageError


class Max(Aggregator[Any, "Ranked | None", Any]):
    """The entry with the greatest key; None when there are no entries.

    Of several entries with equal keys it is the one whose encoded bytes come first, so the order of entries does not
    matter. A key that is NaN, or a tuple or list that holds NaN, counts only when there is no other. Times with a zone
    are compared by their instant.

    Args:
        key: Gives the key of an entry; without it the entry is its own. Keys are numbers, texts, bytes, times, UUIDs,
            or tuples or lists of these.

    Raises:
        UsageError: `key` cannot be called.
        UnorderedKeyError: A key is something else: None, a set, a dict, a complex number ...
    """

    _extreme: Callable[..., Any] = staticmethod(max)

    def __init__(self, key: Callable[[Any], Any] | None = None) -> None:
        self.key = checked_key(self, key)

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
        saved = read_state(data, self, lambda state: is_list(state, 0, 2))
        return (saved[0], saved[1]) if saved else None

    def _best(self, state: Ranked | None, batch: list[Any]) -> Ranked:
        keys = batch if self.key is None else list(map(self.key, batch))
        extreme = self._python_extreme(keys)
        if extreme is NOWHERE:
            ranked = list(zip(keys, batch, strict=True))
        elif keys.count(extreme) == 1:
            ranked = [(extreme, batch[keys.index(extreme)])]
        else:
            ranked = [(key, entry) for key, entry in zip(keys, batch, strict=True) if key == extreme]
        return self._choose(ranked if state is None else [state, *ranked])

    def _choose(self, ranked: list[Ranked]) -> Ranked:
        """Return the best of at least one; what has no place in the order counts only when there is nothing else."""
        keys = [key for key, _ in ranked]
        ranks = ranks_of(keys)
        sound = keys if ranks is keys else [rank for rank in ranks if rank is not NOWHERE]
        if not sound:
            return first_of(ranked)
        extreme = self._extreme(sound)
        return first_of([one for rank, one in zip(ranks, ranked, strict=True) if rank == extreme])

    def _python_extreme(self, keys: list[Any]) -> Any:
        """Return the extreme that Python finds, or NOWHERE if it may depend on the order of keys."""
        try:
            extreme = self._extreme(keys)
        except ArithmeticError:  # Decimals, and one of them is NaN
            return NOWHERE
        is_total = type(extreme) in ORDERED or is_ordered(keys)
        return extreme if is_total and extreme == extreme else NOWHERE


class Min(Max):
    """The entry with the smallest key; None when there are no entries. Ties, NaN, args and errors are as in `Max`."""

    _extreme = staticmethod(min)


def checked_key(aggregator: object, key: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """Return `key` if it is None or can be called."""
    if key is not None and not callable(key):
        raise UsageError(f"{type(aggregator).__name__} got the key {key!r}; pass a function of one entry, or none")
    check_plain(f"{type(aggregator).__name__}(key=)", key)
    return key
