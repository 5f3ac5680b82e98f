"""One attempt: actions, execution, undoing, and the time limit."""

import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dag_samples import Echo, Noted, attempt, sample_dag

from elastic.dag import Action
from elastic.dag.errors import DefinitionError, TaskSkipped, TaskTimeoutError, UnknownTaskError
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.execute import execute
from elastic.dag.execution.timeout import TimeLimit
from elastic.dag.operator import BaseOperator


class Noting(BaseOperator):
    """Records its calls, and fails in the given methods."""

    def __init__(self, work: Any = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.work = work

    def execute(self, params: dict[str, Any]) -> Any:
        params["notes"].append("main run")
        return self.work() if self.work else "done"

    def rollback(self, context: dict[str, Any]) -> None:
        context["params"]["notes"].append("main rollback")

    def cleanup(self, context: dict[str, Any]) -> None:
        context["params"]["notes"].append("main cleanup")

    def on_kill(self) -> None:
        self.params["notes"].append("main killed")


def fail() -> None:
    raise ValueError("main fails")


def skip() -> None:
    raise TaskSkipped("nothing to do")


def story(pre: Any = (), main: Any = None, post: Any = ()) -> tuple[str, list[str], list[str]]:
    """Run an attempt; return its outcome, the recorded calls, and the state changes."""
    notes: list[str] = []
    changes: list[str] = []
    task = Noting(main, task_id="t", pre=pre, post=post, params={"notes": notes})
    context = build_context(task, task.attempt_info("2016-02-22"))
    context["params"] = task.params
    try:
        ended = str(execute(task, context, lambda kind, state: changes.append(f"{kind} {state}")).result)
    except Exception as error:
        ended = f"{type(error).__name__}: {error}" + "".join(getattr(error, "__notes__", []))
    return ended, notes, changes


def test_an_attempt_goes_from_pre_actions_over_the_main_work_to_post_actions() -> None:
    ended, notes, changes = story(pre=[Noted("a"), Noted("b")], post=Noted("c"))
    assert ended == "done"
    assert notes == [
        "a run", "b run", "main run", "c run", "c cleanup", "main cleanup", "b cleanup", "a cleanup",
    ]  # fmt: skip
    assert changes == [
        "pre running", "pre complete", "main running", "main complete", "post running", "post complete",
    ]  # fmt: skip


def test_after_a_failing_pre_action_the_main_work_is_not_done() -> None:
    ended, notes, changes = story(pre=[Noted("a"), Noted("b", fails=["run"]), Noted("c")])
    assert ended == "RuntimeError: b fails to run"
    assert notes == ["a run", "b run", "a rollback", "b cleanup", "a cleanup"]
    assert changes == ["pre running", "pre failed"]


def test_after_a_failing_main_work_post_actions_stay_pending() -> None:
    ended, notes, changes = story(pre=[Noted("a"), Noted("b")], main=fail, post=Noted("c"))
    assert ended == "ValueError: main fails"
    assert notes == [
        "a run", "b run", "main run", "b rollback", "a rollback", "main cleanup", "b cleanup", "a cleanup",
    ]  # fmt: skip
    assert changes == ["pre running", "pre complete", "main running", "main failed"]


def test_after_a_failing_post_action_the_main_work_is_rolled_back_too() -> None:
    _, notes, _ = story(pre=Noted("a"), post=[Noted("b"), Noted("c", fails=["run"])])
    assert [note for note in notes if "rollback" in note] == ["b rollback", "main rollback", "a rollback"]


def test_a_failing_rollback_is_reported_and_the_others_are_still_tried(caplog: pytest.LogCaptureFixture) -> None:
    ended, notes, _ = story(pre=[Noted("a"), Noted("b", fails=["rollback", "cleanup"])], main=fail)
    assert ended == ("ValueError: main failsThe rollback of 'b' failed as well: RuntimeError: b fails to rollback")
    assert notes[-5:] == ["b rollback", "a rollback", "main cleanup", "b cleanup", "a cleanup"]
    assert [record.message for record in caplog.records] == ["the rollback of 'b' failed", "the cleanup of 'b' failed"]


def test_a_skipped_action_does_nothing_and_is_not_rolled_back() -> None:
    _, notes, _ = story(pre=[Noted("a", skip=True), Noted("b")], main=fail)
    assert notes == ["b run", "main run", "b rollback", "main cleanup", "b cleanup", "a cleanup"]


def test_work_that_ends_as_skipped_is_no_failure() -> None:
    ended, notes, changes = story(pre=Noted("a"), main=skip, post=Noted("b"))
    assert ended == "TaskSkipped: nothing to do"
    assert notes == ["a run", "main run", "main cleanup", "a cleanup"]
    assert changes[-1] == "main complete"


def test_a_task_to_be_skipped_counts_as_complete_and_does_nothing() -> None:
    outcome = attempt(Echo("{{ broken", task_id="t", skip=True, pre=[Noted("a")]))
    assert (outcome.is_noop, outcome.result) == (True, None)


class Counting(Action):
    """Counts the uses of this object."""

    def run(self) -> int:
        self.seen = getattr(self, "seen", 0) + 1
        self.arguments["deep"].append(self.seen)
        self.context["params"]["barrier"].wait(10)
        return self.seen


def test_one_action_in_twenty_steps_at_once_shares_nothing() -> None:
    barrier = threading.Barrier(20)
    action = Counting("count", deep=[])
    dag = sample_dag(params={"barrier": barrier})
    for number in range(20):
        dag.append(f"step_{number}", main_action=action)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda task: attempt(task).result, dag.tasks))
    assert found == [1] * 20
    assert action.arguments == {"deep": []}


