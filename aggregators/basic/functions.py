"""Aggregators of user functions.

FunctionAggregator: folds entries on the master with `aggregate(new, previous)`.

Reduce: folds entries anywhere with an associative function of two entries.
"""

import copy
import functools
from collections.abc import Callable, Iterable
from typing import Any

from elastic.aggregators.states.validation import ANY, read_state
from elastic.core.callables import check_plain
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import pack
from elastic.core.errors import LedgerError, UsageError
from elastic.core.transform import name_of


class FoldState:
    """State of a fold: the latest return value of the function, and the entries that it has not seen yet."""

    __slots__ = ("has_begun", "pending", "previous")

    def __init__(self, pending: list[Any], previous: Any = None, *, has_begun: bool = False) -> None:
        self.pending, self.previous, self.has_begun = pending, previous, has_begun

    @property
    def is_empty(self) -> bool:
        return not self.pending and not self.has_begun

    def fold_pending(self, aggregate: Callable[[Any, Any], Any]) -> None:
        """Call the function for all pending entries."""
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
                f"({type(error).__name__}: {error}); begin the function with `if previous is None: return new`"
            ) from error


class FunctionAggregator(Aggregator[Any, FoldState, Any]):
    """Aggregator that folds entries on the master, one after another in the order of the source, with a user function.

    Workers only collect entries, so use it for entries that are much smaller than their chunks. The return value of
    the function need not be plain data.

    Args:
        aggregate: Called as `aggregate(new, previous)`, where `previous` is the return value of the last call, and None
            in the first call. It may change `previous` and return it.

    Raises:
        UsageError: `aggregate` is not callable.
    """

    ordered = True

    def __init__(self, aggregate: Callable[[Any, Any], Any]) -> None:
        if not callable(aggregate):
            raise UsageError(f"{aggregate!r} cannot aggregate; pass a function aggregate(new, previous)")
        self.aggregate = aggregate

    def create(self) -> FoldState:
        return FoldState([])

    def add(self, state: FoldState, entry: Any) -> FoldState:
        state.pending.append(entry)
        return state

    def add_many(self, state: FoldState, entries: Iterable[Any]) -> FoldState:
        state.pending.extend(entries)
        return state

    def merge(self, state: FoldState, other: FoldState) -> FoldState:
        if other.is_empty:
            return state
        if state.is_empty:
            return other
        if other.has_begun:
            raise LedgerError(f"{self} must not merge entries that are folded already; they arrived out of order")
        state.pending += other.pending
        state.fold_pending(self.aggregate)
        return state

    def finish(self, state: FoldState) -> Any:
        # Neither the function, which may change its arguments, nor the user may change the state.
        previous, pending = copy.deepcopy((state.previous, state.pending))
        result = FoldState(pending, previous, has_begun=state.has_begun)
        result.fold_pending(self.aggregate)
        return result.previous

    def encode(self, state: FoldState) -> bytes:
        return pack([state.pending, state.previous, state.has_begun])

    def decode(self, data: bytes) -> FoldState:
        pending, previous, has_begun = read_state(data, [list, ANY, bool], self)
        return FoldState(pending, previous, has_begun=has_begun)

    def __str__(self) -> str:
        return f"FunctionAggregator({name_of(self.aggregate)})"


class Reduce(Aggregator[Any, list[Any], Any]):
    """Aggregator that folds entries by `function(one, other)`.

    The function must be associative: `f(f(a, b), c)` equals `f(a, f(b, c))`. Its return values are passed to it again,
    as either argument. It may change its first argument and return that, which changes an entry, as with
    `functools.reduce`. Addition of floats is not quite associative: the last digits depend on the grouping of entries
    (`Sum` is exact). If the arguments have different types, as in `lambda size, line: size + len(line)`, map the
    entries first or write an aggregator.

    Args:
        function: Folds two values into one.
        initial: Value before the first entry, used once, and the result without entries; None for no such value.
        commutative: Whether `f(a, b)` equals `f(b, a)`. If so, entries are folded as they arrive, which is faster.
            Otherwise they are folded in order.

    Raises:
        UsageError: `function` is not callable.
    """

    def __init__(self, function: Callable[[Any, Any], Any], initial: Any = None, *, commutative: bool = False) -> None:
        if not callable(function):
            raise UsageError(f"Reduce got {function!r}; pass a function of two entries, such as operator.add")
        check_plain("Reduce", function)
        self.function = function
        self.initial = initial
        self.ordered = not commutative

    def create(self) -> list[Any]:
        return []

    def add(self, state: list[Any], entry: Any) -> list[Any]:
        return [self.function(state[0], entry)] if state else [entry]

    def add_many(self, state: list[Any], entries: Iterable[Any]) -> list[Any]:
        iterator = iter(entries)
        for first in state or iterator:
            return [functools.reduce(self.function, iterator, first)]
        return state

    def merge(self, state: list[Any], other: list[Any]) -> list[Any]:
        return self.add(state, other[0]) if other else state

    def finish(self, state: list[Any]) -> Any:
        # Neither the function, which may change its arguments, nor the user may change the state.
        initial, folded = copy.deepcopy((self.initial, state))
        if initial is None:
            return folded[0] if folded else None
        return self.function(initial, folded[0]) if folded else initial

    def decode(self, data: bytes) -> list[Any]:
        folded: list[Any] = read_state(data, ([], [ANY]), self)
        return folded
