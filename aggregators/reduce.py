"""Reduce: a function of two folds all entries into one."""

import copy
import functools
from collections.abc import Callable, Iterable
from typing import Any

from elastic.aggregators.saved_state import is_list, read_state
from elastic.core.aggregator import Aggregator
from elastic.core.callables import check_plain
from elastic.core.errors import UsageError


class Reduce(Aggregator[Any, list[Any], Any]):
    """Folds entries by `function(one, other)`, which must be associative: `f(f(a, b), c)` equals `f(a, f(b, c))`.

    What it returns is given to it again, as either argument. It may change its first argument and return that; then it
    changes an entry, as with `functools.reduce`. Mind that adding floats is not quite associative: the
    last digits depend on how entries were grouped (`Sum` is exact). When the two arguments are of different kinds,
    as in `lambda size, line: size + len(line)`, map the entries first or write an aggregator.

    Args:
        function: Folds two into one.
        initial: Comes before the first entry, once, and is the result when there are no entries; None is left out.
        commutative: True says that `f(a, b)` equals `f(b, a)`, and entries are folded as they come, which is faster.
            Otherwise order is kept.

    Raises:
        UsageError: `function` cannot be called.
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
        # The function may change what it is given, and the user what they get: neither may reach the state.
        initial, folded = copy.deepcopy((self.initial, state))
        if initial is None:
            return folded[0] if folded else None
        return self.function(initial, folded[0]) if folded else initial

    def decode(self, data: bytes) -> list[Any]:
        folded: list[Any] = read_state(data, self, lambda state: is_list(state, 0, 1))
        return folded
