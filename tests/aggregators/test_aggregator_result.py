"""ByType, Emit, FunctionAggregator, and the choice of an aggregator."""

import functools
import math
import operator
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.aggregators import (
    ByType,
    Count,
    Emit,
    FunctionAggregator,
    MergeMappings,
    Nothing,
    Sum,
    TopK,
    aggregator_of,
)
from elastic.aggregators import __all__ as public_names
from elastic.aggregators.registry import NAMES
from elastic.core.contracts.aggregator import Aggregator, AnyAggregator
from elastic.core.errors import LedgerError, UsageError

UNTIMED = settings(deadline=None)


def travelled(aggregator: AnyAggregator, entries: Any) -> Any:
    return aggregator.decode(aggregator.encode(aggregator.add_many(aggregator.create(), entries)))


def merged(aggregator: AnyAggregator, *pieces: Any) -> Any:
    """Return the result over pieces that were added on workers and sent."""
    whole = aggregator.create()
    for piece in pieces:
        whole = aggregator.merge(whole, travelled(aggregator, piece))
    return aggregator.finish(whole)


class TestByType:
    def test_mappings_are_merged_and_their_values_added(self) -> None:
        assert merged(ByType(), [{"a": 1, "b": 1}], [{"b": 2}, {"c": 5}]) == {"a": 1, "b": 3, "c": 5}
        assert merged(ByType(), [Counter("ab")], [Counter("b")]) == {"a": 1, "b": 2}

    def test_floats_in_mappings_are_added_exactly_in_any_grouping(self) -> None:
        entries = [{"x": number} for number in (1e308, 0.1, 0.2, 1e308, 0.3, -1e308, -1e308)]
        for cut in range(8):
            assert merged(ByType(), entries[:cut], entries[cut:]) == {"x": math.fsum([0.1, 0.2, 0.3])}

    def test_lists_of_pairs_are_merged_like_mappings_and_stay_lists(self) -> None:
        assert merged(ByType(), [[("a", 1), ("b", 2), ("a", 4)]], [[], [("b", 3)]]) == [("a", 5), ("b", 5)]
        assert merged(ByType(), [[]], [[("a", 1)]]) == [("a", 1)]

    def test_other_lists_are_concatenated_in_order(self) -> None:
        assert merged(ByType(), [[3], [1, 2]], [[], [("a", 1), 5]]) == [3, 1, 2, ("a", 1), 5]
        assert merged(ByType(), [[(1, 2)]], [[(1, 3)]]) == [(1, 2), (1, 3)]
        assert merged(ByType(), [[]], []) == []

    def test_integers_are_added(self) -> None:
        assert merged(ByType(), [1, 2], [2**70]) == 2**70 + 3

    def test_strings_are_concatenated_in_order(self) -> None:
        assert merged(ByType(), ["the ", "end"], ["", "."]) == "the end."
        assert merged(ByType(), [b"a"], [b"b"]) == b"ab"

    def test_tuples_and_booleans_are_collected_in_a_list(self) -> None:
        assert merged(ByType(), [("a", 1)], [("b",), ()]) == [("a", 1), ("b",), ()]
        assert merged(ByType(), [True], [False]) == [True, False]

    def test_a_callable_is_asked_for_its_value(self) -> None:
        assert merged(ByType(), [functools.partial(int, "5"), 3], [lambda: 4]) == 12
        assert merged(ByType(), [lambda: lambda: ["x"]], [["y"]]) == ["x", "y"]

    @pytest.mark.parametrize("values", [[1.5, 2.5], [None, None], [{1}, {2}], [1.5, None, {3}], [Fraction(1, 2)]])
    def test_of_anything_else_the_latest_stays(self, values: list[Any]) -> None:
        assert merged(ByType(), values[:1], values[1:]) == values[-1]

    def test_nothing_gives_none(self) -> None:
        assert merged(ByType(), [], []) is None

    @pytest.mark.parametrize(
        ("one", "other", "kinds"),
        [({"a": 1}, [1], "mapping and list"), (1, "a", "integer and text"), ([("a", 1)], [1], "pairs and list")],
    )
    def test_results_of_different_types_are_refused(self, one: Any, other: Any, kinds: str) -> None:
        for pieces in ([[one, other]], [[one], [other]]):
            with pytest.raises(UsageError, match=f"cannot be joined \\({kinds}\\); return the same type"):
                merged(ByType(), *pieces)

    def test_entries_are_left_as_they_are(self) -> None:
        for entry, before in (([1], [1]), ({"a": [1]}, {"a": [1]})):
            merged(ByType(), [entry, entry], [entry])
            assert entry == before


