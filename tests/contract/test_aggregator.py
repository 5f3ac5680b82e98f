"""Contract of all aggregators, including those of users."""

import contextlib
import copy
import itertools
import math
import operator
import pickle
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from frame_samples import FRAME_CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from keyed_samples import KEYED_CASES
from own_samples import Longest, at_of, joined, list_of
from ray import cloudpickle

from elastic.aggregators import (
    ApproximateDistinct,
    ByType,
    Collect,
    Count,
    Distinct,
    Emit,
    FunctionAggregator,
    GroupBy,
    Histogram,
    Latest,
    Max,
    Mean,
    MergeMappings,
    Min,
    Nothing,
    Quantiles,
    Reduce,
    Size,
    Stdev,
    Sum,
    TopK,
    Variance,
)
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError
from elastic.core.frames import is_frame, sorted_rows

TEXT = "the of a to and in is it you that he was the a the a the Ä"
WORDS = [*TEXT.split(), "\udcff", *TEXT.split(), "\udcff"]
INTEGERS = [3, -1, 4, 1, -5, 9, 2, 6, 5, 3, 5, -(2**70), 2**63, 0, 7, 7, 1]
FLOATS = [1e308, 1e308, -1e308, 0.1, 0.2, 0.3, 1e-308, 5e-324, -5e-324, 1e16, 1.0, -1e16, -0.0, 2.5, 2.5, -1e308]
UNSOUND = [1.5, math.nan, -2.5, math.inf, 3.5, math.nan, 7.0]
PAIRS = [(word[0], len(word) + index) for index, word in enumerate(WORDS)]
ROWS = [{"at": index % 5, "name": word} for index, word in enumerate(WORDS)]


@dataclass(frozen=True)
class Case:
    make: Callable[[], AnyAggregator]
    given: list[Any]

    @property
    def entries(self) -> list[Any]:
        """Return new entries for each use, because a function may change them."""
        return copy.deepcopy(self.given)


