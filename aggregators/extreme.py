"""Min and Max: the entry with the smallest or the greatest key."""

from collections.abc import Callable, Iterable
from typing import Any

from elastic.aggregators.batch import batches
from elastic.aggregators.saved_state import is_list, read_state
from elastic.aggregators.tie import Ranked, first_of
from elastic.core.aggregator import Aggregator
from elastic.core.callables import check_plain
from elastic.core.encoding import pack
from elastic.core.errors import UsageError


class Max(Aggregator[Any, "Ranked | None", Any]):
    """The entry with the greatest key; None when there are no entries.

    Of several entries with equal keys it is the one whose encoded bytes come first, so the order of entries does not
    matter. A key that is not equal to itself (NaN) counts only when there is no other.

    Args:
        key: Gives the key of an entry; without it the entry is its own. Keys are plain data that can be compared.

    Raises:
        UsageError: `key` cannot be called.
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
        extreme = self._extreme(keys)
        if extreme != extreme:
            ranked = list(zip(keys, batch, strict=True))
        elif keys.count(extreme) == 1:
            ranked = [(extreme, batch[keys.index(extreme)])]
        else:
            ranked = [(key, entry) for key, entry in zip(keys, batch, strict=True) if key == extreme]
        return self._choose(ranked if state is None else [state, *ranked])

    def _choose(self, ranked: list[Ranked]) -> Ranked:
        """Return the best of at least one; what is not equal to itself counts only when there is nothing else."""
        sound = [one for one in ranked if one[0] == one[0]]
        if not sound:
            return first_of(ranked)
        extreme = self._extreme(key for key, _ in sound)
        return first_of([one for one in sound if one[0] == extreme])


class Min(Max):
    """The entry with the smallest key; None when there are no entries. Ties, NaN, args and errors are as in `Max`."""

    _extreme = staticmethod(min)


def checked_key(aggregator: object, key: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """Return `key` if it is None or can be called."""
    if key is not None and not callable(key):
        raise UsageError(f"{type(aggregator).__name__} got the key {key!r}; pass a function of one entry, or none")
    check_plain(f"{type(aggregator).__name__}(key=)", key)
    return key
