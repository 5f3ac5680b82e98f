"""Min, Max, TopK, Latest, Reduce, Collect, MergeMappings and GroupBy."""

import datetime as dt
import heapq
import itertools
import math
import operator
import random
from collections import Counter, defaultdict, namedtuple
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elastic
from elastic.aggregators import (
    Collect,
    Count,
    Emit,
    GroupBy,
    Latest,
    Max,
    Mean,
    MergeMappings,
    Min,
    Reduce,
    Size,
    Sum,
    TopK,
    aggregator_of,
)
from elastic.aggregators.keyed.group_by import GroupBySum
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError, UnorderedKeyError, UsageError

Sale = namedtuple("Sale", "shop price")

NUMBERS = [1, -5, 2**70, True, 0.1, 1e308, -1e308, -0.0, math.inf, math.nan, Fraction(1, 3), 5e-324]

NAN = math.nan
#: The same wall-clock time in Berlin twice, and an instant of another zone between the two.
FIRST, SECOND = (dt.datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ZoneInfo("Europe/Berlin")) for fold in (0, 1))
BETWEEN = dt.datetime(2026, 10, 25, 1, 0, tzinfo=dt.UTC)
#: Entries, the two largest of them in order, and the smallest.
ORDERS: list[tuple[list[Any], list[Any], Any]] = [
    ([(3.0, "c"), (NAN, "x"), (9.0, "a"), (5.0, "b")], [(9.0, "a"), (5.0, "b")], (3.0, "c")),
    ([[1.0, NAN], [2.0, "x"], [0.5]], [[2.0, "x"], [0.5]], [0.5]),
    ([(1, (2, NAN)), (1, (2, 0.0)), (0, (9, 9))], [(1, (2, 0.0)), (0, (9, 9))], (0, (9, 9))),
    ([Decimal(1), Decimal("NaN"), Decimal(3), Decimal(2)], [Decimal(3), Decimal(2)], Decimal(1)),
    ([(Decimal(1),), (Decimal("NaN"),), (Decimal(2),)], [(Decimal(2),), (Decimal(1),)], (Decimal(1),)),
    ([1, Decimal("NaN"), 2.5, NAN], [2.5, 1], 1),
    ([np.float32("nan"), np.float32(2), np.float32(1)], [2.0, 1.0], 1.0),
    ([("a", np.float64("nan")), ("a", np.float64(2))], [("a", 2.0), ("a", NAN)], ("a", 2.0)),
    ([FIRST, SECOND, BETWEEN], [SECOND, BETWEEN], FIRST),
    ([("x", FIRST), ("x", SECOND), ("x", BETWEEN)], [("x", SECOND), ("x", BETWEEN)], ("x", FIRST)),
    ([(2, None), (1, None), (3, None)], [(3, None), (2, None)], (1, None)),
]

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


