"""Rounds of chaos: their reports, and that they detect a wrong answer."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import elastic
import elastic.engine.run
from elastic.aggregators import Collect
from elastic.chaos.outcome import ResultDigest
from elastic.chaos.rounds import ChaosRound, ChaosTest
from elastic.core.errors import UsageError
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.partial import Partial
from elastic.core.policies.chaos import Chaos, Fault
from elastic.engine.aggregation import Aggregation
from elastic.flow.loader import step_at
from elastic.run_history import RunHistory
from elastic.stages.transport.receiver import MasterReceiver

FLOWS = """
import elastic

QUICK = {"target_call_seconds": 1e-9, "commit_interval": 1e-9}

def work(number):
    return number + sum(range(500)) * 0

def fragile(number):
    if number % 100 == 7:
        raise ValueError(number)
    return work(number)

def hold(number):
    if number > 100:
        print("at work", flush=True)
        import time
        time.sleep(600)
    return number

numbers = elastic.from_range(900, chunk_size=10).map(work).aggregate("sum").options(**QUICK)
letters = elastic.from_range(900, chunk_size=10).map(fragile).aggregate("sum").options(on_error="dead-letter", **QUICK)
collected = elastic.from_range(900, chunk_size=10).map(work).aggregate("collect").options(**QUICK)
held = elastic.from_range(900, chunk_size=10).map(hold).aggregate("sum").options(**QUICK)

def once():
    return elastic.from_iterable(iter(range(900)), chunk_size=10).map(work).aggregate("sum").options(**QUICK)
"""


@pytest.fixture
def flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with flows."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "flows.py"
    path.write_text(FLOWS)
    return path


def trial_of(step: Callable[[], elastic.Step], *spirits: str, rate: float = 0.2, **more: Any) -> ChaosTest:
    chaos = Chaos(spirits=tuple(map(Fault, spirits)), rate=rate, seed=more.pop("seed", 1))
    return ChaosTest(step=step, chaos=chaos, options={"cluster": "inline"}, **more)


def rounds_of(trial: ChaosTest, count: int) -> list[ChaosRound]:
    return list(trial.rounds(trial.clean(), count))


def summing() -> elastic.Step:
    return elastic.from_range(900, chunk_size=10).map(abs).aggregate("sum").step(target_call_seconds=1e-9)


def test_rounds_tell_what_struck_and_that_the_answer_is_the_same() -> None:
    rounds = rounds_of(trial_of(summing, "raise", "drop", "corrupt", rate=0.5), 3)
    assert [played.seed for played in rounds] == [1, 2, 3]
    assert {played.verdict for played in rounds} == {"same"}
    assert Counter(spirit for played in rounds for spirit in played.strikes) >= Counter({"raise": 3, "drop": 3})
    assert all(played.retries for played in rounds)
    assert len({played.run_id for played in rounds}) == 3


def test_a_round_in_which_nothing_struck_says_so() -> None:
    (played,) = rounds_of(trial_of(summing, "drop", rate=0.0), 1)
    assert (played.struck, played.verdict) == (0, "same (nothing struck)")


@pytest.mark.parametrize("name", ["numbers", "letters", "collected", "once"])
def test_a_run_whose_masters_are_killed_comes_to_the_same_answer(name: str, flows: Path) -> None:
    target = f"{flows}:{name}"
    trial = trial_of(partial(step_at, target), "drop", "kill-master", rate=0.05, target=target)
    rounds = rounds_of(trial, 2)
    assert {played.verdict for played in rounds} == {"same"}
    assert all(played.strikes["kill-master"] >= 1 for played in rounds)
    history = RunHistory.of_environment()
    for played in rounds:
        record = history.record(played.run_id, 0)
        assert record.counters["resumes"] == played.strikes["kill-master"]


def test_masters_are_killed_alone_too(flows: Path) -> None:
    target = f"{flows}:numbers"
    (played,) = rounds_of(trial_of(partial(step_at, target), "kill-master", target=target), 1)
    assert (played.verdict, set(played.strikes)) == ("same", {"kill-master"})


def test_without_a_target_no_master_can_be_killed() -> None:
    with pytest.raises(UsageError, match="kill-master needs the flow's target"):
        trial_of(summing, "drop", "kill-master")


def test_faults_without_a_target_are_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="fault hang needs worker processes"):
        trial_of(summing, "hang")


def test_a_flow_that_fails_by_itself_is_no_measure() -> None:
    def failing() -> elastic.Step:
        return elastic.from_range(9).map(lambda number: 1 // (number - 5)).aggregate("sum").step()

    with pytest.raises(elastic.ElasticError, match=r"fails without any fault: .*ZeroDivisionError"):
        trial_of(failing, "drop").clean()


# -- the checker can fail


class ForgivingSpans(ChunkIdSet):
    """A set of ids that accepts an id twice."""

    def add(self, first: int, stop: int) -> None:
        for chunk_id in range(first, stop):
            if chunk_id not in self:
                super().add(chunk_id, chunk_id + 1)


class FoldingDuplicates(Ledger):
    """A ledger that folds a chunk without checking whether the result has it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.folded = ForgivingSpans(self.folded.low, self.folded.above)

    def _counts_twice(self, partial: Partial) -> bool:
        return False


