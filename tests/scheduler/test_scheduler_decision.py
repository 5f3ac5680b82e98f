"""Decisions from frozen facts: why an instance runs, waits, is skipped or fails."""

import datetime as dt
from typing import Any

import pytest
from scheduler_samples import DAY, NOW, decision_input, key_of, ready, succeed, task_spec, tracker_of

from elastic.dag.states.state import RunState, TaskState
from elastic.dag.states.trigger_rule import TriggerRule
from elastic.dag.states.verdict import Decision
from elastic.scheduler.decisions.decide import decide, run_end, verdicts
from elastic.scheduler.decisions.free_slots import FreeSlots, choose, slot_verdicts
from elastic.scheduler.decisions.inputs import Overrides, PreviousRun, RunnableTask

SUCCESS, FAILED, SKIPPED = TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED


@pytest.mark.parametrize(
    ("changes", "decision", "reason"),
    [
        ({}, Decision.RUN, "all conditions are met"),
        ({"state": TaskState.SCHEDULED}, Decision.RUN, "all conditions are met"),
        ({"state": SUCCESS}, Decision.WAIT, "it previously succeeded; --force runs it again"),
        ({"state": SUCCESS, "overrides": Overrides(force=True)}, Decision.RUN, "all conditions are met"),
        ({"state": FAILED}, Decision.WAIT, "it is failed; clear it to run it again"),
        ({"state": TaskState.RUNNING, "overrides": Overrides(force=True)}, Decision.WAIT, "it is running already"),
        ({"now": DAY}, Decision.WAIT, "its interval ends on 2016-02-23 00:00:00 UTC"),
        ({"now": DAY, "overrides": Overrides(ignore_interval=True)}, Decision.RUN, "all conditions are met"),
        ({"now": DAY + dt.timedelta(days=1)}, Decision.RUN, "all conditions are met"),
        ({"upstream": {"get": SUCCESS}}, Decision.RUN, "all conditions are met"),
        ({"upstream": {"get": None}}, Decision.WAIT, "waiting for 'get' (all_success)"),
        ({"upstream": {"get": FAILED}}, Decision.FAIL, "'get' failed (all_success)"),
        ({"upstream": {"get": SKIPPED}}, Decision.SKIP, "'get' skipped (all_success)"),
        ({"upstream": {"get": FAILED}, "now": DAY}, Decision.FAIL, "'get' failed (all_success)"),
        (
            {"upstream": {"get": FAILED}, "overrides": Overrides(ignore_dependencies=True)},
            Decision.RUN,
            "all conditions are met",
        ),
        (
            {"state": TaskState.UP_FOR_RETRY, "next_retry_at": NOW + dt.timedelta(seconds=5)},
            Decision.WAIT,
            "it is retried on 2016-03-22 00:00:05 UTC",
        ),
        ({"state": TaskState.UP_FOR_RETRY, "next_retry_at": NOW}, Decision.RUN, "all conditions are met"),
        (
            {"task": task_spec(start_date=DAY + dt.timedelta(days=1))},
            Decision.WAIT,
            "the task starts on 2016-02-23 00:00 UTC, later than this run",
        ),
        (
            {"task": task_spec(end_date=DAY - dt.timedelta(days=1))},
            Decision.WAIT,
            "the task ended on 2016-02-21 00:00 UTC, earlier than this run",
        ),
    ],
)
def test_an_instance_runs_or_the_reason_is_a_sentence(changes: dict[str, Any], decision: Decision, reason: str) -> None:
    answer = decide(decision_input(**changes))
    assert (answer.decision, answer.reason) == (decision, reason)


@pytest.mark.parametrize(
    ("states", "decision", "reason"),
    [
        (None, Decision.RUN, "all conditions are met"),
        ((SUCCESS,), Decision.RUN, "all conditions are met"),
        ((SKIPPED,), Decision.RUN, "all conditions are met"),
        ((FAILED,), Decision.WAIT, "it depends on its run on 2016-02-21 00:00 UTC, which is failed"),
        ((None,), Decision.WAIT, "it depends on its run on 2016-02-21 00:00 UTC, which is not done"),
        ((), Decision.WAIT, "it depends on its run on 2016-02-21 00:00 UTC, which is not there"),
        (
            (SUCCESS, TaskState.RUNNING),
            Decision.WAIT,
            "it depends on its run on 2016-02-21 00:00 UTC, which is running",
        ),
    ],
)
def test_a_task_that_depends_on_its_past_waits_for_the_success_of_the_date_before(
    states: tuple[TaskState | None, ...] | None, decision: Decision, reason: str
) -> None:
    previous = None if states is None else PreviousRun(logical_date=DAY - dt.timedelta(days=1), states=states)
    answer = decide(decision_input(task=task_spec(depends_on_past=True), previous_run=previous))
    assert (answer.decision, answer.reason) == (decision, reason)


