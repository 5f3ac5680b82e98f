"""Kinds of numbers that can be added exactly, and conversion of exact values to the types of the user."""

import decimal
import math
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from numbers import Integral, Rational, Real
from typing import Any

from elastic.core.errors import UsageError

#: Kinds of numbers that are added exactly; other types count as one of them, or raise.
KINDS: tuple[type, ...] = (int, float, Decimal, Fraction)

#: Context that adds decimals without rounding. Digits are limited, because 1E+999999999 + 1 would fill the memory.
_EXACT = decimal.Context(
    prec=100_000,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    traps=[decimal.Inexact, decimal.Overflow],
)

#: Context that rounds a decimal result once, to 28 digits, independent of the thread's context.
_ROUNDED = decimal.Context(prec=28, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])


def split(batch: list[Any]) -> dict[type, list[Any]]:
    """Return the numbers of a list by kind.

    Raises:
        UsageError: An entry is not a number that can be added exactly.
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
        UsageError: The sum has too many digits.
    """
    try:
        return reduce(_EXACT.add, numbers)
    except decimal.DecimalException as error:
        raise _too_many_digits() from error


def square_decimals(numbers: list[Decimal]) -> list[Decimal]:
    """Return the squares without rounding. Raise as `sum_decimals` does."""
    try:
        return list(map(_EXACT.multiply, numbers, numbers))
    except decimal.DecimalException as error:
        raise _too_many_digits() from error


def _too_many_digits() -> UsageError:
    return UsageError(
        f"the exact sum of these Decimals has more than {_EXACT.prec} digits; map the entries to float or round them"
    )


def ratio_to_float(top: int, bottom: int) -> float:
    """Return the float nearest to a ratio, or infinity beyond the largest float."""
    try:
        return top / bottom
    except OverflowError:
        return math.inf if (top < 0) == (bottom < 0) else -math.inf


def as_kind(value: Fraction, kind: type) -> Any:
    """Return an exact value in the type of the result: float for int and float entries."""
    if kind is Fraction:
        return value
    if kind is Decimal:
        return _ROUNDED.divide(Decimal(value.numerator), Decimal(value.denominator))
    return ratio_to_float(value.numerator, value.denominator)


def root(value: Fraction, kind: type) -> Any:
    """Return the square root of a value from 0 on, rounded once; a float unless `kind` is Decimal."""
    top, bottom = value.numerator, value.denominator
    if kind is Decimal:
        # 30 extra digits, so that rounding the quotient does not affect the rounding of the root.
        wide = decimal.Context(prec=58, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
        return _ROUNDED.plus(wide.sqrt(wide.divide(Decimal(top), Decimal(bottom))))
    # An integer root of at least 64 bits, made odd if there is a remainder: so the only rounding, which follows, goes
    # to the correct side.
    shift = max(0, 128 - top.bit_length() + bottom.bit_length())
    shift += shift % 2
    square, remainder = divmod(top << shift, bottom)
    whole = math.isqrt(square)
    if remainder or whole * whole != square:
        whole |= 1
    return ratio_to_float(whole, 1 << (shift // 2))
