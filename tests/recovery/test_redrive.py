"""Redrive of dead letters into the stored result: each once, despite crashes; those that fail again stay."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, Count, Nothing, Sum
from elastic.core.encoding import unpack
from elastic.core.errors import StepFailedError, UsageError
from elastic.engine.run import run
from elastic.run_history import RunHistory

ROOT = Path(__file__).parents[2]
QUICK: dict[str, Any] = {
    "cluster": "inline",
    "commit_interval": 1e-9,
    "collect_interval": 1e-9,
    "target_call_seconds": 1e-9,
}
BAD = [n for n in range(1000) if n % 90 == 7]


def failing(number: int) -> int:
    """Fail on the entries that the environment names as bad."""
    if number % 90 == 7 and number >= int(os.environ.get("BAD_FROM", "0")):
        raise ValueError(f"bad {number}")
    return number


def numbers() -> elastic.Flow:
    return elastic.from_range(1000, chunk_size=300).map(failing).aggregate(Sum()).options(on_error="dead-letter")


def places(run_id: str) -> list[str]:
    return [letter.failure.place for letter in elastic.dead_letters(run_id)]


def repair(monkeypatch: pytest.MonkeyPatch, up_to: int = 10_000) -> None:
    monkeypatch.setenv("BAD_FROM", str(up_to))


def record_of(run_id: str) -> Any:
    return RunHistory.of_environment().record(run_id, 0)


def test_a_repaired_flow_makes_the_result_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    result = numbers().run(**QUICK)
    assert (result.value, result.errors) == (sum(range(1000)) - sum(BAD), len(BAD))
    assert places(result.run_id) == [f"number {n}" for n in BAD]
    assert [unpack(letter.entry) for letter in elastic.dead_letters(result.run_id)] == BAD
    repair(monkeypatch)
    again = elastic.redrive(result.run_id, numbers(), **QUICK)
    assert (again.value, again.entries, again.errors, again.state) == (sum(range(1000)), 1000, 0, "complete")
    assert elastic.dead_letters(result.run_id) == []
    kept = elastic.result_of(result.run_id, numbers())
    assert (kept.value, kept.entries, kept.errors, kept.chunks) == (again.value, 1000, 0, again.chunks)
    assert kept.root == again.root != result.root


def test_dead_letters_are_redriven_on_the_cluster_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = numbers().run(**QUICK).run_id
    repair(monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(elastic.ElasticError, match="nothing answers at 127"):
        elastic.redrive(run_id, numbers(), cluster="127.0.0.1:1")
    assert elastic.redrive(run_id, numbers()).value == sum(range(1000))


def test_redriving_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = numbers().run(**QUICK).run_id
    repair(monkeypatch)
    first = elastic.redrive(run_id, numbers(), **QUICK)
    second = elastic.redrive(run_id, numbers(), **QUICK)
    assert (second.value, second.entries, second.chunks) == (first.value, first.entries, first.chunks)


def test_what_fails_again_stays_with_its_place_and_all_its_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = numbers().run(**QUICK).run_id
    for bad_from in (500, 700, 10_000):
        repair(monkeypatch, bad_from)
        result = elastic.redrive(run_id, numbers(), **QUICK)
        left = [n for n in BAD if n >= bad_from]
        assert (result.value, result.errors) == (sum(range(1000)) - sum(left), len(left))
        assert (result.entries, places(run_id)) == (1000, [f"number {n}" for n in left])
    assert result.state == "complete"
    repair(monkeypatch, 0)
    run_id = numbers().run(**QUICK).run_id
    for attempts in (2, 3):
        elastic.redrive(run_id, numbers(), **QUICK)
        assert {letter.attempts for letter in elastic.dead_letters(run_id)} == {attempts}


def test_a_flow_without_error_tolerance_keeps_its_dead_letters_when_it_redrives() -> None:
    run_id = numbers().run(**QUICK).run_id
    for on_error in ("fail", "skip"):
        result = elastic.redrive(run_id, numbers().options(on_error=on_error), **QUICK)
        assert (result.errors, len(places(run_id))) == (len(BAD), len(BAD))


def test_ctrl_c_says_how_a_redrive_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            raise KeyboardInterrupt

    first = numbers().run(**QUICK)
    repair(monkeypatch)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        elastic.redrive(first.run_id, numbers(), **QUICK, interceptor=Stop)
    assert interrupted.value.__notes__ == [
        f"resume with `elastic resume {first.run_id} TARGET`, and redrive its dead letters again"
    ]


def test_dead_letters_of_a_one_shot_source_are_redriven_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def flow(entries: Any) -> elastic.Flow:
        return elastic.from_iterable(entries, chunk_size=70).map(failing).aggregate(Sum())

    run_id = flow(iter(range(1000))).run(on_error="dead-letter", **QUICK).run_id
    repair(monkeypatch)
    assert elastic.redrive(run_id, flow(iter(())), **QUICK).value == sum(range(1000))


def test_dead_letters_are_redriven_without_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{number}\n" for number in range(1000)))
    flow = elastic.read_text(path, chunk_bytes=500).map(int).map(failing).aggregate(Sum())
    run_id = flow.run(on_error="dead-letter", **QUICK).run_id
    before = places(run_id)
    path.unlink()
    elastic.redrive(run_id, flow, **QUICK)
    assert places(run_id) == before
    repair(monkeypatch)
    assert elastic.redrive(run_id, flow, **QUICK).value == sum(range(1000))


def test_whole_chunks_that_failed_are_redriven_as_whole_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    def total(entries: list[int]) -> int:
        return sum(map(failing, entries))

    step = elastic.Step(list(range(1000)), task=total, aggregator=Sum, chunk_size=45, whole_chunks=True)
    run_id = run(step.with_options(on_error="dead-letter", **QUICK)).run_id
    letters = elastic.dead_letters(run_id)
    assert [letter.failure.index for letter in letters] == [None] * len(BAD)
    assert sum(letter.entries for letter in letters) == 45 * len(BAD) - (45 * 23 - 1000)
    result = elastic.redrive(run_id, step, **QUICK)
    assert (result.entries, len(elastic.dead_letters(run_id))) == (1000, len(BAD))
    repair(monkeypatch)
    result = elastic.redrive(run_id, step, **QUICK)
    assert (result.value, result.entries, result.errors) == (sum(range(1000)), 1000, 0)


def test_entries_of_any_plain_kind_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [(1, "a"), {"b": [2.5, None]}, b"\xff", "\udcff", 2**80, frozenset({1})]

    def refuse(entry: Any) -> Any:
        failing(7)
        return str(entry)

    flow = elastic.from_iterable(entries).map(refuse).aggregate(Count())
    with pytest.raises(StepFailedError, match="all 6 entries failed"):
        flow.run(on_error="dead-letter", **QUICK)
    assert [unpack(letter.entry) for letter in elastic.dead_letters("last")] == entries
    repair(monkeypatch)
    assert elastic.redrive("last", flow, **QUICK).value == dict.fromkeys(map(str, entries), 1)


def test_an_order_that_cannot_be_kept_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = elastic.from_range(1000, chunk_size=300).map(failing).aggregate(Collect())
    run_id = flow.run(on_error="dead-letter", **QUICK).run_id
    repair(monkeypatch)
    with pytest.raises(UsageError, match="Collect depends on the order of entries, but those of dead letters would"):
        elastic.redrive(run_id, flow, **QUICK)
    assert len(places(run_id)) == len(BAD)


def test_another_aggregator_and_a_step_that_is_not_complete_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = numbers().run(**QUICK).run_id
    other = elastic.from_range(1000, chunk_size=300).map(failing).aggregate(Nothing())
    with pytest.raises(UsageError, match="aggregates by Sum, but the given flow by Nothing"):
        elastic.redrive(run_id, other, **QUICK)
    monkeypatch.setenv("BAD_FROM", "500")
    small = elastic.from_range(1_000_000, chunk_size=100).map(failing).aggregate(Sum())
    with pytest.raises(StepFailedError) as raised:
        small.run(on_error="dead-letter", max_error_ratio=0.002, **QUICK)
    with pytest.raises(UsageError, match=r"is not complete; run `elastic resume"):
        elastic.redrive(raised.value.run_id, small, **QUICK)


def test_a_step_that_exceeded_its_budget_at_its_end_is_complete_once_its_dead_letters_are_redriven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = elastic.from_range(900, chunk_size=300).map(failing).aggregate(Sum()).options(on_error="dead-letter")
    with pytest.raises(StepFailedError, match="more than max_errors=3") as raised:
        flow.run(max_errors=3, **QUICK)
    repair(monkeypatch)
    result = elastic.redrive(raised.value.run_id, flow, **QUICK)
    assert (result.value, result.state) == (sum(range(900)), "complete")


KILLED = """
import os, signal, sys
import elastic
from test_redrive import QUICK, numbers
class Killer(elastic.Interceptor):
    def __init__(self, number): self.number = number
    def _moment(self, *arguments):
        self.number -= 1
        if self.number == 0: os.kill(os.getpid(), signal.SIGKILL)
    step_started = send = receive = distributed = aggregated = task_complete = step_ended = failed = _moment
