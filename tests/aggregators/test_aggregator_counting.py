"""Count, Size, Distinct, Histogram and the sketches."""

import math
import random
import sys
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.aggregators import ApproximateDistinct, Count, Distinct, Histogram, Nothing, Quantiles, Size
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError, UsageError

UNTIMED = settings(deadline=None)


def run(aggregator: AnyAggregator, entries: Any) -> Any:
    return aggregator.finish(aggregator.add_many(aggregator.create(), entries))


def merged(aggregator: AnyAggregator, *pieces: Any) -> Any:
    """Return the result over pieces that were added on workers and sent."""
    whole = aggregator.create()
    for piece in pieces:
        state = aggregator.add_many(aggregator.create(), piece)
        whole = aggregator.merge(whole, aggregator.decode(aggregator.encode(state)))
    return aggregator.finish(whole)


class TestCount:
    @UNTIMED
    @given(st.lists(st.one_of(st.text(st.characters(codec=None)), st.integers(), st.tuples(st.integers(), st.text()))))
    def test_the_result_is_the_counter_of_the_standard_library(self, entries: list[Any]) -> None:
        result = merged(Count(), entries[::2], entries[1::2])
        assert result == Counter(entries)
        assert type(result) is Counter

    def test_a_mapping_as_entries_is_iterated_like_anything_else(self) -> None:
        assert run(Count(), {"a": 5, "b": 7}) == {"a": 1, "b": 1}

    def test_nan_is_one_entry_however_often_it_travelled(self) -> None:
        result = merged(Count(), [math.nan, 1.0], [float("nan")], [-math.nan, float("nan")])
        assert sorted(result.values()) == [1, 4]
        assert result[math.nan] == 4

    def test_an_entry_that_cannot_be_counted_is_named_by_python(self) -> None:
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            run(Count(), [["a"]])

    def test_an_entry_that_is_not_plain_data_cannot_be_sent(self) -> None:
        state = Count().add(Count().create(), object())
        with pytest.raises(EncodingError, match=r"builtins\.object is not plain data"):
            Count().encode(state)

    def test_a_state_of_an_older_version_is_read(self) -> None:
        data = pack([["a", 1], [3, 4]])
        assert Count().decode(data) == {"a": 3, 1: 4}
        assert Count().merge_encoded(Counter({"a": 1, "b": 2}), data) == {"a": 4, "b": 2, 1: 4}

    @pytest.mark.parametrize(
        "plain",
        [[["a"], [1.5]], [["a"], [1, 2]], ["a\0b", bytes(8)], [[["a"]], bytes(8)], {"a": 1}, [["a", "a"], [1, 2]]],
    )
    @pytest.mark.parametrize("count", [Count(), Count().of_utf8()])
    def test_a_value_that_is_no_state_is_refused(self, plain: Any, count: AnyAggregator) -> None:
        with pytest.raises(EncodingError):
            count.decode(pack(plain))

    def test_counts_beyond_64_bits_travel(self) -> None:
        state = Counter({"a": 1 << 80, "b": 1})
        assert Count().decode(Count().encode(state)) == state


class TestCountOfUtf8:
    """Counting encoded strings gives the same states as counting the strings."""

    @UNTIMED
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
    def test_its_states_are_those_of_texts(self, texts: list[str]) -> None:
        utf8 = Count().of_utf8()
        assert utf8 is not None
        state = utf8.add_many(utf8.create(), [text.encode() for text in texts])
        assert Count().decode(utf8.encode(state)) == Counter(texts)
        again = utf8.merge_encoded(utf8.decode(utf8.encode(state)), Count().encode(Counter(texts)))
        assert Count().decode(utf8.encode(again)) == Counter([*texts, *texts])

    def test_counts_beyond_64_bits_and_texts_with_a_nul_travel(self) -> None:
        utf8 = Count().of_utf8()
        assert utf8 is not None
        for state in ({b"a": 1 << 80, b"b\0c": 1}, {b"a": 1, b"b\0c": 1}):
            assert Count().decode(utf8.encode(Counter(state))) == {key.decode(): n for key, n in state.items()}

    def test_a_class_of_the_user_s_has_its_own_way(self) -> None:
        class Own(Count):
            pass

        assert Own().of_utf8() is None