class TestFunctionAggregator:
    def test_the_function_gets_the_new_result_and_what_it_returned_last(self) -> None:
        calls: list[tuple[Any, Any]] = []

        def aggregate(new: int, previous: int | None) -> int:
            calls.append((new, previous))
            return new + (previous or 0)

        aggregator = FunctionAggregator(aggregate)
        state = travelled(aggregator, [1, 2])
        assert calls == []
        state = aggregator.merge(state, travelled(aggregator, [3]))
        assert calls == [(1, None), (2, 1), (3, 3)]
        state = aggregator.merge(state, travelled(aggregator, [4]))
        assert calls[3:] == [(4, 6)]
        assert aggregator.finish(state) == 10
        assert len(calls) == 4

    @UNTIMED
    @given(st.lists(st.text()), st.integers(0, 9), st.integers(0, 9))
    def test_results_are_folded_in_the_order_of_the_chunks(self, entries: list[str], one: int, other: int) -> None:
        first, second = sorted((one, other))
        aggregator = FunctionAggregator(lambda new, previous: [*(previous or []), new])
        pieces = entries[:first], entries[first:second], entries[second:]
        assert aggregator.ordered
        assert merged(aggregator, *pieces) == (entries or None)

    def test_a_function_may_change_what_it_returned_last(self) -> None:
        def aggregate(new: int, previous: list[int] | None) -> list[int]:
            previous = [] if previous is None else previous
            previous.append(new)
            return previous

        aggregator = FunctionAggregator(aggregate)
        state = aggregator.merge(travelled(aggregator, [1]), travelled(aggregator, [2]))
        middle = aggregator.finish(state)
        state = aggregator.merge(state, travelled(aggregator, [3]))
        assert (middle, aggregator.finish(state)) == ([1, 2], [1, 2, 3])

    def test_a_function_may_return_nothing(self) -> None:
        seen: list[tuple[int, None]] = []
        aggregator = FunctionAggregator(lambda new, previous: seen.append((new, previous)))
        assert merged(aggregator, [1], [2], [3]) is None
        assert seen == [(1, None), (2, None), (3, None)]

    def test_a_function_may_return_values_that_are_not_plain_data(self) -> None:
        aggregator = FunctionAggregator(lambda new, previous: {*(previous or ()), frozenset([object, new])})
        assert merged(aggregator, [1], [2]) == {frozenset([object, 1]), frozenset([object, 2])}

    def test_an_error_of_the_function_comes_out_as_it_is(self) -> None:
        aggregator = FunctionAggregator(lambda new, previous: new / previous if previous is not None else new)
        with pytest.raises(ZeroDivisionError):
            merged(aggregator, [1], [0], [0])

    def test_a_result_that_comes_out_of_turn_is_refused(self) -> None:
        aggregator = FunctionAggregator(operator.add)
        folded = aggregator.merge(travelled(aggregator, []), travelled(aggregator, ["a"]))
        folded = FunctionAggregator(lambda new, previous: new).merge(folded, travelled(aggregator, ["b"]))
        with pytest.raises(LedgerError, match="out of order"):
            aggregator.merge(travelled(aggregator, ["c"]), folded)


class TestEmit:
    def test_each_partial_is_received_once_when_the_master_folds_it(self) -> None:
        received: list[list[int]] = []
        emit = Emit(received.append)
        state = emit.create()
        for entries in ([1, 2], [], [3]):
            state = emit.merge(state, travelled(emit, entries))
            assert state == emit.create()
        assert received == [[1, 2], [3]]
        assert emit.finish(state) is None

    def test_a_node_joins_what_its_workers_hold_without_receiving_it(self) -> None:
        received: list[list[int]] = []
        emit = Emit(received.append)
        joined = emit.merge(emit.merge(travelled(emit, []), travelled(emit, [1])), travelled(emit, [2]))
        assert received == []
        emit.merge(emit.create(), emit.decode(emit.encode(joined)))
        assert received == [[1, 2]]

    def test_entries_come_in_the_order_in_which_they_were_added(self) -> None:
        received: list[int] = []
        emit = Emit(received.extend, ordered=True)
        assert emit.ordered
        state = emit.add_many(emit.add(emit.add(emit.create(), 1), 2), iter([3, 4]))
        emit.merge(emit.create(), state)
        assert received == [1, 2, 3, 4]

    def test_it_is_neither_kept_nor_does_it_grow(self) -> None:
        emit = Emit(len)
        state = emit.create()
        for _ in range(100):
            state = emit.merge(state, travelled(emit, range(100)))
        assert not emit.stored
        assert len(emit.encode(state)) == 1

    def test_the_function_stays_where_the_flow_was_made(self) -> None:
        with Path(__file__).open() as cannot_be_sent:
            copy = pickle.loads(pickle.dumps(Emit(cannot_be_sent.fileno, ordered=True)))
        assert copy.ordered
        assert copy.decode(copy.encode(copy.add_many(copy.create(), [1, 2]))) == [1, 2]
        with pytest.raises(UsageError, match="stayed in another process"):
            copy.merge(copy.create(), [1])

    def test_an_error_of_the_function_comes_out_as_it_is(self) -> None:
        emit = Emit(lambda entries: entries[9])
        with pytest.raises(IndexError):
            emit.merge(emit.create(), [1])

    def test_what_cannot_be_called_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"Emit got 'rows\.txt'; pass a function"):
            Emit("rows.txt")  # type: ignore[arg-type]


