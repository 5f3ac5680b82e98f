"""MergeMappings: merges mappings into one dict."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from elastic.aggregators.exact.exact_add import (
    exact_add,
    fold,
    from_plain,
    to_plain,
    undo_fold,
    with_one_nan_key,
    with_results,
)
from elastic.core.callables import check_plain
from elastic.core.contracts.keyed_aggregator import KeyedAggregator
from elastic.core.encoding import pack, unpack
from elastic.core.errors import UsageError


class MergeMappings(KeyedAggregator[Mapping[Any, Any], dict[Any, Any], dict[Any, Any]]):
    """Aggregator that merges mappings into one dict; a function joins the values of a key.

    With `operator.add`, floats and Decimals are added exactly and rounded once, at the end. All other values are added
    as `+` does. All NaN of a type are one key, also inside tuples and frozensets.

    Args:
        function: Joins two values of a key. It must be associative, and return a new value instead of changing one.
        commutative: Whether `function(a, b)` equals `function(b, a)`, as for numbers, but not for strings and lists.
            If so, mappings are merged as they arrive, which is faster. Otherwise they are merged in order.

    Raises:
        UsageError: `function` is not callable, or an entry is not a mapping.
    """

    def __init__(self, function: Callable[[Any, Any], Any] = operator.add, *, commutative: bool = False) -> None:
        if not callable(function):
            raise UsageError(f"MergeMappings got {function!r}; pass a function of two values, such as operator.add")
        check_plain("MergeMappings", function)
        self.function = function
        self.ordered = not commutative

    @property
    def _join(self) -> Callable[[Any, Any], Any]:
        return exact_add if self.function is operator.add else self.function

    def create(self) -> dict[Any, Any]:
        return {}

    def add(self, state: dict[Any, Any], entry: Mapping[Any, Any]) -> dict[Any, Any]:
        if not isinstance(entry, Mapping):
            raise UsageError(f"MergeMappings got an entry of type {type(entry).__name__}; map entries to dicts first")
        fold(state, entry.items(), self._join)
        return state

    def merge(self, state: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
        fold(state, other.items(), self._join)
        return state

    def undo(self, state: dict[Any, Any], other: dict[Any, Any]) -> Callable[[], dict[Any, Any]]:
        return undo_fold(state, other)

    def merge_values(self, one: Any, other: Any) -> Any:
        return self._join(one, other)

    def finish(self, state: dict[Any, Any]) -> dict[Any, Any]:
        return with_results(with_one_nan_key(state, self._join))

    def encode(self, state: dict[Any, Any]) -> bytes:
        return pack(to_plain(with_one_nan_key(state, self._join)))

    def decode(self, data: bytes) -> dict[Any, Any]:
        return from_plain(unpack(data), self)