def test_steps_are_appended_in_a_chain_and_depend_on_steps_that_are_there() -> None:
    dag = sample_dag()
    dag.append("a", main_action=Noted("x")).append("b", ["a"], Noted("y"), [Noted("p")], [Noted("q")]).append(
        "c", ["a", "b"]
    )
    assert set(dag.get_task("c").upstream) == {"a", "b"}
    assert [action.name for action in dag.get_task("b").pre + dag.get_task("b").post] == ["p", "q"]
    with pytest.raises(UnknownTaskError, match="DAG 'sample' has no task 'z'"):
        dag.append("d", ["z"])
    for name in ("start", "finish"):
        with pytest.raises(DefinitionError, match=f"step name '{name}' is reserved"):
            dag.append(name)
    assert dag.task_ids == ["a", "b", "c"]


def test_a_step_rolls_its_main_action_back_when_a_post_action_fails() -> None:
    notes: list[str] = []
    dag = sample_dag(params={"notes": notes})
    dag.append("a", (), Noted("main"), [Noted("pre")], [Noted("post", fails=["run"])])
    dag.append("b", skip=True).append("c")
    with pytest.raises(RuntimeError, match="post fails to run"):
        attempt(dag.get_task("a"))
    assert notes == [
        "pre run", "main run", "post run", "main rollback", "pre rollback",
        "post cleanup", "main cleanup", "pre cleanup",
    ]  # fmt: skip
    assert attempt(dag.get_task("b")).is_noop
    assert attempt(dag.get_task("c")).result is None


def test_lines_of_actions_differ_from_those_of_their_step(caplog: pytest.LogCaptureFixture) -> None:
    class Talking(Action):
        def run(self) -> None:
            self.log.info("hello")

    dag = sample_dag().append("step_1", (), Talking("talk"), [Talking("quiet", skip=True)])
    with caplog.at_level(logging.INFO, "elastic.task"):
        attempt(dag.get_task("step_1"))
    lines = [(record.name, record.message) for record in caplog.records]
    assert lines == [("elastic.task.step_1.quiet", "skipped"), ("elastic.task.step_1.talk", "hello")]


def for_ever() -> None:
    try:
        while True:
            try:
                threading.Event().wait(60)
            except Exception:
                continue
    finally:
        pass


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_work_that_takes_too_long_is_stopped_rolled_back_and_named(in_main_thread: bool) -> None:
    notes: list[str] = []

    def spin() -> None:
        while True:
            try:
                sum(range(100))
            except Exception:
                continue

    task = Noting(
        for_ever if in_main_thread else spin,
        task_id="slow", execution_timeout=0.2, pre=Noted("a"), params={"notes": notes},
    )  # fmt: skip
    context = {**build_context(task, task.attempt_info("2016-02-22")), "params": task.params}
    with ThreadPoolExecutor(1) as pool, pytest.raises(TaskTimeoutError, match=r"task 'slow' took longer than 0\.2 s"):
        if in_main_thread:
            execute(task, context)
        else:
            pool.submit(execute, task, context).result()
    assert notes == ["a run", "main run", "main killed", "a rollback", "main cleanup", "a cleanup"]


def test_a_limit_that_is_not_reached_leaves_nothing_behind() -> None:
    assert attempt(Echo("x", task_id="t", execution_timeout=30)).result == "x"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(attempt, Echo("x", task_id="t", execution_timeout=30)).result().result == "x"
    with TimeLimit("nothing", None):
        pass


def test_a_time_limit_that_is_missed_once_is_signalled_again() -> None:
    with pytest.raises(TaskTimeoutError, match=r"'it' took longer than 0\.01 s"), TimeLimit("task 'it'", 0.01):
        ring = signal.getsignal(signal.SIGALRM)
        signal.signal(signal.SIGALRM, lambda *_: signal.signal(signal.SIGALRM, ring))
        threading.Event().wait(60)
        raise AssertionError("nothing has ended the waiting")
    assert signal.getitimer(signal.ITIMER_REAL)[1] == 0


def test_work_after_the_limit_is_not_ended_by_it() -> None:
    cleaned: list[float] = []
    with pytest.raises(TaskTimeoutError), TimeLimit("it", 0.01):
        try:
            threading.Event().wait(60)
        finally:
            cleaned.append(signal.getitimer(signal.ITIMER_REAL)[0])
    assert cleaned == [0]


def test_ctrl_c_stops_what_the_task_started_and_rolls_back() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    notes: list[str] = []
    task = Noting(stop, task_id="t", pre=Noted("a"), params={"notes": notes})
    with pytest.raises(KeyboardInterrupt):
        execute(task, {**build_context(task, task.attempt_info("2016-02-22")), "params": task.params})
    assert notes == ["a run", "main run", "main killed", "a rollback", "main cleanup", "a cleanup"]


def test_environment_variables_of_a_task_are_there_for_its_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_KEPT", "before")
    names = ("SAMPLE_KEPT", "SAMPLE_NEW")

    class Reading(BaseOperator):
        def execute(self) -> Any:
            return [os.environ[name] for name in names]

    assert attempt(Reading("t", env={"SAMPLE_KEPT": "now", "SAMPLE_NEW": "1"})).result == ["now", "1"]
    assert [os.environ.get(name) for name in names] == ["before", None]
