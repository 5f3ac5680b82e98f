"""Sum, mean, variance and standard deviation, from exact sums that are rounded once.

So the last digits do not depend on the order of entries.
"""

from collections.abc import Callable, Iterable
from copy import copy
from decimal import Decimal
from fractions import Fraction
from typing import Any

from elastic.aggregators.exact.exact_sum import ExactSum
from elastic.aggregators.exact.numbers import as_kind, root
from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import ANY, is_count, read_state
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import pack, unpack
from elastic.core.errors import UsageError


class Moments:
    """State of Mean and Variance: the number of entries, their exact sum, and for Variance the sum of their squares."""

    __slots__ = ("size", "squares", "total")

    def __init__(self, size: int, total: ExactSum, squares: ExactSum | None) -> None:
        self.size, self.total, self.squares = size, total, squares

    def add(self, numbers: list[Any]) -> None:
        self.size += len(numbers)
        self.total.add(numbers)
        if self.squares is not None:
            self.squares.add_squares(numbers)

    def merge(self, other: "Moments") -> None:
        self.size += other.size
        self.total.merge(other.total)
        if self.squares is not None and other.squares is not None:
            self.squares.merge(other.squares)


class Mean(Aggregator[Any, Moments, Any]):
    """Aggregator of the arithmetic mean, exact and rounded once; None without entries.

    Integers and floats give a float, Decimals a Decimal of 28 digits, Fractions a Fraction. NaN, or infinities of both
    signs, give NaN; infinities of one sign give that infinity.

    Raises:
        UsageError: An entry is not a number that can be added exactly.
    """

    _squares = False

    def create(self) -> Moments:
        return Moments(0, ExactSum(), ExactSum() if self._squares else None)

    def add(self, state: Moments, entry: Any) -> Moments:
        state.add([entry])
        return state

    def add_many(self, state: Moments, entries: Iterable[Any]) -> Moments:
        for batch in batches(entries):
            state.add(batch)
        return state

    def merge(self, state: Moments, other: Moments) -> Moments:
        state.merge(other)
        return state

    def undo(self, state: Moments, other: Moments) -> Callable[[], Moments]:
        before = Moments(state.size, copy(state.total), copy(state.squares))
        return lambda: before

    def finish(self, state: Moments) -> Any:
        if not state.size:
            return None
        infinite = state.total.infinite
        return as_kind(state.total.exact / state.size, _kind(state)) if infinite is None else infinite

    def encode(self, state: Moments) -> bytes:
        squares = [] if state.squares is None else [state.squares.plain]
        return pack([state.size, state.total.plain, *squares])

    def decode(self, data: bytes) -> Moments:
        shape = [is_count, ANY, ANY] if self._squares else [is_count, ANY]
        size, *totals = read_state(data, shape, self)
        total, squares = [*map(ExactSum.of, totals), None][:2]
        return Moments(size, total or ExactSum(), squares)


class Variance(Mean):
    """Aggregator of the variance, exact and rounded once; None if there are at most `ddof` entries.

    The types are those of `Mean`. NaN or infinite entries give NaN. A variance beyond the largest float is infinite.

    Args:
        ddof: Number to subtract from the number of entries: 1 if the entries are a sample of a population, 0 if they
            are the population.

    Raises:
        UsageError: `ddof` is not a whole number from 0 on, or an entry is not a number that can be added exactly.
    """

    _squares = True

    def __init__(self, ddof: int = 1) -> None:
        if type(ddof) is not int or ddof < 0:
            raise UsageError(f"ddof is {ddof!r}; it must be a whole number from 0 on (1 for a sample)")
        self.ddof = ddof

    def finish(self, state: Moments) -> Any:
        exact = self._exact(state)
        return as_kind(exact, _kind(state)) if isinstance(exact, Fraction) else exact

    def _exact(self, state: Moments) -> Any:
        """Return the variance as a Fraction, or None or NaN if it is undefined."""
        if state.size <= self.ddof or state.squares is None:
            return None
        infinite = state.total.infinite
        if infinite is not None:
            return Decimal("NaN") if isinstance(infinite, Decimal) else float("nan")
        total = state.total.exact
        return (state.squares.exact - total * total / state.size) / (state.size - self.ddof)


class Stdev(Variance):
    """Aggregator of the standard deviation: the square root of the variance, rounded once.

    The result is a float, or a Decimal if the entries are Decimals. Args and errors are those of `Variance`.
    """

    def finish(self, state: Moments) -> Any:
        exact = self._exact(state)
        return root(exact, _kind(state)) if isinstance(exact, Fraction) else exact


def _kind(state: Moments) -> type:
    return state.total.kind


class Sum(Aggregator[Any, ExactSum, Any]):
    """Aggregator of the exact sum, rounded once, at the end.

    Integers (bool counts as 0 and 1) give an int, floats (alone or with integers or Fractions) the float nearest to
    the exact sum, Decimals a Decimal with all its digits, Fractions a Fraction; no entries give 0. A float sum
    beyond the largest float is infinite; NaN gives NaN, and so do two infinities of different sign.

    Raises:
        UsageError: An entry is not a number of these types, or Decimals are mixed with floats or Fractions.
    """

    def create(self) -> ExactSum:
        return ExactSum()

    def add(self, state: ExactSum, entry: Any) -> ExactSum:
        state.add([entry])
        return state

    def add_many(self, state: ExactSum, entries: Iterable[Any]) -> ExactSum:
        for batch in batches(entries):
            state.add(batch)
        return state

    def merge(self, state: ExactSum, other: ExactSum) -> ExactSum:
        state.merge(other)
        return state

    def undo(self, state: ExactSum, other: ExactSum) -> Callable[[], ExactSum]:
        before = copy(state)
        return lambda: before

    def finish(self, state: ExactSum) -> Any:
        return state.result

    def encode(self, state: ExactSum) -> bytes:
        return pack(state.plain)

    def decode(self, data: bytes) -> ExactSum:
        return ExactSum.of(unpack(data))
