"""Exact sum of numbers, rounded once at the end, so the result depends neither on order nor on grouping."""

import math
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import repeat
from operator import mul
from typing import Any

from elastic.aggregators.exact.numbers import as_kind, ratio_to_float, split, square_decimals, sum_decimals
from elastic.aggregators.states.validation import has_shape, is_count
from elastic.core.errors import EncodingError, UsageError

#: Bits of the mantissa of a float.
_MANTISSA_BITS = 53

#: Maximum number of binary places. The smallest float, 2**-1074, counts as 2**52 times 2**-1126; its square has twice
#: as many places.
_MAX_PLACES = 2 * 1126

#: Maximum number of passes over the remainders of a sum of floats; beyond it, integers are faster.
_MAX_ROUNDS = 4


class ExactSum:
    """Accumulator of numbers or of their squares, with a separate sum for each kind of number."""

    __slots__ = ("decimal", "floats", "fraction", "places", "special", "units", "whole")

    def __init__(self) -> None:
        self.whole = 0  #: sum of the integers
        self.units = 0  #: the sum of the finite floats is units / 2**places
        self.places = 0
        self.floats = False  #: whether a float was added
        self.special = 0.0  #: sum of the floats that are not finite: 0.0, inf, -inf or nan
        self.decimal: Decimal | None = None
        self.fraction: Fraction | None = None

    def add(self, numbers: list[Any]) -> None:
        """Add numbers.

        Raises:
            UsageError: A number cannot be added exactly, or not to the others.
        """
        for kind, some in split(numbers).items():
            if kind is int:
                self.whole += sum(some)
            elif kind is float:
                self._add_floats(some)
            elif kind is Decimal:
                self._add_decimals(some)
            else:
                self.fraction = sum(some, self.fraction or Fraction())
        self._check()

    def add_squares(self, numbers: list[Any]) -> None:
        """Add the squares of numbers. Raise as `add` does."""
        for kind, some in split(numbers).items():
            if kind is int:
                self.whole += sum(map(mul, some, some))
            elif kind is float:
                self.floats = True
                for exponent, scaled in self._scaled(some).items():
                    self._add_units(sum(map(mul, scaled, scaled)), -2 * exponent)
            elif kind is Decimal:
                self._add_decimals(square_decimals(some))
            else:
                self.fraction = sum(map(mul, some, some), self.fraction or Fraction())
        self._check()

    def merge(self, other: "ExactSum") -> None:
        self.whole += other.whole
        self.floats |= other.floats
        self.special += other.special
        self._add_units(other.units, other.places)
        if other.decimal is not None:
            self._add_decimals([other.decimal])
        if other.fraction is not None:
            self.fraction = other.fraction + (self.fraction or 0)
        self._check()

    @property
    def kind(self) -> type:
        """Type of the sum, by the rules of Python."""
        if self.decimal is not None:
            return Decimal
        if self.floats:
            return float
        return int if self.fraction is None else Fraction

    @property
    def infinite(self) -> float | Decimal | None:
        """Sum if it is not finite, else None."""
        if self.decimal is not None and not self.decimal.is_finite():
            return Decimal("NaN") if self.decimal.is_nan() else self.decimal
        if math.isnan(self.special):
            return math.nan
        return self.special or None

    @property
    def exact(self) -> Fraction:
        """Exact value of a finite sum."""
        value = Fraction(self.units, 1 << self.places) + self.whole + (self.fraction or 0)
        return value if self.decimal is None else value + Fraction(self.decimal)

    @property
    def result(self) -> Any:
        """Sum, rounded once if it is a float, and infinite beyond the largest float."""
        infinite = self.infinite
        if infinite is not None:
            return infinite
        if self.decimal is not None:
            return sum_decimals([self.decimal, Decimal(self.whole)])
        if self.floats and self.fraction is None:
            return ratio_to_float(self.units + (self.whole << self.places), 1 << self.places)
        return self.whole if self.kind is int else as_kind(self.exact, self.kind)

    @property
    def plain(self) -> list[Any]:
        """State as plain data, the same for the same numbers in any grouping."""
        spare = min(self.places, (self.units & -self.units).bit_length() - 1) if self.units else self.places
        fraction = None if self.fraction is None else [self.fraction.numerator, self.fraction.denominator]
        special = math.nan if math.isnan(self.special) else self.special
        return [self.whole, self.units >> spare, self.places - spare, self.floats, special, self.decimal, fraction]

    @classmethod
    def of(cls, plain: Any) -> "ExactSum":
        """Return the sum from its plain data.

        Raises:
            EncodingError: The data is not from `plain`.
        """
        if not has_shape(plain, _PLAIN_SHAPE):
            raise EncodingError("these bytes are not an exact sum")
        total = cls()
        total.whole, total.units, total.places, total.floats, total.special, total.decimal = plain[:6]
        total.fraction = None if plain[6] is None else Fraction(*plain[6])
        return total

    def _add_floats(self, numbers: list[float]) -> None:
        self.floats = True
        if len(numbers) == 1 and math.isfinite(numbers[0]):
            top, bottom = numbers[0].as_integer_ratio()
            self._add_units(top, bottom.bit_length() - 1)
            return
        parts = _parts(numbers)
        for exponent, some in self._scaled(numbers if parts is None else parts).items():
            self._add_units(sum(some), -exponent)

    def _scaled(self, numbers: list[float]) -> dict[int, list[int]]:
        """Return integers by exponent, whose numbers are integer * 2**exponent. Add infinities and NaN to `special`."""
        if not all(map(math.isfinite, numbers)):
            self.special = sum((number for number in numbers if not math.isfinite(number)), self.special)
            numbers = [number for number in numbers if math.isfinite(number)]
        mantissas: defaultdict[int, list[float]] = defaultdict(list)
        for mantissa, exponent in map(math.frexp, numbers):
            mantissas[exponent - _MANTISSA_BITS].append(mantissa)
        return {
            exponent: list(map(int, map(mul, some, repeat(2.0**_MANTISSA_BITS))))
            for exponent, some in mantissas.items()
        }

    def _add_units(self, units: int, places: int) -> None:
        if places < 0:
            units, places = units << -places, 0
        if places > self.places:
            self.units <<= places - self.places
            self.places = places
        self.units += units << (self.places - places)

    def _add_decimals(self, numbers: list[Decimal]) -> None:
        self.decimal = sum_decimals(numbers if self.decimal is None else [self.decimal, *numbers])

    def _check(self) -> None:
        if self.decimal is not None and (self.floats or self.fraction is not None):
            other = "float" if self.floats else "Fraction"
            raise UsageError(f"entries of type Decimal and {other} have no exact sum; map them to one type first")


def _parts(numbers: list[float]) -> list[float] | None:
    """Return a few floats with the same exact sum, or None if there would be too many or a number is not finite.

    `math.fsum` rounds the exact sum once. The rounding error is the sum of the numbers minus the rounded sum, so the
    rounded sums of the remainders add up to the exact sum: https://docs.python.org/3/library/math.html#math.fsum.
    """
    parts: list[float] = []
    remainder = [*numbers]
    for _ in range(_MAX_ROUNDS):
        try:
            part = math.fsum(remainder)
        except (OverflowError, ValueError):
            return None
        if not math.isfinite(part):
            return None
        if part == 0:
            return parts
        parts.append(part)
        remainder.append(-part)
    return None


def _is_place(number: Any) -> bool:
    return is_count(number) and number <= _MAX_PLACES


def _is_denominator(number: Any) -> bool:
    return is_count(number) and number > 0


#: Shape of `ExactSum.plain`: integers, units, places, floats, special, decimal, numerator and denominator.
_PLAIN_SHAPE = [int, int, _is_place, bool, float, (None, Decimal), (None, [int, _is_denominator])]