class Own(Aggregator[Any, int, int]):
    def __init__(self, weight: int = 1, *more: int, **named: int) -> None:
        self.weight = weight

    def create(self) -> int:
        return 0

    def add(self, state: int, entry: Any) -> int:
        return state + self.weight

    def merge(self, state: int, other: int) -> int:
        return state + other

    def finish(self, state: int) -> int:
        return state


class Unfinished(Aggregator[Any, int, int]):
    def create(self) -> int:
        return 0

    def add(self, state: int, entry: Any) -> int:
        return state


class Needy(Own):
    def __init__(self, size: int, *, colour: str) -> None:
        super().__init__()


class Able(Own):
    def __call__(self, new: Any, previous: Any) -> Any:
        return new


class TestAggregatorOf:
    def test_an_instance_is_meant_itself(self) -> None:
        for instance in (Count(), Own(3), Able()):
            assert aggregator_of(instance) is instance

    def test_a_class_is_made_without_arguments(self) -> None:
        assert type(aggregator_of(Own)) is Own
        assert type(aggregator_of(MergeMappings)) is MergeMappings

    def test_none_means_completion_only(self) -> None:
        assert type(aggregator_of(None)) is Nothing

    @pytest.mark.parametrize("function", [lambda new, previous: new, functools.partial(max, 1)])
    def test_a_function_of_two_aggregates(self, function: Any) -> None:
        chosen = aggregator_of(function)
        assert type(chosen) is FunctionAggregator
        assert chosen.aggregate is function

    @pytest.mark.parametrize(
        "function", [lambda new: new, lambda a, b, c: a, lambda: 0, lambda new, *, previous: new, operator.neg]
    )
    def test_a_function_of_something_else_is_refused(self, function: Any) -> None:
        with pytest.raises(UsageError, match=r"does not take two arguments; write it as aggregate\(new, previous\)"):
            aggregator_of(function)

    def test_a_name_means_a_built_in_aggregator(self) -> None:
        assert type(aggregator_of("count")) is Count
        assert type(aggregator_of(" Sum ")) is Sum

    def test_every_name_leads_to_a_public_class_and_every_class_has_one(self) -> None:
        assert set(NAMES.values()) == {*public_names} - {"FunctionAggregator", "aggregator_of"}
        for name in NAMES:
            try:
                assert type(aggregator_of(name)).__name__ == NAMES[name]
            except UsageError as error:
                assert f"{NAMES[name]} needs arguments" in str(error)

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("cuont", "did you mean 'count'"),
            ("average", "there are approximate_distinct, by_type"),
            ("topk", "'top_k'"),
        ],
    )
    def test_an_unknown_name_gets_the_near_ones(self, name: str, hint: str) -> None:
        with pytest.raises(UsageError, match=f"there is no aggregator '{name}'; .*{hint}"):
            aggregator_of(name)

    def test_a_class_that_needs_arguments_says_which(self) -> None:
        with pytest.raises(UsageError, match=r"TopK needs arguments; pass TopK\(k\)"):
            aggregator_of(TopK)
        with pytest.raises(UsageError, match=r"GroupBy needs arguments; pass GroupBy\(inner\)"):
            aggregator_of("group_by")
        with pytest.raises(UsageError, match=r"Needy needs arguments; pass Needy\(size, colour\)"):
            aggregator_of(Needy)

    def test_the_error_of_an_incomplete_class_names_the_missing_methods(self) -> None:
        with pytest.raises(UsageError, match="Unfinished is not complete; define its methods finish, merge"):
            aggregator_of(Unfinished)

    @pytest.mark.parametrize("value", [dict, Counter, int])
    def test_another_class_is_refused(self, value: type) -> None:
        with pytest.raises(UsageError, match=f"class {value.__name__} is not an aggregator; pass an aggregator"):
            aggregator_of(value)

    @pytest.mark.parametrize("value", [5, [], {"module": "x"}, b"count", 1.5])
    def test_anything_else_is_refused_and_shown(self, value: Any) -> None:
        with pytest.raises(UsageError, match=f"\\({type(value).__name__}\\) is not an aggregator; pass an aggregator"):
            aggregator_of(value)