class TestMinAndMax:
    @UNTIMED
    @given(st.lists(st.integers(), min_size=1))
    def test_they_are_those_of_python(self, entries: list[int]) -> None:
        assert merged(Min(), entries[::2], entries[1::2]) == min(entries)
        assert merged(Max(), entries[::2], entries[1::2]) == max(entries)

    def test_no_entries_have_neither(self) -> None:
        assert merged(Min(), [], []) is None
        assert run(Max(key=len), []) is None

    def test_none_is_an_entry_like_others(self) -> None:
        assert merged(Max(key=str), [None], ["A"]) is None

    def test_the_key_is_called_once_for_an_entry_and_not_for_one_that_has_travelled(self) -> None:
        sales = [("a", 3), ("b", 9), ("c", 1)]
        called = Counter[Any]()

        def price(sale: tuple[str, int]) -> int:
            called[sale] += 1
            return sale[1]

        assert merged(Max(key=price), sales[:1], sales[1:]) == ("b", 9)
        assert merged(Min(key=price), sales[:1], sales[1:]) == ("c", 1)
        assert set(called.values()) == {2}

    def test_a_named_tuple_is_refused_where_it_would_come_back_as_a_tuple(self) -> None:
        with pytest.raises(EncodingError, match=r"Sale is not plain data .* value._asdict\(\)"):
            merged(Max(key=lambda sale: sale.price), [Sale("a", 3)], [Sale("b", 9)])

    @pytest.mark.parametrize("aggregator", [Min(), Max()])
    def test_equal_entries_of_different_types_give_the_same_in_any_order(self, aggregator: Max) -> None:
        ties = [1, 1.0, True, Decimal(1)]
        results = {pack(run(aggregator, random.Random(seed).sample(ties, 4))) for seed in range(30)}
        assert len(results) == 1

    def test_nan_counts_only_when_there_is_nothing_else(self) -> None:
        for order in ([math.nan, 1.0, 2.0], [2.0, math.nan, 1.0], [1.0, 2.0, math.nan]):
            assert run(Min(), order) == 1.0
            assert run(Max(), order) == 2.0
        assert math.isnan(merged(Min(), [math.nan], [math.nan]))
        assert merged(Max(), [math.nan], [-1.0]) == -1.0

    def test_the_best_of_many_batches_is_found_wherever_it_is(self) -> None:
        for place in (0, 16_383, 16_384, 49_999):
            entries = [5] * 50_000
            entries[place] = 6
            assert run(Max(), entries) == 6

    @pytest.mark.parametrize("make", [Min, Max, Latest, lambda key: TopK(3, key)])
    def test_a_key_that_cannot_be_called_is_refused(self, make: Callable[[Any], Any]) -> None:
        with pytest.raises(UsageError, match="got the key 'price'; pass a function"):
            make("price")

    @pytest.mark.parametrize(("entries", "greatest", "least"), ORDERS, ids=str)
    def test_the_order_of_arrival_cannot_show(self, entries: list[Any], greatest: list[Any], least: Any) -> None:
        for order in itertools.permutations(entries):
            for cut in range(len(order)):
                found = merged(Max(), order[:cut], order[cut:]), merged(Min(), order[:cut], order[cut:])
                assert repr(found) == repr((greatest[0], least))
                assert repr(merged(TopK(2), order[:cut], order[cut:])) == repr(greatest)
                by_key = merged(TopK(2, key=operator.itemgetter("key")), *(
                    [{"key": key} for key in part] for part in (order[:cut], order[cut:])
                ))  # fmt: skip
                assert repr(by_key) == repr([{"key": key} for key in greatest])

    def test_a_key_that_holds_nan_counts_only_when_there_is_nothing_else(self) -> None:
        unsound = [(math.nan, "x"), (1.0, (Decimal("NaN"),)), [math.nan]]
        for one in unsound:
            assert repr(merged(Max(), [one], [])) == repr(one)
        assert merged(Max(key=operator.itemgetter(0)), [((math.nan,), 1)], [((-math.inf,), 2)]) == ((-math.inf,), 2)

    @pytest.mark.parametrize("make", [Min, Max, lambda: TopK(1), lambda: Latest(by=lambda one: one)])
    @pytest.mark.parametrize("key", [None, {1}, frozenset({1}), {"a": 1}, 1j, Counter("a"), (1, frozenset())], ids=str)
    def test_a_key_without_an_order_is_refused_though_it_is_the_only_one(self, make: Any, key: Any) -> None:
        with pytest.raises(
            UnorderedKeyError, match=f"is a {type(key[1] if type(key) is tuple else key).__name__}, and"
        ):
            run(make(), [key])

    @pytest.mark.parametrize("place", [0, 7, 19])
    def test_an_entry_whose_key_has_no_order_is_found_wherever_it_is(self, place: int) -> None:
        numbers = [number for number in range(20) if number != place]
        flow = elastic.from_iterable([*numbers[:place], None, *numbers[place:]])
        expected: list[tuple[elastic.Flow, Any, Any]] = [
            (flow, "max", max(numbers)),
            (flow, "min", min(numbers)),
            (flow, TopK(3), sorted(numbers)[:-4:-1]),
            (flow.key_by(lambda entry: "key"), GroupBy("max"), {"key": max(numbers)}),
        ]
        for keyed, aggregator, value in expected:
            result = keyed.aggregate(aggregator).run(cluster="inline", on_error="skip")
            assert (result.value, result.errors) == (value, 1)

    def test_entries_that_cannot_be_compared_are_named_by_python(self) -> None:
        with pytest.raises(TypeError, match="not supported between instances of"):
            run(Min(), ["a", 1])


