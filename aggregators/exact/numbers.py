"""Which numbers can be added exactly, and how a rational number becomes what the user gave."""

import decimal
import math
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from numbers import Integral, Rational, Real
from typing import Any

from elastic.core.errors import UsageError

#: The kinds of numbers that are added exactly; all others are one of them, or refused.
KINDS: tuple[type, ...] = (int, float, Decimal, Fraction)

#: Adds decimals without rounding. The number of digits is bounded because 1E+999999999 + 1 would fill the memory.
_EXACT = decimal.Context(
    prec=100_000,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    traps=[decimal.Inexact, decimal.Overflow],
)

#: Rounds a decimal result once, to 28 digits, whatever the context of the thread is.
_ROUNDED = decimal.Context(prec=28, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])


def split(batch: list[Any]) -> dict[type, list[Any]]:
    """Return the numbers of a list by kind.

    Raises:
        UsageError: One of them is no number, or one that is not exact.
    """
    types = set(map(type, batch))
    if len(types) == 1 and (only := next(iter(types))) in KINDS:
        return {only: batch}
    kinds: dict[type, list[Any]] = {}
    for found in types:
        kind = _kind_of(found)
        numbers = [number for number in batch if type(number) is found]
        kinds.setdefault(kind, []).extend(numbers if found is kind else map(kind, numbers))
    return kinds


def _kind_of(found: type) -> type:
    for kind in KINDS:
        if issubclass(found, kind):
            return kind
    for abstract, kind in ((Integral, int), (Rational, Fraction), (Real, float)):
        if issubclass(found, abstract):
            return kind
    raise UsageError(
        f"an entry of type {found.__name__} cannot be added exactly; use int, float, Decimal or Fraction, "
        "or another aggregator (Reduce(operator.add) adds anything)"
    )


def sum_decimals(numbers: list[Decimal]) -> Decimal:
    """Return the sum of at least one decimal without rounding.

    Raises:
        UsageError: It has too many digits.
    """
    try:
        return reduce(_EXACT.add, numbers)
    except decimal.DecimalException as error:
        raise _too_wide() from error


def square_decimals(numbers: list[Decimal]) -> list[Decimal]:
    """Return the squares without rounding. Raises as `sum_decimals` does."""
    try:
        return list(map(_EXACT.multiply, numbers, numbers))
    except decimal.DecimalException as error:
        raise _too_wide() from error


def _too_wide() -> UsageError:
    return UsageError(
        f"the exact sum of these Decimals has more than {_EXACT.prec} digits; map the entries to float or round them"
    )


def ratio_to_float(top: int, bottom: int) -> float:
    """Return the float nearest to a ratio; beyond the largest float, infinity."""
    try:
        return top / bottom
    except OverflowError:
        return math.inf if (top < 0) == (bottom < 0) else -math.inf


def as_kind(value: Fraction, kind: type) -> Any:
    """Return an exact value as the number that the user expects: float for int and float entries."""
    if kind is Fraction:
        return value
    if kind is Decimal:
        return _ROUNDED.divide(Decimal(value.numerator), Decimal(value.denominator))
    return ratio_to_float(value.numerator, value.denominator)


def root(value: Fraction, kind: type) -> Any:
    """Return the square root of a value that is not negative, rounded once; a float unless `kind` is Decimal."""
    top, bottom = value.numerator, value.denominator
    if kind is Decimal:
        # 30 digits too many, so that the rounding of the quotient cannot be seen in the rounding of the root.
        wide = decimal.Context(prec=58, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
        return _ROUNDED.plus(wide.sqrt(wide.divide(Decimal(top), Decimal(bottom))))
    # An integer root of at least 64 bits, made odd when something is left over: then the one rounding that
    # follows goes to the right side.
    shift = max(0, 128 - top.bit_length() + bottom.bit_length())
    shift += shift % 2
    square, rest = divmod(top << shift, bottom)
    whole = math.isqrt(square)
    if rest or whole * whole != square:
        whole |= 1
    return ratio_to_float(whole, 1 << (shift // 2))
