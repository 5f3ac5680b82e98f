"""Sum, Mean, Variance and Stdev against exact arithmetic, with numbers at the limits of floats."""

import itertools
import math
import random
import statistics
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.aggregators import Mean, Stdev, Sum, Variance
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.errors import UsageError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NASTY = [1e308, -1e308, 1e-308, 5e-324, -5e-324, 2.0**-1022, 1.7976931348623157e308, 0.1, 1e16, 1.0, -1e16, 0.0, -0.0]

UNTIMED = settings(deadline=None)


def run(aggregator: AnyAggregator, entries: Any) -> Any:
    return aggregator.finish(aggregator.add_many(aggregator.create(), entries))


def nearest(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def variance_of(numbers: list[Any], ddof: int) -> Fraction:
    exact = [Fraction(number) for number in numbers]
    mean = sum(exact, Fraction()) / len(exact)
    return sum(((one - mean) ** 2 for one in exact), Fraction()) / (len(exact) - ddof)


class TestSum:
    @UNTIMED
    @given(st.lists(FINITE))
    def test_floats_are_summed_exactly_and_rounded_once(self, numbers: list[float]) -> None:
        result = run(Sum(), numbers)
        assert result == (nearest(sum(map(Fraction, numbers), Fraction())) if numbers else 0)
        assert type(result) is (float if numbers else int)

    @UNTIMED
    @given(st.lists(st.one_of(FINITE, st.integers(), st.fractions())))
    def test_mixed_numbers_are_summed_exactly_and_rounded_once(self, numbers: list[Any]) -> None:
        exact = sum(map(Fraction, numbers), Fraction())
        result = run(Sum(), numbers)
        assert result == (nearest(exact) if any(type(number) is float for number in numbers) else exact)

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_every_choice_of_nasty_floats_has_the_sum_of_exact_arithmetic(self, size: int) -> None:
        for numbers in itertools.product(NASTY, repeat=size):
            assert run(Sum(), numbers) == nearest(sum(map(Fraction, numbers), Fraction()))

    def test_many_floats_of_all_sizes_have_the_sum_of_exact_arithmetic(self) -> None:
        rng = random.Random(7)
        numbers = [math.ldexp(rng.uniform(-1, 1), rng.randint(-1070, 1020)) for _ in range(20_000)]
        assert run(Sum(), numbers) == nearest(sum(map(Fraction, numbers), Fraction()))
        assert run(Sum(), numbers) == math.fsum(numbers)

    def test_what_overflows_on_the_way_comes_back(self) -> None:
        assert run(Sum(), [1e308] * 10 + [-1e308] * 10 + [1e-308]) == 1e-308

    def test_a_sum_beyond_the_largest_float_is_infinite(self) -> None:
        assert run(Sum(), [1e308, 1e308]) == math.inf
        assert run(Sum(), [-1e308, -1e308]) == -math.inf
        assert run(Sum(), [10**400, 0.5]) == math.inf

    @pytest.mark.parametrize(
        ("numbers", "expected"),
        [
            ([math.inf, 1.0], math.inf),
            ([-math.inf, 1e308, 1e308], -math.inf),
            ([math.inf, -math.inf], math.nan),
            ([math.nan, math.inf], math.nan),
            ([1, math.nan], math.nan),
            ([Fraction(1, 2), math.inf], math.inf),
            ([Decimal("Infinity"), 1], Decimal("Infinity")),
        ],
    )
    def test_infinities_and_nans_add_up_as_floats_do(self, numbers: list[Any], expected: Any) -> None:
        for order in itertools.permutations(numbers):
            result = run(Sum(), order)
            assert result == expected or (math.isnan(expected) and math.isnan(result))
            assert type(result) is type(expected)

    def test_decimals_that_are_not_finite_give_one_nan(self) -> None:
        for numbers in (
            [Decimal("NaN123"), Decimal(1)],
            [Decimal("-Infinity"), Decimal("Infinity")],
            [Decimal("sNaN")],
        ):
            assert str(run(Sum(), numbers)) == "NaN"

    def test_integers_stay_integers_of_any_size(self) -> None:
        result = run(Sum(), [2**100, -1, True])
        assert (result, type(result)) == (2**100, int)

    def test_booleans_are_counted(self) -> None:
        result = run(Sum(), [True, False, True])
        assert (result, type(result)) == (2, int)

    def test_decimals_keep_all_digits(self) -> None:
        assert str(run(Sum(), [Decimal("0.10"), Decimal("0.20"), 1])) == "1.30"
        assert str(run(Sum(), [Decimal("1E+40"), Decimal("1E-40")])) == f"1{'0' * 40}.{'0' * 39}1"

    def test_decimals_that_would_fill_the_memory_are_refused(self) -> None:
        with pytest.raises(UsageError, match="more than 100000 digits"):
            run(Sum(), [Decimal("1E+999999999"), Decimal(1)])

    def test_fractions_stay_fractions(self) -> None:
        result = run(Sum(), [Fraction(1, 3), Fraction(2, 3), 1])
        assert (result, type(result)) == (2, Fraction)

    def test_numbers_of_numpy_are_numbers(self) -> None:
        assert run(Sum(), [np.int64(3), np.int64(4)]) == 7
        assert run(Sum(), [np.float64(0.1), np.float32(0.5), np.int8(-1)]) == nearest(Fraction(0.1) - Fraction(1, 2))

    @pytest.mark.parametrize("entry", ["1", None, 1j, [1], b"1"])
    def test_a_value_that_is_no_number_is_refused_by_its_type(self, entry: Any) -> None:
        with pytest.raises(UsageError, match=f"type {type(entry).__name__} cannot be added exactly"):
            run(Sum(), [1, entry])

    @pytest.mark.parametrize("other", [0.5, Fraction(1, 2)])
    def test_decimals_are_not_mixed_with_what_they_cannot_be_added_to(self, other: Any) -> None:
        expected = f"Decimal and {type(other).__name__} have no exact sum"
        with pytest.raises(UsageError, match=expected):
            run(Sum(), [Decimal(1), other])
        states = [Sum().add(Sum().create(), Decimal(1)), Sum().add(Sum().create(), other)]
        with pytest.raises(UsageError, match=expected):
            Sum().merge(*states)

    def test_states_of_the_same_numbers_are_the_same_bytes(self) -> None:
        """Even if parts cancel out, so that a group has none of the lowest digits."""
        one = Sum().add_many(Sum().create(), [0.1, -0.1, 3.0])
        other = Sum().merge(Sum().add(Sum().create(), 3.0), Sum().create())
        assert Sum().encode(one) == Sum().encode(other)

    def test_a_state_of_floats_is_small(self) -> None:
        assert len(Sum().encode(Sum().add_many(Sum().create(), [0.1] * 1000))) < 40


class TestMean:
    @UNTIMED
    @given(st.lists(FINITE, min_size=1))
    def test_the_mean_of_floats_is_rounded_once(self, numbers: list[float]) -> None:
        assert run(Mean(), numbers) == nearest(sum(map(Fraction, numbers), Fraction()) / len(numbers))

    @UNTIMED
    @given(st.lists(st.integers(), min_size=1))
    def test_the_mean_of_integers_is_a_float(self, numbers: list[int]) -> None:
        result = run(Mean(), numbers)
        assert (result, type(result)) == (float(statistics.mean(map(Fraction, numbers))), float)

    def test_decimals_and_fractions_stay_what_they_are(self) -> None:
        assert run(Mean(), [Decimal(1), Decimal(2), Decimal(2)]) == Decimal("1.666666666666666666666666667")
        assert run(Mean(), [Fraction(1), Fraction(2), 2]) == Fraction(5, 3)

    def test_no_entries_have_no_mean(self) -> None:
        assert run(Mean(), []) is None

    def test_infinities_and_nans_appear_in_the_result(self) -> None:
        assert run(Mean(), [1.0, math.inf]) == math.inf
        assert math.isnan(run(Mean(), [1.0, math.nan]))
        assert math.isnan(run(Mean(), [math.inf, -math.inf]))

    def test_the_mean_of_the_largest_floats_does_not_overflow(self) -> None:
        assert run(Mean(), [1.7976931348623157e308] * 3) == 1.7976931348623157e308


class TestVariance:
    @UNTIMED
    @given(st.lists(FINITE, min_size=2), st.sampled_from([0, 1]))
    def test_the_variance_of_floats_is_rounded_once(self, numbers: list[float], ddof: int) -> None:
        assert run(Variance(ddof), numbers) == nearest(variance_of(numbers, ddof))

    @UNTIMED
    @given(st.lists(st.one_of(st.integers(), FINITE, st.fractions()), min_size=2))
    def test_mixed_numbers_have_the_variance_of_exact_arithmetic(self, numbers: list[Any]) -> None:
        exact, result = variance_of(numbers, 1), run(Variance(), numbers)
        assert result == (exact if type(result) is Fraction else nearest(exact))

    def test_it_agrees_with_the_standard_library(self) -> None:
        rng = random.Random(3)
        numbers = [rng.gauss(1e9, 1e-3) for _ in range(500)]
        assert run(Variance(), numbers) == statistics.variance(numbers)
        assert run(Variance(ddof=0), numbers) == statistics.pvariance(numbers)
        assert run(Stdev(), numbers) == statistics.stdev(numbers)
        assert run(Stdev(ddof=0), numbers) == statistics.pstdev(numbers)

    def test_many_floats_of_all_sizes_have_the_variance_of_exact_arithmetic(self) -> None:
        rng = random.Random(7)
        numbers = [math.ldexp(rng.uniform(-1, 1), rng.randint(-1070, 400)) for _ in range(300)]
        assert run(Variance(), numbers) == nearest(variance_of(numbers, 1))

    def test_decimals_keep_twenty_eight_digits(self) -> None:
        numbers = [Decimal("27.5"), Decimal("30.25"), Decimal("30.25"), Decimal("34.5"), Decimal("41.75")]
        assert run(Variance(), numbers) == Decimal("31.01875") == statistics.variance(numbers)
        assert run(Stdev(), numbers) == Decimal("31.01875").sqrt()

    def test_a_variance_beyond_the_largest_float_is_infinite(self) -> None:
        assert run(Variance(), [1e308, -1e308]) == math.inf

    def test_infinities_and_nans_have_no_variance(self) -> None:
        for numbers in ([1.0, math.inf], [math.nan, 1], [math.inf, -math.inf, 1]):
            assert math.isnan(run(Variance(), numbers))
            assert math.isnan(run(Stdev(), numbers))
        assert run(Variance(), [Decimal("Infinity"), Decimal(1)]).is_nan()

    @pytest.mark.parametrize(("ddof", "size"), [(0, 0), (1, 0), (1, 1), (2, 2), (5, 3)])
    def test_too_few_entries_have_no_variance(self, ddof: int, size: int) -> None:
        assert run(Variance(ddof), [1.5] * size) is None
        assert run(Stdev(ddof), [1.5] * size) is None

    @pytest.mark.parametrize("ddof", [-1, 0.5, "1", None, True])
    def test_a_wrong_ddof_is_refused(self, ddof: Any) -> None:
        with pytest.raises(UsageError, match="ddof is"):
            Variance(ddof)


class TestStdev:
    @UNTIMED
    @given(st.lists(FINITE, min_size=2))
    def test_the_deviation_of_floats_is_the_nearest_float_to_the_root(self, numbers: list[float]) -> None:
        exact, result = variance_of(numbers, 1), run(Stdev(), numbers)
        below, above = math.nextafter(result, -math.inf), math.nextafter(result, math.inf)
        if exact == 0:
            assert result == 0
        elif math.isinf(result):
            # Half a step beyond the largest float.
            assert exact >= Fraction(2**1024 - 2**970) ** 2
        elif math.isinf(above):
            assert exact >= ((Fraction(below) + Fraction(result)) / 2) ** 2
        else:
            low, high = (Fraction(below) + Fraction(result)) / 2, (Fraction(result) + Fraction(above)) / 2
            assert max(low, 0) ** 2 <= exact <= high**2

    def test_the_largest_and_the_smallest_floats_have_one(self) -> None:
        assert run(Stdev(ddof=0), [1e308, -1e308]) == 1e308
        assert run(Stdev(ddof=0), [5e-324, -5e-324]) == 5e-324
        assert math.isinf(run(Stdev(), [1.7976931348623157e308, -7.446288774449767e307]))
        assert run(Stdev(ddof=0), [0, 2 * 10**200]) == 1e200

    def test_a_root_just_above_the_middle_of_two_floats_is_rounded_up(self) -> None:
        middle = 2**53 + 1
        numbers = [middle + 1, -middle - 1, middle - 1, 1 - middle]
        assert variance_of(numbers, 0) == middle**2 + 1
        assert run(Stdev(ddof=0), numbers) == 2.0**53 + 2

    def test_the_deviation_of_fractions_is_a_float(self) -> None:
        assert run(Stdev(ddof=0), [Fraction(0), Fraction(1)]) == 0.5
