"""States, including the names of Synergy."""

import pytest

from elastic.dag.errors import InvalidKeyError, TransitionError
from elastic.dag.ids import TaskKey, check_key, run_id_of
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.states.synergy import (
    ActionSetState,
    check_action_set_transition,
    flow_state_of,
)
from elastic.dag.timetable.interval import instant_of


def test_states_say_whether_more_will_happen() -> None:
    assert {state for state in TaskState if state.is_final} == {
        TaskState.SUCCESS, TaskState.FAILED, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED, TaskState.REMOVED,
    }  # fmt: skip
    assert {state for state in TaskState if state.is_success} == {TaskState.SUCCESS, TaskState.SKIPPED}
    assert {state for state in TaskState if state.is_failure} == {TaskState.FAILED, TaskState.UPSTREAM_FAILED}
    assert {state for state in TaskState if state.is_active} == {TaskState.QUEUED, TaskState.RUNNING}
    assert {state for state in RunState if state.is_final} == {RunState.SUCCESS, RunState.FAILED}


def test_states_are_drawn_in_the_colours_of_flux() -> None:
    assert [TaskState(name).colour for name in ("running", "failed", "success")] == ["lime", "red", "green"]
    assert RunState.RUNNING.colour == "lime"
    assert all(state.colour for state in TaskState)


@pytest.mark.parametrize(
    ("state", "did_work", "name"),
    [
        (None, True, "embryo"),
        (TaskState.QUEUED, True, "embryo"),
        (TaskState.RUNNING, True, "in_progress"),
        (TaskState.UP_FOR_RETRY, True, "in_progress"),
        (TaskState.SUCCESS, True, "processed"),
        (TaskState.SUCCESS, False, "noop"),
        (TaskState.SKIPPED, True, "noop"),
        (TaskState.FAILED, True, "invalid"),
        (TaskState.UPSTREAM_FAILED, True, "canceled"),
        (RunState.QUEUED, True, "embryo"),
        (RunState.RUNNING, True, "in_progress"),
        (RunState.SUCCESS, True, "processed"),
        (RunState.SUCCESS, False, "noop"),
        (RunState.FAILED, True, "invalid"),
    ],
)
def test_every_state_has_a_name_in_synergy(state: TaskState | RunState | None, did_work: bool, name: str) -> None:
    assert flow_state_of(state, did_work=did_work) == name


def test_a_set_of_actions_runs_once() -> None:
    state = check_action_set_transition(ActionSetState.PENDING, ActionSetState.RUNNING)
    assert check_action_set_transition(state, ActionSetState.COMPLETE) == "complete"
    assert check_action_set_transition(state, ActionSetState.FAILED) == "failed"
    for old, new in [("pending", "complete"), ("complete", "running"), ("failed", "running"), ("running", "pending")]:
        with pytest.raises(TransitionError, match=f"cannot change from {old} to {new}"):
            check_action_set_transition(ActionSetState(old), ActionSetState(new))


@pytest.mark.parametrize("key", ["a", "daily_etls", "a.b-c_9", "a" * 250, "..."])
def test_a_key_may_have_letters_digits_and_three_punctuation_marks(key: str) -> None:
    assert check_key("dag_id", key) == key


@pytest.mark.parametrize(
    "key", ["", ".", "..", "a b", "a/b", "../x", "é", "a\n", "a" * 251, "a:b", "%2e%2e", "a\0", None, 7]
)
def test_a_key_that_could_lead_elsewhere_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidKeyError, match=r"invalid task_id .*\. Use 1 to 250 ASCII letters") as caught:
        check_key("task_id", key)
    assert str(key)[:50] in str(caught.value).replace("\\n", "\n").replace("\\x00", "\0")


def test_the_key_of_a_task_instance_reads_well_and_sorts() -> None:
    keys = [TaskKey("d", "r", "t", 2), TaskKey("d", "r", "t")]
    assert [str(key) for key in sorted(keys)] == ["d.t of r", "d.t[2] of r"]


def test_a_run_is_named_by_its_logical_date_in_utc() -> None:
    moment = instant_of("2016-02-22T01:00:00", "Europe/Berlin")
    assert run_id_of(moment) == "scheduled_20160222T000000"
    assert check_key("run_id", run_id_of(moment.replace(microsecond=7), "manual")) == "manual_20160222T000000.000007"