CASES: dict[str, Case] = {
    "count": Case(Count, WORDS),
    "count-nan": Case(Count, [1.5, math.nan, float("nan"), -math.nan, (1, "a"), None, b"x", 1.5]),
    "size": Case(Size, WORDS),
    "sum-integers": Case(Sum, INTEGERS),
    "sum-floats": Case(Sum, [*FLOATS, 2**80, True]),
    "sum-unsound": Case(Sum, [*FLOATS, math.inf]),
    "sum-nan": Case(Sum, UNSOUND),
    "sum-decimals": Case(Sum, [Decimal("0.10"), Decimal("1E+40"), Decimal("-0.0200"), 3, Decimal("1E-40")]),
    "sum-fractions": Case(Sum, [Fraction(1, 3), Fraction(-1, 7), 2, Fraction(5, 2**80)]),
    "mean-floats": Case(Mean, FLOATS),
    "mean-mixed": Case(Mean, [*INTEGERS, 0.1, Fraction(1, 3)]),
    "variance": Case(Variance, [*FLOATS[3:], *INTEGERS]),
    "variance-decimals": Case(Variance, [Decimal("0.1"), Decimal("0.25"), Decimal("1E+9"), 4]),
    "variance-nan": Case(Variance, UNSOUND),
    "stdev": Case(lambda: Stdev(ddof=0), FLOATS),
    "min": Case(Min, [*INTEGERS, *FLOATS, 1.0, True]),
    "min-nan": Case(Min, [math.nan, 2, math.nan, 2.0, math.nan, 3]),
    "max": Case(Max, WORDS),
    "max-ties": Case(lambda: Max(key=at_of), ROWS),
    "max-zero": Case(Max, [-1.0, -0.0, 0, 0.0, False, math.nan]),
    "top-k": Case(lambda: TopK(7), [*INTEGERS, 9.0, 7.0, True, math.nan]),
    "top-k-ties": Case(lambda: TopK(6, key=at_of), ROWS),
    "top-k-few": Case(lambda: TopK(50), UNSOUND),
    "collect": Case(Collect, [*WORDS, None, (1, 2)]),
    "latest": Case(Latest, [*WORDS, None, "last"]),
    "latest-by": Case(lambda: Latest(by=at_of), ROWS),
    "reduce": Case(lambda: Reduce(operator.add, "begin: "), WORDS),
    "reduce-in-place": Case(lambda: Reduce(operator.iadd), [[1], [2, 3], [], [4], [5]]),
    "reduce-commutative": Case(lambda: Reduce(math.gcd, commutative=True), [12, 18, 24, 600]),
    "merge-mappings": Case(
        MergeMappings, [{"a": 1, "b": 0.1}, {}, {"b": 0.2, "a": 2}, {"b": 0.3, "c": "x"}, {"c": "y"}, {}]
    ),
    "merge-mappings-max": Case(lambda: MergeMappings(max, commutative=True), [{w: i} for i, w in enumerate(WORDS)]),
    "merge-mappings-floats": Case(lambda: MergeMappings(commutative=True), [{"x": one, 1: 1} for one in FLOATS]),
    "group-by-size": Case(lambda: GroupBy(Size()), PAIRS),
    "group-by-sum": Case(lambda: GroupBy(Sum()), [(index % 3, one) for index, one in enumerate(FLOATS)]),
    "group-by-collect": Case(lambda: GroupBy(Collect()), [*PAIRS, (math.nan, 1), (float("nan"), 2), (math.nan, 3)]),
    "group-by-group-by": Case(lambda: GroupBy(GroupBy(Max())), [(k, (v % 3, v)) for k, v in PAIRS]),
    "group-by-function": Case(lambda: GroupBy(joined), [(k, str(v)) for k, v in PAIRS]),
    "distinct": Case(Distinct, [*WORDS, math.nan, float("nan"), (1, 2), (1, 2), b"the"]),
    "histogram": Case(lambda: Histogram([-1, 0, 2.5, 7]), [*INTEGERS, *FLOATS, *UNSOUND]),
    "approximate-distinct": Case(lambda: ApproximateDistinct(5), [*WORDS, *FLOATS, *INTEGERS, *range(300), ""]),
    "quantiles": Case(lambda: Quantiles([0, 0.1, 0.5, 1]), [*FLOATS, *INTEGERS, math.nan]),
    "nothing": Case(Nothing, WORDS),
    "by-type-mappings": Case(ByType, [{"a": 1, "b": 0.1}, {"b": 0.2}, {"b": 0.3, "c": [1]}, {"c": [2]}]),
    "by-type-pairs": Case(ByType, [[("a", 1), ("b", 2), ("a", 3)], [], [("c", 0.1)], [("c", 0.2), ("a", 4)]]),
    "by-type-text": Case(ByType, WORDS),
    "by-type-tuples": Case(ByType, [(1, 2), True, ("a",)]),
    "function": Case(lambda: FunctionAggregator(joined), WORDS),
    "function-in-place": Case(lambda: FunctionAggregator(list_of), WORDS),
    **{name: Case(*case) for name, case in (FRAME_CASES | KEYED_CASES).items()},
    "own": Case(Longest, WORDS),
}
EXAMPLES = settings(max_examples=min(12, settings().max_examples), deadline=None)


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def canonical(value: Any) -> Any:
    """Return a form that is equal only for results with the same bits; the order of a mapping does not count."""
    if isinstance(value, dict):
        return type(value).__name__, sorted((canonical(key), canonical(one)) for key, one in value.items())
    if is_frame(value):
        return "frame", str(value.schema), [canonical(list(row)) for row in sorted_rows(value).rows()]
    if isinstance(value, set):
        return "set", sorted(map(canonical, value))
    if isinstance(value, list):
        return "list", list(map(canonical, value))
    return type(value).__name__, pack(value)


def result_of(aggregator: AnyAggregator, entries: list[Any]) -> Any:
    """Return the result of adding entry by entry, to which all others are compared."""
    state = aggregator.create()
    for entry in entries:
        state = aggregator.add(state, entry)
    return canonical(aggregator.finish(state))


def pieces_of(entries: list[Any], rng: random.Random) -> list[list[Any]]:
    """Cut entries into chunks, some of them empty."""
    cuts = sorted(rng.randint(0, len(entries)) for _ in range(rng.randint(0, 9)))
    return [entries[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(entries)], strict=True)]


def added(aggregator: AnyAggregator, entries: list[Any], rng: random.Random) -> Any:
    """Return the state of a worker, made by one of the ways to add, and perhaps sent."""
    state = aggregator.create()
    cut = rng.randint(0, len(entries))
    state = aggregator.add_many(state, iter(entries[:cut]))
    for entry in entries[cut:]:
        state = aggregator.add(state, entry)
    return travelled(aggregator, state, rng)


def travelled(aggregator: AnyAggregator, state: Any, rng: random.Random) -> Any:
    return aggregator.decode(aggregator.encode(state)) if rng.random() < 0.5 else state


def joined_in(aggregator: AnyAggregator, state: Any, other: Any, rng: random.Random) -> Any:
    if rng.random() < 0.5:
        return aggregator.merge_encoded(state, aggregator.encode(other))
    return aggregator.merge(state, other)