class TestTopK:
    @UNTIMED
    @given(st.lists(st.integers(-20, 20)), st.integers(1, 9))
    def test_it_gives_the_largest_in_order(self, entries: list[int], k: int) -> None:
        assert merged(TopK(k), entries[::3], entries[1::3], entries[2::3]) == heapq.nlargest(k, entries)

    def test_it_gives_the_largest_of_many_batches(self) -> None:
        rng = random.Random(2)
        entries = [rng.randrange(10**9) for _ in range(60_000)]
        assert run(TopK(100), entries) == heapq.nlargest(100, entries)
        assert run(TopK(100, key=operator.neg), entries) == heapq.nsmallest(100, entries)

    @UNTIMED
    @given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=2)), unique=True), st.randoms(use_true_random=False))
    def test_ties_come_out_the_same_in_any_order(self, entries: list[tuple[int, str]], rng: random.Random) -> None:
        aggregator = TopK(4, key=operator.itemgetter(0))
        expected = run(aggregator, entries)
        rng.shuffle(entries)
        cut = rng.randint(0, len(entries))
        assert merged(aggregator, entries[:cut], entries[cut:]) == expected

    def test_nan_comes_last(self) -> None:
        result = merged(TopK(3), [math.nan, 1.0], [math.nan, 2.0])
        assert result[:2] == [2.0, 1.0]
        assert math.isnan(result[2])
        assert merged(TopK(2), [math.nan, 1.0], [math.nan, 2.0]) == [2.0, 1.0]

    def test_the_commonest_words_of_a_counter_are_found(self) -> None:
        counts = Counter("abracadabra")
        assert run(TopK(2, key=operator.itemgetter(1)), counts.items()) == [("a", 5), ("b", 2)]

    @pytest.mark.parametrize("k", [0, -1, 2.5, "3", None, True])
    def test_a_k_that_is_no_number_of_entries_is_refused(self, k: Any) -> None:
        with pytest.raises(UsageError, match="TopK got k="):
            TopK(k)


class TestLatest:
    def test_without_by_it_is_the_last_of_the_source(self) -> None:
        assert Latest().ordered
        assert merged(Latest(), ["a", "b"], ["c"], []) == "c"
        assert merged(Latest(), ["a"], [None]) is None

    def test_with_by_it_is_the_greatest_in_any_order(self) -> None:
        latest = Latest(by=operator.itemgetter("at"))
        assert not latest.ordered
        assert merged(latest, [{"at": 3, "is": "new"}], [{"at": 1, "is": "old"}]) == {"at": 3, "is": "new"}


class TestReduce:
    @UNTIMED
    @given(st.lists(st.text()))
    def test_order_is_kept_by_default(self, entries: list[str]) -> None:
        aggregator = Reduce(operator.add, ">")
        assert aggregator.ordered
        assert merged(aggregator, entries[:2], entries[2:5], entries[5:]) == ">" + "".join(entries)

    def test_a_commutative_function_needs_no_order(self) -> None:
        aggregator = Reduce(max, commutative=True)
        assert not aggregator.ordered
        assert merged(aggregator, [3, 9], [], [4]) == 9

    def test_no_entries_give_what_comes_before_the_first(self) -> None:
        assert run(Reduce(operator.add), []) is None
        assert run(Reduce(operator.add, 7), []) == 7

    def test_a_function_that_changes_what_it_is_given_does_not_change_what_comes_first(self) -> None:
        initial: list[int] = []
        aggregator = Reduce(operator.iadd, initial)
        state = aggregator.add_many(aggregator.create(), [[1], [2]])
        assert aggregator.finish(state) == aggregator.finish(state) == [1, 2]
        assert initial == []

    @pytest.mark.parametrize("function", [None, 3, "add"])
    def test_a_value_that_is_no_function_is_refused(self, function: Any) -> None:
        with pytest.raises(UsageError, match="pass a function of two"):
            Reduce(function)
        with pytest.raises(UsageError, match="pass a function of two"):
            MergeMappings(function)


class TestCollect:
    @UNTIMED
    @given(st.lists(st.one_of(st.integers(), st.text(), st.none())))
    def test_it_lists_entries_in_the_order_of_the_source(self, entries: list[Any]) -> None:
        assert Collect.ordered
        assert merged(Collect(), entries[:3], entries[3:]) == entries


class TestMergeMappings:
    def test_values_of_a_key_are_added(self) -> None:
        assert merged(MergeMappings(), [{"a": 1}, {"b": 2}], [{"a": 3, "c": "x"}], [{"c": "y"}]) == {
            "a": 4,
            "b": 2,
            "c": "xy",
        }

    @UNTIMED
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=2), st.integers(0, 9))
    def test_floats_are_added_exactly(self, numbers: list[float], cut: int) -> None:
        entries = [{"x": number} for number in numbers]
        assert merged(MergeMappings(), entries[:cut], entries[cut:]) == {"x": math.fsum(numbers)}

    def test_values_are_joined_by_another_function(self) -> None:
        aggregator = MergeMappings(lambda one, other: one | other, commutative=True)
        assert not aggregator.ordered
        assert merged(aggregator, [{"a": {1}}], [{"a": {2}, "b": {3}}]) == {"a": {1, 2}, "b": {3}}

    def test_entries_are_left_as_they_are(self) -> None:
        entries = [{"a": 1}, {"a": 2}]
        run(MergeMappings(), entries)
        assert entries == [{"a": 1}, {"a": 2}]

    @pytest.mark.parametrize("entry", [["a"], "ab", None, ("a", 1)])
    def test_an_entry_that_is_no_mapping_is_refused_by_its_type(self, entry: Any) -> None:
        with pytest.raises(UsageError, match=f"type {type(entry).__name__}; map entries to dicts"):
            run(MergeMappings(), [entry])


