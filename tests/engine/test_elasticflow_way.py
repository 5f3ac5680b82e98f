"""ElasticFlow's interface: a task of a chunk, an aggregate function, windows, and types with their own aggregation."""

from collections import Counter
from typing import Any

import pytest

import elastic
from elastic.aggregators import Count, Emit
from elastic.core.errors import UsageError

ESSAY = ["first the whole", "then the first part", "", "whole and first"]


def test_a_step_and_a_flow_give_the_same_run(cluster: str) -> None:
    def count_words(chunk: list[str]) -> dict[str, int]:
        return dict(Counter(word for line in chunk for word in line.split()))

    lines = ESSAY * 50
    step = elastic.Step(lines, task=count_words, chunk_size=3, cluster=cluster)
    with elastic.StepQueue() as queue:
        queue.add(step)
        one = queue.wait()[0].check()
    flow = elastic.from_iterable(lines, chunk_size=3).flat_map(str.split).aggregate(Count())
    other = flow.run(cluster=cluster)
    assert one.value == dict(other.value) == Counter(" ".join(lines).split())
    assert (one.entries, one.chunks, one.receipts) == (other.entries, other.chunks, other.receipts)


def run(source: Any, **step: Any) -> Any:
    with elastic.StepQueue() as queue:
        queue.add(elastic.Step(source, cluster="inline", **step))
        return queue.wait()[0].check()


def test_a_task_gets_a_chunk_as_a_list_and_the_aggregate_function_what_came_before() -> None:
    calls: list[tuple[Any, Any]] = []

    def aggregate(new: Any, previous: Any) -> Any:
        calls.append((new, previous))
        return new if previous is None else previous + new

    result = run([1, 2, 3, 4, 5], task=lambda chunk: (type(chunk) is list, sum(chunk))[1], aggregator=aggregate,
                 chunk_size=2)  # fmt: skip
    assert result.value == 15
    assert calls[:3] == [(3, None), (7, 3), (5, 10)]


def test_the_window_is_3000_entries_unless_it_is_said_otherwise() -> None:
    def sizes(**given: Any) -> list[int]:
        return list(run(range(7_000), task=len, aggregator="collect", **given).value)

    assert sizes() == [3000, 3000, 1000]
    assert sizes(chunk_size=3_500) == [3500, 3500]
    assert sizes(window=lambda chunk: 1000 * 2**chunk) == [1000, 2000, 4000]


def test_a_window_that_gives_no_number_is_named() -> None:
    with pytest.raises(UsageError, match=r"the return value of the window .* must be a positive integer, not 0"):
        run([1], task=len, window=lambda chunk: 0)


def test_a_list_of_lists_is_read_as_several_and_a_list_of_tuples_is_not() -> None:
    assert run([[1, 2], range(3)], task=list).value == [1, 2, 0, 1, 2]
    assert run([(1, 2), (3, 4)], task=list, aggregator="collect").value == [[(1, 2), (3, 4)]]


def test_tuples_survive_the_journey() -> None:
    assert run([(1, ("a", None)), (2.5, b"x")], task=tuple, aggregator="collect").value == [
        ((1, ("a", None)), (2.5, b"x")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "value"),
    [
        (sum, 10),
        (lambda chunk: "".join(map(str, chunk)), "01234"),
        (lambda chunk: chunk, [0, 1, 2, 3, 4]),
        (lambda chunk: dict.fromkeys(chunk, 1), {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}),
        (lambda chunk: (len(chunk),), [(2,), (2,), (1,)]),
        (lambda chunk: float(chunk[-1]), 4.0),
    ],
)
def test_results_are_joined_by_their_type_unless_it_is_said_otherwise(task: Any, value: Any) -> None:
    assert run(range(5), task=task, chunk_size=2).value == value


def test_without_aggregation_there_is_one_event_a_chunk_and_no_result() -> None:
    seen: list[list[int]] = []
    assert run(range(10), task=sum, aggregator=Emit(seen.append, ordered=True), chunk_size=2).value is None
    assert [entry for entries in seen for entry in entries] == [1, 5, 9, 13, 17]
    result = run(range(10), task=sum, aggregator=None, chunk_size=2)
    assert (result.value, result.receipts["aggregated"]) == (None, 5)


def test_entries_are_projected_before_they_leave_the_master() -> None:
    rows = [{"id": number, "note": f"{number}" * 1_000} for number in range(50)]
    received: list[Any] = []

    def ids(chunk: list[Any]) -> int:
        received.extend(chunk)
        return sum(chunk)

    assert run(rows, task=ids, project=lambda chunk: [row["id"] for row in chunk]).value == sum(range(50))
    assert received == list(range(50))


@pytest.mark.parametrize(
    ("source", "project", "text"),
    [
        ([1, 2], lambda chunk: chunk[:1], r"must return a list with one element for each of the 2 entries"),
        ([1, 2], lambda chunk: tuple(chunk), r"must return a list"),
        ([1, 2], lambda chunk: next(iter(())), r"project=.* failed on chunk 0 \(StopIteration"),
        (elastic.from_range(5)._source, list, "project=list cannot be used, because the workers read this source"),
    ],
    ids=["too few", "no list", "raises", "by reference"],
)
def test_an_invalid_projection_is_explained(source: Any, project: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        run(source, task=len, project=project)