def merged(aggregator: AnyAggregator, states: list[Any], rng: random.Random) -> Any:
    """Merge states as the contract allows: in order from the left, or in any order and grouping."""
    if aggregator.ordered:
        whole = states[0]
        for state in states[1:]:
            whole = joined_in(aggregator, travelled(aggregator, whole, rng), state, rng)
        return whole
    while len(states) > 1:
        one, other = (states.pop(rng.randrange(len(states))) for _ in range(2))
        states.append(travelled(aggregator, joined_in(aggregator, one, other, rng), rng))
    return states[0]


class TestLaws:
    @EXAMPLES
    @given(seed=st.integers(min_value=0))
    @pytest.mark.parametrize("name", sorted(CASES))
    def test_the_result_does_not_depend_on_how_entries_were_grouped_merged_and_sent(self, name: str, seed: int) -> None:
        rng = random.Random(seed)
        aggregator, entries = CASES[name].make(), CASES[name].entries
        expected = result_of(aggregator, CASES[name].entries)
        if not aggregator.ordered:
            rng.shuffle(entries)
        states = [added(aggregator, piece, rng) for piece in pieces_of(entries, rng)]
        assert canonical(aggregator.finish(merged(aggregator, states, rng))) == expected

    def test_merging_with_a_fresh_state_on_either_side_changes_nothing(self, case: Case) -> None:
        aggregator = case.make()
        expected = result_of(aggregator, case.entries)
        for sides in ("left", "right", "both"):
            state = aggregator.add_many(aggregator.create(), case.entries)
            if sides != "right":
                state = aggregator.merge(aggregator.create(), state)
            if sides != "left":
                state = aggregator.merge(state, aggregator.create())
            assert canonical(aggregator.finish(state)) == expected

    def test_two_fresh_states_merge_to_a_fresh_one(self, case: Case) -> None:
        aggregator = case.make()
        both = aggregator.merge(aggregator.create(), aggregator.create())
        assert canonical(aggregator.finish(both)) == result_of(aggregator, [])
        both = aggregator.add_many(both, case.entries)
        assert canonical(aggregator.finish(both)) == result_of(aggregator, case.entries)

    def test_a_state_comes_back_from_its_bytes(self, case: Case) -> None:
        aggregator = case.make()
        for length in (0, 1, len(case.given)):
            state = aggregator.add_many(aggregator.create(), case.entries[:length])
            state = aggregator.decode(aggregator.encode(state))
            assert canonical(aggregator.finish(state)) == result_of(aggregator, case.entries[:length])

    def test_a_fresh_state_comes_back_from_its_bytes_and_goes_on(self, case: Case) -> None:
        aggregator = case.make()
        state = aggregator.decode(aggregator.encode(aggregator.create()))
        state = aggregator.add_many(state, case.entries)
        assert canonical(aggregator.finish(state)) == result_of(aggregator, case.entries)

    def test_adding_many_is_the_same_as_adding_each(self, case: Case) -> None:
        aggregator = case.make()
        for kind in (list, tuple, iter, deque):
            entries = kind(case.entries)
            state = aggregator.add_many(aggregator.create(), entries)
            assert canonical(aggregator.finish(state)) == result_of(aggregator, case.entries)

    def test_a_result_in_the_middle_does_not_change_the_state(self, case: Case) -> None:
        aggregator = case.make()
        half = len(case.given) // 2
        state = aggregator.add_many(aggregator.create(), case.entries[:half])
        before = aggregator.encode(state)
        first, second = aggregator.finish(state), aggregator.finish(state)
        assert canonical(first) == canonical(second) == result_of(aggregator, case.entries[:half])
        if not isinstance(aggregator, Quantiles):  # the digest sorts its values on a query and sets a flag
            assert aggregator.encode(state) == before
        state = aggregator.add_many(state, case.entries[half:])
        assert canonical(aggregator.finish(state)) == result_of(aggregator, case.entries)

    def test_what_a_user_does_to_a_result_does_not_reach_the_state(self, case: Case) -> None:
        aggregator = case.make()
        entries = case.entries
        state = aggregator.add_many(aggregator.create(), entries)
        result = aggregator.finish(state)
        if hasattr(result, "clear") and not any(result is entry for entry in entries):
            result.clear()
        assert canonical(aggregator.finish(state)) == result_of(aggregator, case.entries)

    def test_an_aggregator_holds_no_state(self, case: Case) -> None:
        aggregator = case.make()
        aggregator.finish(aggregator.add_many(aggregator.create(), case.entries))
        assert canonical(aggregator.finish(aggregator.create())) == result_of(case.make(), [])


