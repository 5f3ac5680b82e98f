"""Latest: the last entry, in the order of the source or by a time that entries carry."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from elastic.aggregators.extreme import Max
from elastic.aggregators.tie import Ranked


class Latest(Max):
    """The entry that comes last; None when there are no entries.

    Without `by` it is the last entry of the source, which makes this aggregator `ordered`. With `by` it is the entry
    for which `by(entry)` is greatest, for example its time; order does not matter then, and ties are settled as in
    `Max`.

    Raises:
        UsageError: `by` cannot be called.
        UnorderedKeyError: What `by` gives has no order, as with `Max`.
    """

    def __init__(self, by: Callable[[Any], Any] | None = None) -> None:
        super().__init__(by)
        self.ordered = by is None

    def add(self, state: Ranked | None, entry: Any) -> Ranked | None:
        return (None, entry) if self.ordered else super().add(state, entry)

    def add_many(self, state: Ranked | None, entries: Iterable[Any]) -> Ranked | None:
        if not self.ordered:
            return super().add_many(state, entries)
        last = deque(entries, maxlen=1)
        return (None, last[0]) if last else state

    def merge(self, state: Ranked | None, other: Ranked | None) -> Ranked | None:
        if not self.ordered:
            return super().merge(state, other)
        return state if other is None else other