class TestGroupBy:
    @UNTIMED
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers())))
    def test_each_key_has_the_result_of_its_own_values(self, pairs: list[tuple[str, int]]) -> None:
        values = defaultdict(list)
        for key, value in pairs:
            values[key].append(value)
        assert merged(GroupBy(Sum()), pairs[::2], pairs[1::2]) == {key: sum(some) for key, some in values.items()}
        assert merged(GroupBy(Count()), pairs[::2], pairs[1::2]) == {key: Counter(some) for key, some in values.items()}
        assert merged(GroupBy(Collect()), pairs[:3], pairs[3:]) == values

    def test_it_is_ordered_and_kept_as_its_inner_aggregator_is(self) -> None:
        assert GroupBy(Collect()).ordered
        assert not GroupBy(Mean()).ordered
        assert GroupBy(Mean()).stored
        assert str(GroupBy(GroupBy(Size()))) == "GroupBy(GroupBy(Size))"

    def test_the_inner_aggregator_is_named_in_any_of_the_ways(self) -> None:
        for inner in (Size, "size", Size()):
            assert run(GroupBy(inner), [("a", 1), ["a", 2]]) == {"a": 2}
        assert run(GroupBy(lambda new, previous: new), [("a", 1), ("a", 2)]) == {"a": 2}

    @UNTIMED
    @given(st.lists(st.tuples(st.sampled_from(["a", 7, None, math.nan]), st.sampled_from(NUMBERS))))
    def test_groups_that_are_summed_become_sums_with_the_same_result(self, pairs: list[tuple[Any, Any]]) -> None:
        groups = GroupBy("sum")
        sums = aggregator_of(groups)
        assert (str(sums), type(sums)) == (str(groups), GroupBySum)
        one, other = (repr(sorted(merged(each, pairs[::2], pairs[1::2]).items(), key=repr)) for each in (groups, sums))
        assert one == other
        assert run(GroupBy(GroupBy("sum")), [(1, pair) for pair in pairs]).keys() == ({1} if pairs else set())

    def test_nothing_else_becomes_sums(self) -> None:
        class Own(GroupBy):
            pass

        for groups in (Own("sum"), GroupBy("mean")):
            assert aggregator_of(groups) is groups
        with pytest.raises(UsageError, match=r"GroupBy\(Sum\) got 5, which is not a pair"):
            run(aggregator_of(GroupBy("sum")), [5])

    @pytest.mark.parametrize("inner", ["nope", 3, dict, TopK])
    def test_an_inner_aggregator_that_is_none_is_refused(self, inner: Any) -> None:
        with pytest.raises(UsageError):
            GroupBy(inner)

    def test_emit_cannot_be_an_inner_aggregator(self) -> None:
        with pytest.raises(UsageError, match="GroupBy cannot hold Emit"):
            GroupBy(Emit(print))

    @pytest.mark.parametrize("entry", ["ab", 5, None, ("a",), ("a", 1, 2), {"a": 1, "b": 2}, "x" * 100])
    def test_an_entry_that_is_no_pair_is_shown(self, entry: Any) -> None:
        """A string of two characters looks like a pair."""
        for entries in ([entry], [("a", 1), entry]):
            with pytest.raises(UsageError, match=r"GroupBy got .*, which is not a pair \(key, value\); put key_by"):
                run(GroupBy(Size()), entries)

    def test_a_pair_of_a_class_of_its_own_is_a_pair(self) -> None:
        assert run(GroupBy(Sum()), [Sale("a", 1), Sale("a", 2)]) == {"a": 3}

    def test_a_key_that_cannot_be_a_key_is_named_by_python(self) -> None:
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            run(GroupBy(Size()), [([], 1)])

    def test_nan_is_one_key_in_the_order_of_its_values(self) -> None:
        pairs = [(float("nan"), number) for number in range(6)]
        result = merged(GroupBy(Collect()), pairs[:4], pairs[4:])
        assert list(result.values()) == [[0, 1, 2, 3, 4, 5]]