elastic.redrive("last", numbers(), interceptor=Killer(int(sys.argv[1])), **QUICK)
"""


@pytest.mark.parametrize("moment", [1, 2, 4, 7, 11, 16, 25, 26])
def test_a_redrive_that_is_killed_at_any_moment_counts_once(moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = numbers().run(**QUICK).run_id
    repair(monkeypatch)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(moment)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    # The commit is atomic.
    kept = elastic.result_of(run_id, numbers())
    assert kept.value == sum(range(1000)) - sum(n for n in BAD if f"number {n}" in places(run_id))
    assert len(places(run_id)) in (0, len(BAD))
    result = elastic.redrive(run_id, numbers(), **QUICK)
    assert (result.value, result.entries, result.errors, result.chunks) == (sum(range(1000)), 1000, 0, 8)
    assert places(run_id) == []


def test_a_redrive_that_was_killed_can_also_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = numbers().run(**QUICK).run_id
    repair(monkeypatch)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    subprocess.run([sys.executable, "-c", KILLED, "5"], env=environment, check=False)
    assert record_of(run_id).state == "in_progress"
    result = elastic.resume(run_id, numbers(), **QUICK)
    assert (result.value, result.errors) == (sum(range(1000)) - sum(BAD), len(BAD))
    assert elastic.redrive(run_id, numbers(), **QUICK).value == sum(range(1000))