class TestReading:
    def test_entries_are_read_once_and_to_the_end(self, case: Case) -> None:
        drawn: list[Any] = []

        def draw() -> Iterator[Any]:
            for number, entry in enumerate(case.entries):
                drawn.append(number)
                yield entry
            drawn.append("the end")

        aggregator = case.make()
        aggregator.add_many(aggregator.create(), draw())
        assert drawn == [*range(len(case.given)), "the end"]

    def test_entries_that_ended_early_are_not_read_on(self, case: Case) -> None:
        """A function that raises StopIteration ends `map`, which would continue after the lost entry."""
        aggregator = case.make()
        calls = itertools.count()

        def function(entry: Any) -> Any:
            if next(calls) == 2:
                raise StopIteration
            return entry

        rest = map(function, case.entries)
        state = aggregator.add_many(aggregator.create(), rest)
        assert canonical(aggregator.finish(state)) == result_of(aggregator, case.entries[:2])
        assert len(list(rest)) == len(case.entries) - 3

    def test_an_error_of_an_entry_comes_out_as_it_is(self, case: Case) -> None:
        def draw() -> Iterator[Any]:
            yield from case.entries
            raise KeyError("from the user")

        aggregator = case.make()
        with pytest.raises(KeyError, match="from the user"):
            aggregator.add_many(aggregator.create(), draw())


class TestTravel:
    def test_an_aggregator_is_sent_to_workers(self, case: Case) -> None:
        aggregator = case.make()
        copy = cloudpickle.loads(cloudpickle.dumps(aggregator))
        assert (copy.ordered, copy.stored, str(copy)) == (aggregator.ordered, aggregator.stored, str(aggregator))
        state = aggregator.decode(copy.encode(copy.add_many(copy.create(), case.entries)))
        assert canonical(aggregator.finish(state)) == result_of(aggregator, case.entries)

    def test_pickle_alone_will_do_for_what_it_can_reach_by_name(self, case: Case) -> None:
        aggregator = case.make()
        copy = pickle.loads(pickle.dumps(aggregator))
        assert result_of(copy, case.entries) == result_of(aggregator, case.entries)

    def test_states_are_plain_bytes_without_pickle(self, case: Case) -> None:
        aggregator = case.make()
        data = aggregator.encode(aggregator.add_many(aggregator.create(), case.entries))
        assert type(data) is bytes
        assert b"elastic." not in data
        assert not data.startswith(b"\x80\x04")

    def test_bytes_that_are_cut_short_are_refused(self, case: Case) -> None:
        aggregator = case.make()
        data = aggregator.encode(aggregator.add_many(aggregator.create(), case.entries))
        for length in [*range(min(len(data), 60)), len(data) - 1]:
            with pytest.raises(EncodingError):
                aggregator.decode(data[:length])

    @pytest.mark.parametrize("foreign", ["text", 1.5, {"a": 1}, [1, 2, 3, 4, 5, 6, 7, 8, 8]])
    @pytest.mark.parametrize("name", sorted(CASES.keys() - {"own", "collect"}))
    def test_bytes_of_something_else_are_refused(self, name: str, foreign: Any) -> None:
        with pytest.raises(EncodingError):
            CASES[name].make().decode(pack(foreign))

    @pytest.mark.parametrize("name", ["count", "group-by-size", "distinct", "merge-mappings"])
    @pytest.mark.parametrize("keys", [[["a list"]], ["twice", "twice"]])
    def test_keys_that_cannot_be_keys_are_refused(self, name: str, keys: list[Any]) -> None:
        ones = [1] * len(keys)
        shapes = {
            "count": [keys, ones],
            "group-by-size": [keys, [Size().encode(1)] * len(keys)],
            "distinct": keys,
            "merge-mappings": [keys, ones, [], []],
        }
        with pytest.raises(EncodingError):
            CASES[name].make().decode(pack(shapes[name]))

    @EXAMPLES
    @given(seed=st.integers(min_value=0))
    @pytest.mark.parametrize("name", sorted(CASES))
    def test_damaged_bytes_raise_nothing_but_an_encoding_error(self, name: str, seed: int) -> None:
        rng = random.Random(seed)
        aggregator = CASES[name].make()
        data = bytearray(aggregator.encode(aggregator.add_many(aggregator.create(), CASES[name].entries)))
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(EncodingError):
            aggregator.decode(bytes(data))


def test_every_aggregator_that_is_built_in_is_in_this_suite() -> None:
    from elastic import aggregators

    classes = {getattr(aggregators, name) for name in aggregators.__all__} - {aggregators.aggregator_of}
    assert classes - {type(case.make()) for case in CASES.values()} == {Emit}
