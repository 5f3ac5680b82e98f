"""Entries that fail only together with others, and functions that change entries which run again."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

import elastic
from elastic.aggregators import (
    FrameGroupBy,
    FrameSum,
    FrameTopK,
    GroupBy,
    Max,
    MergeMappings,
    Reduce,
    TopK,
    aggregator_of,
)
from elastic.core.encoding import unpack
from elastic.core.errors import StepFailedError


def among(others: Sequence[Any], stray: Any, at: int) -> list[Any]:
    return [*others[:at], stray, *others[at:]]


NUMBERS = list(range(700))
FLOATS = [float(number) for number in NUMBERS]

#: Aggregators, compatible entries, one that is incompatible with them, and the result without it.
STRAYS: dict[str, tuple[Any, list[Any], Any, Any]] = {
    "max": ("max", NUMBERS, "0", 699),
    "min": ("min", NUMBERS, "0", 0),
    "top_k": (TopK(2), NUMBERS, b"0", [699, 698]),
    "max of tuples": (Max(), [(number, "a") for number in NUMBERS], ("5", 5), (699, "a")),
    "max by key": (Max(key=lambda pair: pair[1]), list(enumerate(NUMBERS)), (0, None), (699, 699)),
    "sum": ("sum", FLOATS, Decimal("0.5"), 244650.0),
    "mean": ("mean", FLOATS, Decimal("0.5"), 349.5),
    "sum by key": (GroupBy("sum"), [("a", one) for one in FLOATS], ("a", Decimal("0.5")), {"a": 244650.0}),
    "max by group": (GroupBy("max"), [("a", one) for one in NUMBERS], ("a", None), {"a": 699}),
    "mappings": (MergeMappings(commutative=True), [{"a": one} for one in NUMBERS], {"a": "b"}, {"a": 244650}),
    "mappings in order": (MergeMappings(), [{"a": [one]} for one in NUMBERS], {"a": 1}, {"a": NUMBERS}),
    "by type": ("by_type", NUMBERS, "text", 244650),
    "a function": (Reduce(lambda one, other: one + other), NUMBERS, "text", 244650),
}


@pytest.mark.parametrize("at", [0, 1, 350, 699, 700])
@pytest.mark.parametrize("what", STRAYS)
def test_an_entry_that_does_not_go_with_the_others_is_found_wherever_it_is(what: str, at: int) -> None:
    aggregator, others, stray, value = STRAYS[what]
    strays = elastic.from_iterable(among(others, stray, at), chunk_size=70).aggregate(aggregator)
    if at == 700 and aggregator_of(aggregator).ordered:
        # With an ordered aggregator, a worker holds no earlier state.
        with pytest.raises(StepFailedError, match=r"in merge on chunk 10: .*map all to one type"):
            strays.run(cluster="inline", on_error="dead-letter", max_chunks_per_call=1)
        return
    result = strays.run(cluster="inline", on_error="dead-letter", collect_interval=1e6)
    (letter,) = elastic.dead_letters(result.run_id)
    if at == 700:
        # Alone in its chunk, so that it fails only against the earlier state.
        assert letter.failure.chunk_id == 10
    assert (result.value, result.entries, result.errors) == (value, 701, 1)
    assert (letter.failure.place, unpack(letter.entry)) == (f"entry {at}", stray)


def test_an_entry_that_does_not_go_with_the_others_is_named_when_none_may_fail() -> None:
    strays = elastic.from_iterable(among(NUMBERS, "350", 350), chunk_size=70).aggregate("max")
    with pytest.raises(StepFailedError, match=r"Max, beside other entries, failed on entry 350 \(chunk 5\): TypeError"):
        strays.run(cluster="inline")


def test_frames_of_other_types_are_left_out_with_the_entries_that_made_them() -> None:
    polars = pytest.importorskip("polars")

    def framed(frame: Any) -> Any:
        return frame.with_columns(polars.col("n").cast(polars.String)) if frame["n"][0] == 35 else frame

    rows = elastic.from_iterable([{"n": number} for number in range(100)], chunk_size=5).map_frames(framed)
    for aggregator, value in [
        (FrameTopK(1, "n"), {"n": [99]}),
        (FrameGroupBy("n", top=("n", "max")), None),
        (FrameSum("n"), {"n": 4950 - 35}),
    ]:
        result = rows.aggregate(aggregator).run(cluster="inline", on_error="skip", max_chunks_per_call=1)
        assert result.errors == 1
        found = result.value if isinstance(result.value, dict) else result.value.to_dict(as_series=False)
        assert value in (None, found)


def test_an_entry_that_fails_beside_a_single_other_one_is_compared_with_the_rest() -> None:
    """The second elements of tuples with equal first elements are compared and raise; other tuples are larger."""
    pairs = elastic.from_iterable([(5, "a"), (5, None), *((n, "a") for n in range(100))], chunk_size=102)
    assert pairs.aggregate("max").run(cluster="inline", on_error="skip").value == (99, "a")


def test_what_does_not_go_with_a_smaller_number_of_entries_before_it_ends_the_step() -> None:
    """One stray entry in the first chunk must not exclude all later entries."""
    strays = elastic.from_iterable(["0", *range(100)], chunk_size=1).aggregate("max")
    with pytest.raises(StepFailedError, match=r"aggregator Max failed .* map all to one type"):
        strays.run(cluster="inline", on_error="skip", max_chunks_per_call=1)


def test_what_has_no_order_is_left_out_though_it_came_before_all_others() -> None:
    nothing = elastic.from_iterable([None, *range(100)], chunk_size=1).aggregate("max")
    result = nothing.run(cluster="inline", on_error="skip", max_chunks_per_call=1)
    assert (result.value, result.errors) == (99, 1)


def test_an_aggregator_without_a_way_back_ends_the_step_and_loses_no_entry() -> None:
    class Longest(elastic.Aggregator[Any, list[Any], Any]):
        """Defines only the four abstract methods."""

        def create(self) -> list[Any]:
            return []

        def add(self, state: list[Any], entry: Any) -> list[Any]:
            return [max([*state, entry])]

        def merge(self, state: list[Any], other: list[Any]) -> list[Any]:
            return [max(state + other)]

        def finish(self, state: list[Any]) -> Any:
            return state[0]

    def flow(entries: list[Any]) -> elastic.Flow:
        return elastic.from_iterable(entries, chunk_size=10).aggregate(Longest())

    result = flow(among(NUMBERS, None, 15)).run(cluster="inline", on_error="skip", max_chunks_per_call=1)
    assert (result.value, result.errors) == (699, 1)
    with pytest.raises(
        StepFailedError, match=r"the merge of the state of .* with that of chunk 0, .* map all to one type"
    ):
        flow([*NUMBERS[:100], None]).run(cluster="inline", on_error="skip", max_chunks_per_call=1)


def raised(row: dict[str, int]) -> int:
    row["n"] += 1
    if row["n"] == 77:
        raise ValueError("seventy-seven")
    return row["n"]


def joined(one: list[int], other: list[int]) -> list[int]:
    one.extend(other)
    return one


def test_what_functions_do_to_their_entries_is_done_once_although_a_chunk_is_run_again() -> None:
    rows = elastic.from_iterable([{"n": number} for number in range(300)], chunk_size=100)
    right = [number for number in range(1, 301) if number != 77]
    assert rows.map(raised).aggregate("collect").run(cluster="inline", on_error="skip").value == right
    counted = rows.map(raised).map(lambda number: [number]).aggregate(Reduce(joined))
    assert counted.run(cluster="inline", on_error="skip").value == right
    tries = iter([True, True])

    def shaky(row: dict[str, int]) -> int:
        row["n"] += 1
        if row["n"] == 50 and next(tries, False):
            raise ConnectionError
        return row["n"]

    again = rows.map(shaky).aggregate("collect")
    options: dict[str, Any] = {"cluster": "inline", "retries": 3, "retry_delay": 0.001}
    assert again.run(**options).value == list(range(1, 301))