def test_a_ledger_that_folds_duplicates_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(number: int) -> int:
        return number + sum(range(20_000)) * 0

    def summing_long() -> elastic.Step:
        return elastic.from_range(2000, chunk_size=10).map(busy).aggregate("sum").step(target_call_seconds=1e-9)

    trial = trial_of(summing_long, "duplicate", rate=1.0)
    clean = trial.clean()
    (honest,) = trial.rounds(clean, 1)
    assert (honest.verdict, honest.duplicates_dropped > 0) == ("same", True)
    monkeypatch.setattr(elastic.engine.run, "Ledger", FoldingDuplicates)
    (broken,) = trial.rounds(clean, 1)
    assert broken.verdict.startswith("DIFFERENT")


def test_an_aggregation_that_folds_twice_gives_another_value(monkeypatch: pytest.MonkeyPatch) -> None:
    fold = Aggregation.fold

    def twice(self: Aggregation, partial: Partial) -> None:
        fold(self, partial)
        if any(report.columns.attempt > 1 for report in partial.reports):
            self._merge_all(partial.states, "what was folded already")

    trial = trial_of(summing, "raise", rate=0.5)
    clean = trial.clean()
    monkeypatch.setattr(Aggregation, "fold", twice)
    (played,) = trial.rounds(clean, 1)
    assert played.verdict == "DIFFERENT (value)"


def test_a_master_that_believes_every_receipt_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def collecting() -> elastic.Step:
        return elastic.from_range(900, chunk_size=10).map(abs).aggregate(Collect()).step(target_call_seconds=1e-9)

    def believe(self: MasterReceiver, partial: Partial) -> Partial:
        return partial

    trial = trial_of(collecting, "corrupt", rate=0.5)
    clean = trial.clean()
    monkeypatch.setattr(MasterReceiver, "receive", believe)
    (played,) = trial.rounds(clean, 1)
    assert played.verdict.startswith("DIFFERENT")


# -- answers


def test_answers_do_not_depend_on_the_order_of_keys() -> None:
    def answer(value: Any) -> str:
        result = elastic.Result(
            run_id="r",
            step=0,
            name="n",
            state=elastic.StepState.COMPLETE,
            value=value,
            entries=1,
            chunks=1,
            receipts={},
        )
        return ResultDigest.of(result).value

    assert answer({"a": [1, {2, 3}], "b": 2}) == answer({"b": 2, "a": [1, {3, 2}]})
    assert answer(Counter("abca")) == answer(Counter("caba"))
    assert answer([1, 2]) != answer([2, 1])
    assert answer({"a": 1}) != answer({"a": 1.5})
    assert answer(float("nan")) == answer(float("nan"))
    assert answer(Path("a")) != answer(Path("b"))


# -- interruption

INTERRUPTED = """
import sys
from functools import partial
from elastic.core.policies.chaos import Chaos, Fault
from elastic.chaos.rounds import ChaosTest
from elastic.chaos.outcome import ResultDigest
from elastic.flow.loader import step_at

target = sys.argv[1]
chaos = Chaos(spirits=(Fault.KILL_MASTER,))
trial = ChaosTest(step=partial(step_at, target), chaos=chaos, target=target, options={"cluster": "inline"})
list(trial.rounds(ResultDigest(value="", root="", entries=900, errors=0, chunks=1), 1))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_round_that_is_interrupted_leaves_no_master_behind(number: int, flows: Path, tmp_path: Path) -> None:
    script = tmp_path / "rounds.py"
    script.write_text(INTERRUPTED)
    root = Path(__file__).resolve().parents[2]
    # All its child processes inherit the writing end of this pipe, so it closes with the last of them.
    with subprocess.Popen(
        [sys.executable, str(script), f"{flows}:held"],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as rounds:
        assert rounds.stderr is not None
        for line in rounds.stderr:
            if "at work" in line:
                break
        rounds.send_signal(number)
        rounds.stderr.read()
    assert rounds.returncode == -number
