"""Many small chunks, one large chunk, and the memory of the master."""

import tracemalloc
from collections.abc import Iterator

import pytest

import elastic
from elastic.aggregators import Nothing, Sum
from elastic.core.errors import StepFailedError


def test_ten_thousand_chunks_of_one_entry_are_exact(cluster: str) -> None:
    result = elastic.from_range(10_000, chunk_size=1).aggregate(Sum()).run(cluster=cluster)
    assert (result.value, result.chunks, result.entries) == (sum(range(10_000)), 10_000, 10_000)
    assert set(result.receipts.values()) == {10_000}


def test_ten_thousand_chunks_that_are_kept_first_are_exact() -> None:
    result = elastic.from_iterable(iter(range(10_000)), chunk_size=1).aggregate(Sum()).run(cluster="inline")
    assert (result.value, result.chunks) == (sum(range(10_000)), 10_000)


def test_one_chunk_of_a_million_entries_is_exact(cluster: str) -> None:
    numbers = list(range(1_000_000))
    result = elastic.from_iterable(numbers, chunk_size=1_000_000).aggregate(Sum()).run(cluster=cluster)
    assert (result.value, result.chunks, result.entries) == (sum(numbers), 1, 1_000_000)


def peak_of(chunks: int) -> int:
    """Return the peak memory of a run of some chunks, in bytes."""
    flow = elastic.from_range(chunks, chunk_size=1).aggregate(Nothing())
    tracemalloc.start()
    try:
        assert flow.run(cluster="inline", max_chunks_in_flight=1_000).chunks == chunks
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_the_master_holds_does_not_grow_with_the_number_of_chunks() -> None:
    peak_of(100)  # the first run imports modules
    assert peak_of(20_000) < 1.5 * peak_of(4_000)


def test_a_generator_is_read_no_further_than_the_look_ahead() -> None:
    read = done = most = 0

    def numbers() -> Iterator[int]:
        nonlocal read, most
        for number in range(2_000):
            read += 1
            most = max(most, read - done)
            yield number

    class Watch(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            nonlocal done
            done = task_count

    result = elastic.from_iterable(numbers(), chunk_size=1).run(
        cluster="inline", max_chunks_in_flight=50, interceptor=Watch()
    )
    assert (result.chunks, read) == (2_000, 2_000)
    # One entry more than the look-ahead, which shows whether the source has another one.
    assert 1 < most <= 51


def test_a_source_without_an_end_is_not_read_before_it_is_asked_for() -> None:
    def numbers() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    def bad(number: int) -> float:
        return 1 / (number - 500)

    flow = elastic.from_iterable(numbers(), chunk_size=10).map(bad)
    with pytest.raises(StepFailedError, match=r"failed on entry 500 \(chunk 50\): ZeroDivisionError"):
        flow.run(cluster="inline")
