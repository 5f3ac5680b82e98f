"""A plain function as aggregator: `aggregate(new, previous)`."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

from elastic.aggregators.saved_state import is_list, read_state
from elastic.core.aggregator import Aggregator
from elastic.core.encoding import pack
from elastic.core.errors import LedgerError, UsageError
from elastic.core.transform import name_of


class Folding:
    """What the function returned last, and the entries that it has not seen yet."""

    __slots__ = ("has_begun", "pending", "previous")

    def __init__(self, pending: list[Any], previous: Any = None, *, has_begun: bool = False) -> None:
        self.pending, self.previous, self.has_begun = pending, previous, has_begun

    @property
    def is_empty(self) -> bool:
        return not self.pending and not self.has_begun

    def go_on(self, aggregate: Callable[[Any, Any], Any]) -> None:
        """Call the function for all entries that it has not seen yet."""
        pending, self.pending = self.pending, []
        try:
            for new in pending:
                self.previous = aggregate(new, self.previous)
                self.has_begun = True
        except (TypeError, AttributeError) as error:
            if self.has_begun:
                raise
            raise UsageError(
                f"{name_of(aggregate)}(new, previous) failed on the first entry, for which previous is None "
                f"({type(error).__name__}: {error}); begin it with `if previous is None: return new`"
            ) from error


class FunctionAggregator(Aggregator[Any, Folding, Any]):
    """Folds entries on the master, one after another in the order of the source, with the user's function.

    Workers only gather entries, so this is for results that are much smaller than their chunks. What a function
    returns need not be plain data.

    Args:
        aggregate: Called as `aggregate(new, previous)`, where `previous` is what the last call returned; None the
            first time. It may change `previous` and return it.

    Raises:
        UsageError: `aggregate` cannot be called.
    """

    ordered = True

    def __init__(self, aggregate: Callable[[Any, Any], Any]) -> None:
        if not callable(aggregate):
            raise UsageError(f"{aggregate!r} cannot aggregate; pass a function aggregate(new, previous)")
        self.aggregate = aggregate

    def create(self) -> Folding:
        return Folding([])

    def add(self, state: Folding, entry: Any) -> Folding:
        state.pending.append(entry)
        return state

    def add_many(self, state: Folding, entries: Iterable[Any]) -> Folding:
        state.pending.extend(entries)
        return state

    def merge(self, state: Folding, other: Folding) -> Folding:
        if other.is_empty:
            return state
        if state.is_empty:
            return other
        if other.has_begun:
            raise LedgerError(f"{self} was to merge entries that it had folded already, out of order")
        state.pending += other.pending
        state.go_on(self.aggregate)
        return state

    def finish(self, state: Folding) -> Any:
        # The function may change what it is given, and the user what they get: neither may reach the state.
        previous, pending = copy.deepcopy((state.previous, state.pending))
        result = Folding(pending, previous, has_begun=state.has_begun)
        result.go_on(self.aggregate)
        return result.previous

    def encode(self, state: Folding) -> bytes:
        return pack([state.pending, state.previous, state.has_begun])

    def decode(self, data: bytes) -> Folding:
        pending, previous, has_begun = read_state(data, self, _fits)
        return Folding(pending, previous, has_begun=has_begun)

    def __str__(self) -> str:
        return f"FunctionAggregator({name_of(self.aggregate)})"


def _fits(state: Any) -> bool:
    return is_list(state, 3) and is_list(state[0]) and type(state[2]) is bool