class TestSize:
    @pytest.mark.parametrize("size", [0, 1, 20_000, 1 << 14, (1 << 14) + 1])
    def test_every_entry_counts_whatever_it_is(self, size: int) -> None:
        assert run(Size(), (None for _ in range(size))) == size
        assert merged(Size(), range(size), [[], {}]) == size + 2

    def test_a_negative_number_is_not_a_state(self) -> None:
        with pytest.raises(EncodingError, match="not a state of Size"):
            Size().decode(Size().encode(-1))


class TestDistinct:
    def test_equal_entries_are_one(self) -> None:
        assert merged(Distinct(), ["a", "b", (1, 2)], ["b", (1, 2), b"b"]) == {"a", "b", b"b", (1, 2)}

    def test_nan_is_one_entry_however_often_it_travelled(self) -> None:
        assert len(merged(Distinct(), [math.nan], [float("nan"), 1.0], [float("nan")])) == 2


class TestHistogram:
    @UNTIMED
    @given(
        st.lists(st.one_of(st.integers(-20, 20), st.floats(allow_nan=False))),
        st.lists(st.integers(-9, 9), min_size=2, unique=True),
    )
    def test_each_entry_is_in_the_bin_where_it_lies(self, entries: list[float], edges: list[int]) -> None:
        edges.sort()
        result = merged(Histogram(edges), entries[::2], entries[1::2])
        bins = list(pairwise(edges))
        counts = [sum(left <= entry < right for entry in entries) for left, right in bins]
        counts[-1] += entries.count(edges[-1])
        assert result["counts"] == counts
        assert result["below"] == sum(entry < edges[0] for entry in entries)
        assert result["above"] == sum(entry > edges[-1] for entry in entries)
        assert result["nan"] == 0

    def test_nan_is_counted_on_its_own(self) -> None:
        result = run(Histogram([0, 1]), [math.nan, 0.5, math.inf, -math.inf, 1, Decimal("0.25"), Fraction(1, 3)])
        assert result == {"edges": [0.0, 1.0], "counts": [4], "below": 1, "above": 1, "nan": 1}

    @pytest.mark.parametrize(
        "edges", [[], [1], [1, 1], [2, 1], [0, math.nan], [0, math.inf], ["a", "b"], None, 5, [0, None], "12 "]
    )
    def test_edges_that_make_no_bins_are_refused(self, edges: Any) -> None:
        with pytest.raises(UsageError, match="Histogram got the edges"):
            Histogram(edges)

    def test_a_state_of_other_edges_is_refused(self) -> None:
        with pytest.raises(EncodingError, match="not a state of"):
            Histogram([0, 1]).decode(Histogram([0, 1, 2]).encode(Histogram([0, 1, 2]).create()))