def test_a_task_may_wait_for_the_tasks_after_it_on_the_date_before() -> None:
    task = task_spec(depends_on_past=True, wait_for_downstream=True)
    previous = PreviousRun(logical_date=DAY, states=(SUCCESS,), downstream={"report": None, "mail": SUCCESS})
    assert (
        decide(decision_input(task=task, previous_run=previous)).reason
        == "it waits for 'report' on 2016-02-22 00:00 UTC"
    )
    done = PreviousRun(logical_date=DAY, states=(SUCCESS,), downstream={"report": SUCCESS, "mail": SUCCESS})
    assert decide(decision_input(task=task, previous_run=done)).decision is Decision.RUN


def test_every_condition_gives_its_sentence_whether_it_is_met_or_not() -> None:
    told = verdicts(decision_input(state=TaskState.RUNNING, upstream={"get": None}, now=DAY))
    assert [(one.condition, one.met) for one in told] == [
        ("state", False),
        ("dates", True),
        ("trigger rule", False),
        ("depends on past", True),
        ("downstream of past", True),
        ("interval", False),
        ("retry delay", True),
    ]
    assert all(one.reason for one in told)


def _candidate(task_id: str, day: int = 0, position: int = 0, **changes: Any) -> RunnableTask:
    return RunnableTask(key_of(task_id, day), task_spec(task_id, **changes), DAY + dt.timedelta(days=day), position)


def test_each_queue_has_the_slots_of_its_executor() -> None:
    given = [_candidate("a"), _candidate("b", queue="heavy"), _candidate("c", queue="big"), _candidate("d", queue="x")]
    queues = {"default": "default", "heavy": "heavy", "big": "heavy"}
    free_slots = FreeSlots(executors={"default": 0, "heavy": 1}, queues=queues)
    assert [one.key.task_id for one in choose(given, free_slots)] == ["b"]
    assert [one.key.task_id for one in choose(given, FreeSlots(queues=queues))] == ["a", "b", "c"]
    told = [verdict for one in given for verdict in slot_verdicts(one, free_slots) if not verdict.met]
    assert [(one.condition, one.is_lasting) for one in told] == [("parallelism", False), ("queue", True)]
    assert told[1].reason == "no executor has the queue 'x'; add it to core.queues, such as x=local*4"


def test_priority_comes_first_then_the_date_then_the_order_of_the_dag() -> None:
    given = [_candidate("a", 1), _candidate("b", 0, 1), _candidate("c", 0, 0), _candidate("d", 2, priority=5)]
    assert [one.key.task_id for one in choose(given, FreeSlots())] == ["d", "c", "b", "a"]


@pytest.mark.parametrize(
    ("free_slots", "chosen"),
    [
        (FreeSlots(), ["a", "b", "c"]),
        (FreeSlots(executors={"": 2}), ["a", "b"]),
        (FreeSlots(concurrency=1), ["a"]),
        (FreeSlots(concurrency=0), []),
        (FreeSlots(executors={"": 0}), []),
        (FreeSlots(pools={"db": 0}), ["b"]),
        (FreeSlots(pools={"db": 1}), ["b", "c"]),
        (FreeSlots(pools={"db": 2}), ["a", "b"]),
        (FreeSlots(pools={"other": 0}), ["a", "b", "c"]),
    ],
)
def test_no_more_instances_are_chosen_than_slots_are_free(free_slots: FreeSlots, chosen: list[str]) -> None:
    given = [_candidate("a", pool="db", pool_slots=2), _candidate("b"), _candidate("c", pool="db")]
    assert [one.key.task_id for one in choose(given, free_slots)] == chosen


