"""StopIteration from a user function ends C-level iteration silently; no entry may be lost by that."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stage_samples import Gather

import elastic
from elastic.aggregators import Collect, Reduce
from elastic.core.errors import EntryError, StepFailedError
from elastic.core.transform import Map
from elastic.stages.worker.pipeline import Pipeline

PRICES = [5, 20, 50, 200, 2000, 7, 3000]
LIMITS = [10, 40, 100, 1000]


def stop(entry: Any) -> Any:
    raise StopIteration


def test_the_trap_is_there_and_the_known_answer_names_the_first_entry_that_falls_into_it(cluster: str) -> None:
    limits = LIMITS

    def classify(price: int) -> int:
        return next(number for number, limit in enumerate(limits) if limit > price)

    assert list(map(classify, PRICES)) == [0, 1, 2, 3]
    flow = elastic.from_iterable(PRICES, chunk_size=3).map(classify).aggregate(Collect())
    with pytest.raises(StepFailedError, match=r"map\(.*classify.*\) failed on entry 4 \(chunk 1\): .*StopIteration"):
        flow.run(cluster=cluster)


def test_the_known_answer_names_both_entries_and_keeps_the_other_five(cluster: str) -> None:
    limits = LIMITS

    def classify(price: int) -> int:
        return next(number for number, limit in enumerate(limits) if limit > price)

    flow = elastic.from_iterable(PRICES, chunk_size=3).map(classify).aggregate(Collect())
    result = flow.run(cluster=cluster, on_error="dead-letter")
    assert result.value == [0, 1, 2, 3, 0]
    assert (result.entries, result.errors) == (7, 2)
    assert [letter.failure.index + 3 * letter.failure.chunk_id for letter in elastic.dead_letters(result.run_id)] == [
        4,
        6,
    ]


def stopping_generator(bad: int) -> Callable[[int], Iterator[int]]:
    def function(entry: int) -> Iterator[int]:
        yield entry
        if entry == bad:
            raise StopIteration
        yield entry

    return function


def stopping(bad: int) -> Callable[[int], int]:
    return lambda entry: stop(entry) if entry == bad else entry


def stopping_list(bad: int) -> Callable[[int], list[int]]:
    return lambda entry: stop(entry) if entry == bad else [entry]


def chunk_stopping(bad: int) -> Callable[[list[int]], list[int]]:
    return lambda entries: stop(entries) if bad in entries else entries


def chunk_generator(bad: int) -> Callable[[list[int]], Iterator[int]]:
    def function(entries: list[int]) -> Iterator[int]:
        for entry in entries:
            yield stop(entry) if entry == bad else entry

    return function


TRAPS: dict[str, tuple[str, Callable[[int], Callable[..., Any]]]] = {
    "map": ("map", stopping),
    "filter": ("filter", stopping),
    "flat_map": ("flat_map", stopping_list),
    "flat_map's generator": ("flat_map", stopping_generator),
    "key_by": ("key_by", stopping),
    "map_chunks": ("map_chunks", chunk_stopping),
    "map_chunks' generator": ("map_chunks", chunk_generator),
}


@pytest.mark.parametrize("bad", [1, 4, 9], ids=["the first entry", "one in the middle", "the last entry"])
@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("before", ["first", "behind a map", "in front of a map"])
def test_no_verb_loses_an_entry_silently(trap: str, bad: int, before: str) -> None:
    verb, function = TRAPS[trap]
    flow = elastic.from_iterable(range(1, 10), chunk_size=3)
    flow = flow.map(lambda entry: entry) if before == "behind a map" else flow
    flow = getattr(flow, verb)(function(bad))
    flow = flow.map(lambda entry: entry) if before == "in front of a map" else flow
    with pytest.raises(StepFailedError, match=rf"^{verb}\(.*\) failed on entry {bad - 1} \(chunk {(bad - 1) // 3}\): "):
        flow.aggregate(Collect()).run(cluster="inline")


@pytest.mark.parametrize("entries", [["bad"], ["good", "bad", "good"], ["good", "good", "bad"]])
def test_an_aggregator_whose_add_raises_it_loses_nothing_silently(entries: list[str]) -> None:
    flow = elastic.from_iterable(entries).aggregate(Gather(add=StopIteration()))
    with pytest.raises(StepFailedError, match=rf"aggregator Gather failed on entry {entries.index('bad')} .*StopIter"):
        flow.run(cluster="inline")


def test_a_function_of_two_that_raises_it_loses_nothing_silently() -> None:
    def add(one: int, other: int) -> int:
        return stop(one) if other == 3 else one + other

    with pytest.raises(StepFailedError, match="StopIteration"):
        elastic.from_iterable([1, 2, 3, 4]).aggregate(Reduce(add)).run(cluster="inline")


def test_an_aggregate_function_that_raises_it_loses_nothing_silently() -> None:
    def aggregate(new: int, previous: int | None) -> int:
        return stop(new) if new == 3 else new

    with pytest.raises(StepFailedError, match="StopIteration"):
        elastic.from_iterable([1, 2, 3, 4], chunk_size=1).aggregate(aggregate).run(cluster="inline")


def test_an_aggregator_that_does_not_read_to_the_end_is_an_error() -> None:
    class Hasty(Gather):
        def add_many(self, state: list[Any], entries: Any) -> list[Any]:
            return [*state, next(iter(entries))]

    with pytest.raises(StepFailedError, match=r"aggregator Hasty failed on .*chunk 0.*add_many stopped early"):
        elastic.from_iterable([1, 2, 3, 4]).aggregate(Hasty()).run(cluster="inline")


def test_a_pass_that_ended_early_does_not_count_as_finished() -> None:
    run = Pipeline((Map(stopping(3)),), [[1, 2], [3], [4]])
    assert list(run) == [1, 2]
    assert not run.finished
    with pytest.raises(EntryError, match="StopIteration"):
        run.check()