class TestApproximateDistinct:
    def test_it_is_exact_while_everything_fits(self) -> None:
        aggregator = ApproximateDistinct(12)
        assert merged(aggregator, range(3000), range(1000, 4096)) == 4096

    def test_it_is_near_beyond_that(self) -> None:
        aggregator = ApproximateDistinct(12)
        words = [f"word {number}" for number in range(100_000)]
        assert abs(merged(aggregator, words[:70_000], words[30_000:]) / 100_000 - 1) < 4 * aggregator.error

    def test_the_state_is_the_same_bytes_for_every_order_and_grouping(self) -> None:
        aggregator, rng = ApproximateDistinct(8), random.Random(5)
        words, seen = [f"word {number}" for number in range(5000)], set()
        for _ in range(10):
            rng.shuffle(words)
            cut = rng.randrange(5000)
            states = [aggregator.add_many(aggregator.create(), part) for part in (words[:cut], words[cut:])]
            seen.add(aggregator.encode(aggregator.merge(*states)))
        assert len(seen) == 1

    @pytest.mark.parametrize(
        "equal",
        [
            [1, 1.0, True, Decimal(1), Decimal("1.00"), Fraction(1)],
            [0.5, Decimal("0.50"), Fraction(1, 2)],
            [2**64, float(2**64), Decimal(2**64)],
            [0.0, -0.0, 0, False],
            [math.nan, float("nan"), -math.nan],
            [Decimal("0.1"), Fraction(1, 10)],
            [math.inf, float("inf")],
        ],
    )
    def test_equal_numbers_are_one(self, equal: list[Any]) -> None:
        assert run(ApproximateDistinct(), equal) == 1
        assert merged(ApproximateDistinct(), *([one] for one in equal)) == 1

    @pytest.mark.parametrize(
        "different",
        [
            ["", "a", " "],
            ["\ud800", "\udfff", "?"],
            ["1", 1, b"1", ("1",), None],
            [2**64, 2**64 + 1, -(2**64), 2**63, 2**63 - 1, -(2**63), -(2**63) - 1],
            [0.1, Decimal("0.1"), 0.1000000001],
            [(1, "a"), (1, "b"), frozenset([1]), ()],
            [Decimal("1E+5000"), Decimal("1E-5000"), 0, Decimal("Infinity"), Decimal("-Infinity")],
            [1e308, 1.7976931348623157e308, 5e-324],
        ],
    )
    def test_different_entries_are_distinguished(self, different: list[Any]) -> None:
        assert run(ApproximateDistinct(), different) == len(different)

    @pytest.mark.parametrize("precision", [4, 27, 12.0, "12", None, True])
    def test_a_precision_that_cannot_be_had_is_refused(self, precision: Any) -> None:
        with pytest.raises(UsageError, match="whole number from 5 to 26"):
            ApproximateDistinct(precision)


class TestQuantiles:
    def test_few_entries_have_exact_quantiles(self) -> None:
        assert merged(Quantiles([0, 0.5, 1]), [5, 1], [4.0, 2, 3]) == {0.0: 1.0, 0.5: 3.0, 1.0: 5.0}

    def test_many_entries_have_quantiles_of_about_the_rank(self) -> None:
        aggregator = Quantiles([0, 0.1, 0.5, 0.99, 1])
        numbers = list(range(100_000))
        random.Random(1).shuffle(numbers)
        result = merged(aggregator, *(numbers[start::7] for start in range(7)))
        assert (result[0], result[1]) == (0, 99_999)
        for rank, value in result.items():
            assert abs(value / 100_000 - rank) < 4 * aggregator.rank_error

    def test_no_entries_have_no_quantiles(self) -> None:
        assert run(Quantiles([0.5]), []) == {0.5: None}
        assert merged(Quantiles([0.5]), [], [math.nan]) == {0.5: None}

    @pytest.mark.parametrize("ranks", [[], [1.5], [-0.1], [math.nan], ["x"], None, 0.5])
    def test_ranks_that_are_none_are_refused(self, ranks: Any) -> None:
        with pytest.raises(UsageError, match="Quantiles got the ranks"):
            Quantiles(ranks)

    @pytest.mark.parametrize("k", [7, 65536, 1.5, None])
    def test_a_size_that_cannot_be_had_is_refused(self, k: Any) -> None:
        with pytest.raises(UsageError, match="from 8 to 65535"):
            Quantiles(k=k)

    def test_an_entry_that_is_no_number_is_named_by_python(self) -> None:
        with pytest.raises(TypeError, match="str"):
            run(Quantiles(), [1, "2"])


@pytest.mark.parametrize("kind", [ApproximateDistinct, Quantiles])
def test_without_the_library_the_error_says_what_to_install(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketches", None)
    with pytest.raises(UsageError, match=r"pip install 'elastic-dataflow\[sketches\]'"):
        kind()


@pytest.mark.parametrize("aggregator", [ApproximateDistinct(5), Quantiles(k=8)])
def test_a_sketch_with_one_damaged_byte_is_refused(aggregator: AnyAggregator) -> None:
    """The library itself takes some of them, and crashes on others."""
    data = aggregator.encode(aggregator.add_many(aggregator.create(), range(100)))
    for place in range(len(data)):
        with pytest.raises(EncodingError, match="the bytes of a sketch are damaged"):
            aggregator.decode(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_nothing_reads_all_and_gives_none() -> None:
    drawn = iter(range(1000))
    assert run(Nothing(), drawn) is None
    assert list(drawn) == []
    assert len(Nothing().encode(None)) == 1