@pytest.mark.parametrize(
    ("states", "leaves", "end"),
    [
        ([SUCCESS, None], [None], None),
        ([SUCCESS, TaskState.UP_FOR_RETRY], [TaskState.UP_FOR_RETRY], None),
        ([SUCCESS, SKIPPED], [SKIPPED], RunState.SUCCESS),
        ([FAILED, TaskState.UPSTREAM_FAILED], [TaskState.UPSTREAM_FAILED], RunState.FAILED),
        ([FAILED, SUCCESS], [SUCCESS], RunState.SUCCESS),
        ([], [], RunState.SUCCESS),
    ],
)
def test_a_run_ends_as_its_last_tasks_did(
    states: list[TaskState | None], leaves: list[TaskState | None], end: RunState | None
) -> None:
    assert run_end(states, leaves) is end


def test_tasks_become_ready_as_those_before_them_succeed() -> None:
    tracker = tracker_of(task_spec("a"), task_spec("b", "a"), task_spec("c", "a"), task_spec("d", "b", "c"))
    assert ready(tracker) == ["a"]
    tracker.set_state(key_of("a"), TaskState.RUNNING)
    assert ready(tracker) == []
    succeed(tracker, key_of("a"))
    assert ready(tracker) == ["b", "c"]
    succeed(tracker, key_of("b"))
    assert ready(tracker) == ["c"]
    assert tracker.end_of("run0") is None
    succeed(tracker, key_of("c"))
    assert ready(tracker) == ["d"]
    succeed(tracker, key_of("d"))
    assert ready(tracker) == []
    assert tracker.end_of("run0") is RunState.SUCCESS


def test_a_failure_settles_all_that_comes_after_it() -> None:
    tracker = tracker_of(
        task_spec("a"),
        task_spec("b", "a"),
        task_spec("c", "b"),
        task_spec("mend", "a", trigger_rule=TriggerRule.ONE_FAILED),
    )
    ready(tracker)
    tracker.set_state(key_of("a"), FAILED)
    assert ready(tracker) == ["mend"]
    states = {key.task_id: state for key, state in tracker.states().items()}
    assert states == {"a": FAILED, "b": TaskState.UPSTREAM_FAILED, "c": TaskState.UPSTREAM_FAILED, "mend": None}


