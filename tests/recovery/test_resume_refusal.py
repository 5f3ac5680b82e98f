"""Resumes that are possible or refused; each refusal is one sentence with advice."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, Count, GroupBy, Sum
from elastic.core.contracts.store import StepRecord
from elastic.core.errors import (
    CorruptStoreError,
    SourceChangedError,
    SourceError,
    StepFailedError,
    UnknownRunError,
    UsageError,
)
from elastic.engine.run import run
from elastic.run_history import RunHistory

QUICK: dict[str, Any] = {
    "cluster": "inline", "commit_interval": 1e-9, "collect_interval": 1e-9, "target_call_seconds": 1e-9,
}  # fmt: skip


def fragile(number: int) -> int:
    if number == 777 and os.environ.get("BROKEN"):
        raise ValueError("bad")
    return number


def other(number: int) -> int:
    return number + 1


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "yes")


def left_behind(step: elastic.Step | elastic.Flow) -> str:
    """Run a step that ends in error; return its run."""
    step = step.step() if isinstance(step, elastic.Flow) else step
    with pytest.raises(elastic.ElasticError) as raised:
        run(step.with_options(**QUICK))
    return str(getattr(raised.value, "run_id", "last"))


def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKEN")


def records() -> list[StepRecord]:
    archive = RunHistory.of_environment()
    return archive.steps(archive.find("last"))


def folder_of(run_id: str) -> Path:
    return RunHistory.of_environment().run_folder(run_id)


def refused(kind: type[Exception], text: str, *arguments: Any, **options: Any) -> None:
    """Check that a resume is refused by one sentence, and changes nothing."""
    before = records()
    with pytest.raises(kind, match=text) as raised:
        elastic.resume(*arguments, **{**QUICK, **options})
    said = str(raised.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert records() == before


def numbers(stop: int = 1000) -> elastic.Flow:
    return elastic.from_range(stop, chunk_size=50).map(fragile).aggregate(Sum())


def test_a_step_that_failed_goes_on_when_the_reason_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = left_behind(numbers())
    mended(monkeypatch)
    result = elastic.resume(run_id, numbers(), **QUICK)
    assert (result.value, result.run_id, result.chunks) == (sum(range(1000)), run_id, 20)
    assert elastic.result_of(run_id, numbers()).value == sum(range(1000))


def test_a_step_goes_on_with_another_name_of_its_run_and_other_options(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = left_behind(numbers())
    mended(monkeypatch)
    result = elastic.resume(run_id[:-3], numbers().options(on_error="skip"), **{**QUICK, "target_call_seconds": 1.0})
    assert result.value == sum(range(1000))


def test_a_step_that_fails_again_can_be_resumed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = left_behind(numbers())
    with pytest.raises(StepFailedError, match="bad"):
        elastic.resume(run_id, numbers(), **QUICK)
    mended(monkeypatch)
    assert elastic.resume(run_id, numbers(), **QUICK).counters["resumes"] == 2


def test_ordered_results_go_on_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = elastic.from_range(1000, chunk_size=50).map(fragile).aggregate(Collect())
    run_id = left_behind(flow)
    mended(monkeypatch)
    assert elastic.resume(run_id, flow, **QUICK).value == list(range(1000))


def test_a_complete_step_is_refused_and_says_how_to_see_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    mended(monkeypatch)
    run_id = run(numbers().step(**QUICK)).run_id
    refused(UsageError, rf"step 0 of run {run_id} is complete; `elastic runs value {run_id}", run_id, numbers())


def test_a_run_and_a_step_that_are_not_there_are_named() -> None:
    with pytest.raises(UnknownRunError, match="no run '2026'"):
        elastic.resume("2026", numbers(), **QUICK)
    run_id = left_behind(numbers())
    refused(UsageError, "has no step 3; it has 1, counted from 0", run_id, numbers(), step_number=3)


def test_a_changed_function_is_named_and_can_be_allowed() -> None:
    run_id = left_behind(numbers())
    changed = elastic.from_range(1000, chunk_size=50).map(other).aggregate(Sum())
    refused(UsageError, rf"run {run_id} cannot resume: map\(other\) changed since the run began", run_id, changed)
    refused(UsageError, "--allow-code-change", run_id, changed)
    began_at = elastic.result_of(run_id, numbers()).entries
    result = elastic.resume(run_id, changed, allow_code_change=True, **QUICK)
    assert result.value == sum(range(began_at)) + sum(range(began_at + 1, 1001))
    assert 0 < began_at < 1000


def test_an_allowed_change_is_what_the_next_one_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = left_behind(numbers())
    again = elastic.from_range(1000, chunk_size=50).map(fragile).filter(fragile).aggregate(Sum())
    with pytest.raises(StepFailedError):
        elastic.resume(run_id, again, allow_code_change=True, **QUICK)
    refused(UsageError, r"filter\(fragile\) was removed", run_id, numbers())
    mended(monkeypatch)
    assert elastic.resume(run_id, again, **QUICK).value == sum(range(1000))


def test_another_aggregator_is_refused_whatever_is_allowed() -> None:
    run_id = left_behind(numbers())
    counted = elastic.from_range(1000, chunk_size=50).map(fragile).aggregate(Count())
    refused(UsageError, "aggregates by Sum, but the given flow by Count", run_id, counted, allow_code_change=True)
    with pytest.raises(UsageError, match="aggregates by Sum, but the given flow by Count"):
        elastic.result_of(run_id, counted)


def test_a_sum_by_groups_is_called_what_it_was_written_as() -> None:
    pairs = elastic.from_range(100).key_by(abs)
    run_id = pairs.aggregate(GroupBy("sum")).run(cluster="inline").run_id
    with pytest.raises(UsageError, match=r"aggregates by GroupBy\(Sum\), but the given flow by GroupBy;"):
        elastic.result_of(run_id, pairs.aggregate(GroupBy("mean")))


def test_another_source_is_refused_and_what_differs_is_named() -> None:
    run_id = left_behind(numbers())
    refused(UsageError, "source with stop=1000, but the given flow's source has stop=2000", run_id, numbers(2000))


def test_a_budget_that_is_used_up_is_refused_until_it_is_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(number: int) -> int:
        if number % 100 == 0:
            raise ValueError("bad")
        return number

    flow = elastic.from_range(1000, chunk_size=50).map(failing).aggregate(Sum()).options(on_error="dead-letter")
    run_id = left_behind(flow.options(max_errors=3))
    refused(UsageError, "more than max_errors=3; the last of them: .*; give a larger", run_id, flow, max_errors=3)
    result = elastic.resume(run_id, flow, max_errors=10, **QUICK)
    assert (result.errors, result.value) == (10, sum(n for n in range(1000) if n % 100))
    assert len(elastic.dead_letters(run_id)) == 10


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "numbers.txt"
        path.write_text("".join(f"{number:04}\n" for number in range(1000)))
        return path

    def flow(self, path: Path) -> elastic.Flow:
        return elastic.read_text(path, chunk_bytes=250).map(int).map(fragile).aggregate(Sum())

    def test_an_unchanged_file_goes_on(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run_id = left_behind(self.flow(path))
        mended(monkeypatch)
        assert elastic.resume(run_id, self.flow(path), **QUICK).value == sum(range(1000))

    @pytest.mark.parametrize("change", ["size", "time", "name"])
    def test_a_changed_file_is_refused(self, change: str, path: Path) -> None:
        run_id = left_behind(self.flow(path.parent))
        if change == "size":
            with path.open("a") as file:
                file.write("1\n")
        elif change == "time":
            os.utime(path, ns=(1, 1))
        else:
            path.rename(path.with_name("others.txt"))
        refused(SourceChangedError, "changed while the run was reading it", run_id, self.flow(path.parent))


def test_a_list_of_another_length_is_refused() -> None:
    def flow(stop: int) -> elastic.Flow:
        return elastic.from_iterable(list(range(stop)), chunk_size=50).map(fragile).aggregate(Sum())

    run_id = left_behind(flow(1000))
    refused(UsageError, "entries=1000, but the given flow's source has entries=999", run_id, flow(999))


def test_a_list_with_another_entry_in_the_result_is_refused() -> None:
    def flow(first: int) -> elastic.Flow:
        return elastic.from_iterable([first, *range(1, 1000)], chunk_size=50).map(fragile).aggregate(Sum())

    run_id = left_behind(flow(0))
    refused(SourceError, "the entries of chunk 0 differ from those in the result of run", run_id, flow(7))


class TestSourcesOfOneReading:
    def flow(self, entries: Any) -> elastic.Flow:
        return elastic.from_iterable(entries, chunk_size=50).map(fragile).aggregate(Sum())

    def test_stored_chunks_are_finished_and_the_missing_rest_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run_id = left_behind(self.flow(iter(range(10_000))))
        mended(monkeypatch)
        for _ in range(2):
            with pytest.raises(SourceError, match=rf"at entry (\d+) \(.*resume {run_id} --reread") as raised:
                elastic.resume(run_id, self.flow(iter(range(10_000))), **QUICK)
            had = int(re.search(r"at entry (\d+) ", str(raised.value))[1])
            kept = elastic.result_of(run_id, self.flow(iter(())))
            assert (kept.entries, kept.value, kept.state) == (had, sum(range(had)), "error")
            assert 777 < had < 10_000

    def test_the_same_entries_are_read_again_and_only_the_rest_is_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run_id = left_behind(self.flow(iter(range(10_000))))
        mended(monkeypatch)
        result = elastic.resume(run_id, self.flow(iter(range(10_000))), reread_source=True, **QUICK)
        assert (result.value, result.entries, result.chunks) == (sum(range(10_000)), 10_000, 200)

    def test_a_list_of_the_same_entries_needs_no_reading_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run_id = left_behind(self.flow(iter(range(10_000))))
        mended(monkeypatch)
        flow = self.flow(list(range(10_000)))
        assert elastic.resume(run_id, flow, reread_source=True, **QUICK).value == sum(range(10_000))
        assert list(folder_of(run_id).glob("chunks/*/*")) == []

    def test_the_same_generator_goes_on_where_it_stands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        flow = self.flow(iter(range(10_000)))
        run_id = left_behind(flow)
        mended(monkeypatch)
        result = elastic.resume(run_id, flow, **QUICK)
        assert (result.value, result.entries, result.chunks) == (sum(range(10_000)), 10_000, 200)

    def test_the_same_generators_go_on_where_they_stand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        many = [iter(range(400)), iter(range(700, 1100)), iter(range(50))]
        flow = elastic.from_iterables(many, chunk_size=50).map(fragile).aggregate(Sum())
        run_id = left_behind(flow)
        mended(monkeypatch)
        assert elastic.resume(run_id, flow, **QUICK).value == sum(map(sum, (range(400), range(700, 1100), range(50))))

    @pytest.mark.parametrize("entries", [range(1, 10_000), range(120), [*range(49), 7, *range(50, 10_000)]])
    def test_other_entries_are_refused_and_nothing_is_changed(self, entries: Any) -> None:
        run_id = left_behind(self.flow(iter(range(10_000))))
        flow = self.flow(iter(entries))
        refused(SourceError, f"than it did for run {run_id}; give the same", run_id, flow, reread_source=True)

    def test_a_source_that_was_read_to_its_end_is_not_needed_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Fewer chunks than are cut ahead, so that the source is exhausted before the failure, which comes last.
        def entries() -> Iterator[int]:
            yield from (number for number in range(1000) if number != 777)
            yield 777

        run_id = left_behind(
            self.flow(entries()).options(target_call_seconds=10.0, max_chunks_per_call=1, calls_per_worker=100)
        )
        mended(monkeypatch)
        assert records()[0].exhausted
        assert elastic.resume(run_id, self.flow(iter(())), **QUICK).value == sum(range(1000))

    @pytest.mark.parametrize("which", ["first", "last"])
    def test_a_kept_chunk_that_is_gone_is_noticed(self, which: str, tmp_path: Path) -> None:
        flow = self.flow(iter(range(10_000))).options(chunk_store="directory")
        run_id = left_behind(flow)
        files = sorted(folder_of(run_id).glob("chunks/step-0000/*"), key=lambda path: path.stat().st_mtime_ns)
        files[0 if which == "first" else -1].unlink()
        refused(CorruptStoreError, r"chunk \d+ was cut and is neither", run_id, flow)

    def test_what_a_replayable_source_needs_not_is_refused(self) -> None:
        run_id = left_behind(numbers())
        refused(UsageError, "leave out --reread-source", run_id, numbers(), reread_source=True)


def test_a_step_of_a_queue_goes_on_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with elastic.StepQueue() as queue:
        for stop in (100, 1000, 2000):
            queue.add(numbers(stop).step(**QUICK))
    assert queue.states() == ["complete", "error", "error"]
    mended(monkeypatch)
    assert elastic.resume(queue.run_id, numbers(2000), step_number=2, **QUICK).value == sum(range(2000))
    assert elastic.resume(queue.run_id, numbers(1000), **QUICK).step == 1
    with pytest.raises(UsageError, match="is complete"):
        elastic.resume(queue.run_id, numbers(1000), **QUICK)


def test_retry_step_sends_again_what_was_sent_and_is_not_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    flows = [numbers(100), numbers(1000), elastic.from_iterable(iter(range(5000))).map(fragile).aggregate(Sum())]
    with elastic.StepQueue() as queue:
        for flow in flows:
            queue.add(flow.step(**QUICK))
        queue.wait()
        assert queue.states() == ["complete", "error", "error"]
        assert queue.retry_step() == "ok"
        queue.wait()
        assert queue.states() == ["complete", "error", "error"]
        mended(monkeypatch)
        for _ in range(2):
            assert queue.retry_step() == "ok"
            queue.wait()
        assert all(state.is_complete for state in queue.states())
        assert [result.value for result in queue.results()] == [sum(range(stop)) for stop in (100, 1000, 5000)]
        assert queue.errors() == [None, None, None]
        assert queue.retry_step() == "no_steps"


def test_retry_step_begins_a_step_that_could_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mended(monkeypatch)
    path = tmp_path / "later.txt"
    with elastic.StepQueue() as queue:
        queue.add(elastic.read_text(path).map(int).aggregate(Sum()).step(**QUICK))
        queue.wait()
        assert queue.states() == ["error"]
        assert queue.retry_step() == "error_distribution_flow"
        path.write_text("1\n2\n")
        assert queue.retry_step() == "ok"
        queue.wait()
        assert queue.results("first").value == 3


def kept_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("then", [True, False])
def test_payloads_and_states_are_compressed_or_not_and_a_resume_takes_either(
    compress: bool, then: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flow() -> elastic.Flow:
        entries = iter([(number, "sparrow" * 20) for number in range(900)])
        return elastic.from_iterable(entries, chunk_size=30).map(checked).aggregate(Collect())

    left_behind(flow().options(compress=compress, chunk_store="directory"))
    [folder] = (home / "runs").iterdir()
    assert (b"sparrow" * 20 in kept_bytes(folder / "chunks")) is not compress
    assert (b"sparrow" * 20 in (folder / "run.sqlite").read_bytes()) is not compress
    mended(monkeypatch)
    result = elastic.resume("last", flow(), reread_source=True, **QUICK, compress=then)
    assert result.value == [(number, "sparrow" * 20) for number in range(900)]
    root = flow().run(**QUICK, persist=False, compress=compress).root
    assert result.root == root
    assert elastic.verify(result.run_id).ok


def checked(entry: tuple[int, str]) -> tuple[int, str]:
    fragile(entry[0])
    return entry


def test_a_resumed_run_treats_bad_entries_as_it_began(tmp_path: Path) -> None:
    flow = elastic.from_iterable(["1", "2", "x", "3", "y", "z"], chunk_size=1).map(int).aggregate("sum")
    with pytest.raises(elastic.ElasticError, match="max_errors=1"):
        flow.run(cluster="inline", home=tmp_path, on_error="dead-letter", max_errors=1)
    with pytest.raises(UsageError, match=r"more than max_errors=1; the last of them: .*; give a larger budget"):
        elastic.resume("last", flow, cluster="inline", home=tmp_path)
    result = elastic.resume("last", flow, cluster="inline", home=tmp_path, max_errors=None)
    assert (result.value, result.errors) == (6, 3)
    assert len(list(elastic.dead_letters("last", home=tmp_path))) == 3


def test_a_resumed_run_may_be_given_another_treatment_of_bad_entries(tmp_path: Path) -> None:
    flow = elastic.from_iterable(["1", "x", *"12345678", "y"], chunk_size=1).map(int).aggregate("sum")
    with pytest.raises(elastic.ElasticError, match="max_errors=0"):
        flow.run(home=tmp_path, on_error="skip", max_errors=0, max_chunks_per_call=1, **QUICK)
    with pytest.raises(elastic.ElasticError, match="failed on entry 10"):
        elastic.resume("last", flow, home=tmp_path, on_error="fail", **QUICK)
