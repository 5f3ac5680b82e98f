"""Entries on which user code fails: skipped, stored as dead letters or retried, within a budget, and no others."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, FrameGroupBy, GroupBy
from elastic.core.encoding import unpack
from elastic.core.errors import EntryError, StepFailedError, UsageError
from elastic.core.model.failure import Failure

BAD = {7, 299, 300, 4_444, 9_999}
GOOD = sum(number for number in range(10_000) if number not in BAD)


class UnpicklableError(Exception):
    def __init__(self) -> None:
        super().__init__(open(__file__))  # noqa: PTH123, SIM115 - a file cannot be pickled, which is the point

    def __str__(self) -> str:
        raise RuntimeError("and it cannot be printed")

    def __del__(self) -> None:
        self.args[0].close()


def fragile(number: int) -> int:
    if number in BAD:
        raise ValueError(f"bad {number}")
    return number


def leave(number: int) -> int:
    if number in BAD:
        raise SystemExit(3)
    return number


def stop(number: int) -> int:
    if number in BAD:
        raise StopIteration
    return number


def unpicklable(number: int) -> int:
    if number in BAD:
        raise UnpicklableError
    return number


def deep(number: int) -> int:
    return deep(deep(number)) if number in BAD else number


class Watching(elastic.Interceptor):
    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)


def flow(function: Any, chunk_size: int = 300) -> elastic.Flow:
    return elastic.from_range(10_000, chunk_size=chunk_size).map(function).aggregate("sum")


@pytest.mark.parametrize("function", [fragile, leave, stop, unpicklable, deep])
@pytest.mark.parametrize("chunk_size", [1, 300, 10_000])
def test_exactly_the_failing_entries_are_left_out(function: Any, chunk_size: int) -> None:
    watching = Watching()
    options: dict[str, Any] = {"cluster": "inline", "on_error": "skip", "interceptor": watching}
    result = flow(function, chunk_size).run(**options)
    assert result.value == GOOD
    assert (result.entries, result.errors) == (10_000, len(BAD))
    assert f"{len(BAD)} entries failed and are left out" in str(result)
    assert sorted(failure.chunk_id * chunk_size + (failure.index or 0) for failure in watching.failures) == sorted(BAD)


def test_the_same_holds_on_every_transport(cluster: str) -> None:
    result = flow(fragile).run(cluster=cluster, on_error="dead-letter")
    assert (result.value, result.errors) == (GOOD, len(BAD))


def test_an_ordered_result_keeps_its_order_around_skipped_entries() -> None:
    collected = elastic.from_range(10_000, chunk_size=300).map(fragile).aggregate(Collect())
    result = collected.run(cluster="inline", on_error="skip")
    assert result.value == [number for number in range(10_000) if number not in BAD]


def test_a_failing_aggregator_differs_from_a_failing_function() -> None:
    watching = Watching()
    words = elastic.from_iterable([1, 2, "three", 4]).aggregate("sum")
    assert words.run(cluster="inline", on_error="skip", interceptor=watching).value == 7
    (failure,) = watching.failures
    assert failure.function == "aggregator Sum"
    assert failure.place == "entry 2"


def test_a_dead_letter_keeps_the_entry_its_place_its_reason_and_its_receipt(tmp_path: Path) -> None:
    from elastic.run_history import RunHistory

    text = tmp_path / "numbers.txt"
    text.write_text("1\n2\nthree\n4\n")
    numbers = elastic.read_text(text).map(int).aggregate("sum")
    result = numbers.run(cluster="inline", on_error="dead-letter")
    assert result.value == 7
    history = RunHistory.of_environment()
    with history._store(result.run_id) as store:
        (letter,) = store.dead_letters(0)
    assert unpack(letter.entry) == "three"
    assert str(text) in letter.failure.place
    assert "byte 4" in letter.failure.place
    assert letter.failure.error_type == "ValueError"
    assert "invalid literal" in letter.failure.traceback
    assert (letter.failure.node_id, letter.attempts) == ("inline", 1)
    told = history.decode(letter.receipt)
    assert (told["run_id"], told["stage"], told["entries"]) == (result.run_id, "processed", 4)


def test_the_first_failure_ends_the_step_by_default() -> None:
    with pytest.raises(StepFailedError, match=r"map\(.*fragile.*\) failed on number 7 .*: ValueError: bad 7"):
        flow(fragile).run(cluster="inline")


@pytest.mark.parametrize(
    ("budget", "ends"),
    [
        ({"max_errors": 5}, False),
        ({"max_errors": 4}, True),
        ({"max_error_ratio": 0.0005}, False),
        ({"max_error_ratio": 0.0004}, True),
    ],
)
def test_a_budget_of_errors_ends_the_step_when_it_is_exceeded(budget: dict[str, Any], *, ends: bool) -> None:
    if not ends:
        assert flow(fragile).run(cluster="inline", on_error="skip", **budget).value == GOOD
        return
    with pytest.raises(StepFailedError, match=next(iter(budget))):
        flow(fragile).run(cluster="inline", on_error="skip", **budget)


def test_an_entry_is_tried_again_as_often_as_its_exception_allows() -> None:
    tries: dict[int, int] = {}

    def shaky(number: int) -> int:
        tries[number] = tries.get(number, 0) + 1
        if number == 5 and tries[number] < 9:
            raise ConnectionError("try later")
        if number == 6:
            raise KeyError("never")
        return number

    options: dict[str, Any] = {"cluster": "inline", "retry_delay": 0.001, "on_error": "skip"}
    shakily = elastic.from_range(10, chunk_size=10).map(shaky).aggregate("sum")
    result = shakily.run(retries={OSError: 9}, **options)
    assert (result.value, result.errors) == (45 - 6, 1)
    tries.clear()
    with pytest.raises(StepFailedError, match="try later"):
        elastic.from_range(6).map(shaky).aggregate("sum").run(cluster="inline", retries={OSError: 2}, retry_delay=0.001)


@pytest.mark.parametrize(("whole_chunks", "left_out"), [(False, 5), (True, 1500)])
def test_a_function_of_a_whole_chunk_sees_parts_of_it_only_if_it_may(left_out: int, *, whole_chunks: bool) -> None:
    def task(numbers: list[int]) -> list[int]:
        return [fragile(number) for number in numbers]

    chunks = elastic.from_range(10_000, chunk_size=500).map_chunks(task).aggregate("size")
    result = chunks.run(cluster="inline", on_error="dead-letter", whole_chunks=whole_chunks)
    assert (result.value, result.errors) == (10_000 - left_out, left_out)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"on_error": "ignore"}, "on_error='ignore' must be one of fail, skip, dead-letter"),
        ({"max_errors": 3}, "need on_error"),
        ({"on_error": "skip", "max_errors": -1}, "max_errors=-1"),
        ({"on_error": "skip", "max_error_ratio": 2}, "max_error_ratio=2"),
        ({"retries": {"ValueError": 2}}, "retries="),
        ({"retries": {ValueError: True}}, "retries="),
        ({"chunk_timeout": 0}, "chunk_timeout=0"),
        ({"retry_delay": "1s"}, "retry_delay='1s'"),
    ],
)
def test_a_tolerance_that_cannot_be_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        flow(fragile).run(cluster="inline", **options)


class Opaque:
    """Not plain data."""


class OpaqueReader(elastic.Reader):
    def read_block(self, reference: Any) -> bytes:
        return b""

    def parse(self, reference: Any, block: bytes) -> list[Any]:
        return [1, Opaque(), 3]


class OpaqueSource(elastic.Source):
    def cut(self, position: Any = None) -> Any:
        yield elastic.SourcePiece((0,), (0, 3))

    def reader(self) -> OpaqueReader:
        return OpaqueReader()

    def describe(self) -> dict[str, Any]:
        return {"kind": "opaque"}


def test_an_entry_that_is_no_plain_data_is_kept_as_a_text_and_not_redriven() -> None:
    flow = elastic.from_source(OpaqueSource()).aggregate("sum")
    result = flow.run(cluster="inline", on_error="dead-letter")
    (letter,) = elastic.dead_letters(result.run_id)
    assert "Opaque" in unpack(letter.entry)
    assert not letter.exact
    with pytest.raises(UsageError, match="not plain data"):
        elastic.redrive(result.run_id, flow, cluster="inline")


#: All entries that were ever merged.
MERGED: list[int] = []


class Gathering(elastic.Aggregator[int, list[int], list[int]]):
    """Collects entries. Its first `merge` fails in the middle, after some of them were merged."""

    def create(self) -> list[int]:
        return []

    def add(self, state: list[int], entry: int) -> list[int]:
        return [*state, entry]

    def merge(self, state: list[int], other: list[int]) -> list[int]:
        for entry in other:
            state.append(entry)
            MERGED.append(entry)
            if len(MERGED) == 3:
                raise MemoryError("not now")
        return state

    def finish(self, state: list[int]) -> list[int]:
        return sorted(state)


@pytest.mark.parametrize("options", [{"on_error": "skip"}, {"retries": 2}], ids=str)
def test_a_merge_that_fails_in_the_middle_is_not_tried_again(options: dict[str, Any]) -> None:
    MERGED.clear()
    gathered = elastic.from_range(100, chunk_size=5).aggregate(Gathering())
    with pytest.raises(
        StepFailedError, match=r"aggregator Gathering failed on the merge of the state of chunk \d+ with"
    ):
        gathered.run(cluster="inline", max_chunks_per_call=1, **options)
    assert elastic.resume("last", gathered, allow_code_change=True, cluster="inline").value == list(range(100))


@pytest.mark.parametrize("aggregator", [GroupBy("sum"), FrameGroupBy("missing", rows="count")], ids=str)
def test_a_run_in_which_every_entry_failed_is_never_complete(aggregator: Any) -> None:
    wrong = elastic.from_range(10, chunk_size=3).aggregate(aggregator)
    with pytest.raises(StepFailedError, match=r"all 10 entries failed, the first of them: .* failed on number 0"):
        wrong.run(cluster="inline", on_error="skip")


def test_when_all_entries_failed_their_dead_letters_can_be_redriven() -> None:
    numbers = elastic.from_iterable(["1 EUR", "2 EUR"], chunk_size=1)
    with pytest.raises(StepFailedError, match="all 2 entries failed"):
        numbers.map(int).aggregate("sum").run(cluster="inline", on_error="dead-letter")
    assert [unpack(letter.entry) for letter in elastic.dead_letters("last")] == ["1 EUR", "2 EUR"]
    repaired = numbers.map(lambda price: int(price.split()[0])).aggregate("sum")
    result = elastic.redrive("last", repaired, cluster="inline")
    assert (result.value, result.errors, elastic.dead_letters("last")) == (3, 0, [])
    assert elastic.verify("last").ok


def test_the_error_of_a_step_has_what_the_function_raised_as_its_cause(cluster: str) -> None:
    with pytest.raises(StepFailedError) as caught:
        elastic.from_range(10).map(fragile).aggregate("sum").run(cluster=cluster)
    cause = caught.value.__cause__
    if cluster == "inline":
        assert (type(cause), str(cause)) == (ValueError, "bad 7")
        return
    assert (type(cause), str(cause)) == (EntryError, "ValueError: bad 7")
    assert "in fragile" in cause.__notes__[0]


@cache
def doubled(number: int) -> int:
    return doubled(number - 1) + 2 if number else 0


def test_a_function_that_keeps_its_results_works_wherever_it_runs(cluster: str) -> None:
    assert elastic.from_range(10).map(doubled).aggregate("sum").run(cluster=cluster).value == 90


def test_the_place_of_bad_bytes_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a":\n')
    with pytest.raises(
        StepFailedError, match=r"the reader failed on line 2 of .*byte 9.* DecodingError: the"
    ) as caught:
        elastic.read_jsonl(path).aggregate("size").run(cluster="inline")
    assert str(caught.value).count("byte 9") == str(caught.value).count(str(path)) == 1


def test_a_chunk_that_is_incompatible_with_others_is_reported_as_such() -> None:
    flow = elastic.from_iterable([1, "a"], chunk_size=1).aggregate("max")
    with pytest.raises(
        StepFailedError, match=r"chunk 1 .*an entry may be incompatible with the entries of other chunks"
    ):
        flow.run(cluster="inline")