def test_a_skip_spreads_and_stops_where_a_rule_wants_only_one_success() -> None:
    join = task_spec("join", "left", "right", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    tracker = tracker_of(task_spec("branch"), task_spec("left", "branch"), task_spec("right", "branch"), join)
    ready(tracker)
    tracker.set_state(key_of("left"), SKIPPED)
    succeed(tracker, key_of("branch"))
    assert ready(tracker) == ["right"]
    succeed(tracker, key_of("right"))
    assert ready(tracker) == ["join"]


@pytest.mark.parametrize(
    ("rule", "first"),
    [(TriggerRule.ONE_SUCCESS, SUCCESS), (TriggerRule.ONE_FAILED, FAILED), (TriggerRule.ONE_SUCCESS, None)],
)
def test_a_task_that_wants_one_starts_while_others_before_it_run(rule: TriggerRule, first: TaskState | None) -> None:
    tracker = tracker_of(
        task_spec("a"),
        task_spec("b"),
        task_spec("copies", is_mapped=True),
        task_spec("join", "a", "b", "copies", trigger_rule=rule),
    )
    assert ready(tracker) == ["a", "b"]
    tracker.expand(key_of("copies"), 3)
    for key in (key_of("a"), key_of("b"), key_of("copies", map_index=1)):
        tracker.set_state(key, TaskState.RUNNING)
    assert "join" not in ready(tracker)
    # The first one to end is a task, or one copy of a mapped task.
    tracker.set_state(key_of("a") if first else key_of("copies", map_index=1), first or SUCCESS)
    assert "join" in ready(tracker)
    assert tracker.states()[key_of("b")] is TaskState.RUNNING


def test_a_task_that_always_runs_starts_at_once_and_again_while_others_before_it_run() -> None:
    tracker = tracker_of(
        task_spec("a"), task_spec("b", "a"), task_spec("last", "a", "b", trigger_rule=TriggerRule.ALWAYS)
    )
    assert ready(tracker) == ["a", "last"]
    tracker.set_state(key_of("a"), TaskState.RUNNING)
    tracker.set_state(key_of("last"), TaskState.RUNNING)
    assert ready(tracker) == []
    tracker.set_state(key_of("last"), TaskState.UP_FOR_RETRY, NOW)
    assert ready(tracker) == ["last"]
    tracker.set_state(key_of("last"), FAILED)
    tracker.sync("run0", {key_of("a"): TaskState.RUNNING, key_of("b"): None, key_of("last"): None}, {})
    assert ready(tracker) == ["last"], "it was cleared"


def test_a_date_waits_for_the_date_before_and_only_where_the_task_says_so() -> None:
    tracker = tracker_of(task_spec("a"), task_spec("b", "a", depends_on_past=True), days=2)
    assert ready(tracker) == ["a", "run1.a"]
    succeed(tracker, key_of("a", 1))
    assert ready(tracker) == ["a"]
    succeed(tracker, key_of("a"))
    assert ready(tracker) == ["b"]
    succeed(tracker, key_of("b"))
    assert ready(tracker) == ["run1.b"]


def test_a_retry_is_looked_at_again_when_its_delay_is_over() -> None:
    tracker = tracker_of(task_spec("a"))
    later = NOW + dt.timedelta(seconds=10)
    ready(tracker)
    tracker.set_state(key_of("a"), TaskState.UP_FOR_RETRY, later)
    assert ready(tracker) == []
    assert tracker.wakes_at() == later
    assert ready(tracker, later) == ["a"]


def test_an_instance_of_tomorrow_is_looked_at_again_when_its_interval_has_passed() -> None:
    tracker = tracker_of(task_spec("a"))
    end = DAY + dt.timedelta(days=1)
    assert ready(tracker, DAY) == []
    assert tracker.wakes_at() == end
    assert ready(tracker, end) == ["a"]


def test_a_mapped_task_is_counted_when_the_tasks_before_it_are_done() -> None:
    tracker = tracker_of(task_spec("list"), task_spec("each", "list", is_mapped=True), task_spec("join", "each"))
    assert ready(tracker) == ["list"]
    succeed(tracker, key_of("list"))
    assert tracker.next_changes(NOW).expandable == (key_of("each"),)
    tracker.expand(key_of("each"), 2)
    assert ready(tracker) == ["each[0]", "each[1]"]
    succeed(tracker, key_of("each", map_index=0))
    assert ready(tracker) == ["each[1]"]
    succeed(tracker, key_of("each", map_index=1))
    assert ready(tracker) == ["join"]


def test_a_task_that_is_mapped_over_nothing_is_skipped() -> None:
    tracker = tracker_of(task_spec("each", is_mapped=True, copies=0))
    assert ready(tracker) == []
    assert tracker.states() == {key_of("each"): SKIPPED}


def test_what_a_database_says_replaces_what_was_known() -> None:
    tracker = tracker_of(task_spec("a"), task_spec("each", "a", is_mapped=True), task_spec("b", "each"))
    ready(tracker)
    found = {key_of("a"): SUCCESS, key_of("each", map_index=0): SUCCESS, key_of("each", map_index=1): None}
    tracker.sync("run0", found, {})
    assert ready(tracker) == ["each[1]"]
    tracker.sync("run0", {**found, key_of("each", map_index=1): TaskState.RUNNING}, {})
    assert ready(tracker) == []
    tracker.sync("run0", {**found, key_of("each", map_index=1): SUCCESS}, {})
    assert ready(tracker) == ["b"]
    tracker.sync("run0", {**found, key_of("a"): None}, {})
    assert ready(tracker) == ["a"]


def test_an_evaluation_costs_no_more_in_a_large_dag() -> None:
    """After a change, the tracker evaluates only the instances that the change may affect."""
    layers = [[f"t{layer}_{number}" for number in range(30)] for layer in range(5)]
    tasks = [
        task_spec(one, *(layers[level - 1] if level else ())) for level, layer in enumerate(layers) for one in layer
    ]
    tracker = tracker_of(*tasks)
    asked = 0
    verdict = tracker.verdict

    def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return verdict(*arguments)

    tracker.verdict = counted  # type: ignore[method-assign]
    while names := ready(tracker):
        for name in names:
            tracker.set_state(key_of(name), SUCCESS)
            tracker.next_changes(NOW)
    assert tracker.end_of("run0") is RunState.SUCCESS
    assert asked < 4 * len(tasks)
