"""Waits in each metadata database: suspended attempts, checks of triggerers, and the ends of both."""

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select

from elastic.dag.execution.wait import WaitProgress, WaitRequest, WaitSettings, WaitStep
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import AttemptResult
from elastic.db.schema import task_trigger
from elastic.db.stores.waits import wait_of
from elastic.db.transitions import Checked, DueWait
from tests.db.db_samples import claimed, finished, key_of, made_run, queued, running

UUID = "a" * 32


def suspended(
    database: Database,
    state: TaskState = TaskState.DEFERRED,
    *,
    slice: int = 0,
    timeout: float | None = 60,
    **fields: Any,
) -> bool:
    settings = WaitSettings(interval=0.0, timeout=timeout)
    wait = WaitRequest(
        settings=settings, progress=WaitProgress(checks=slice + 1, reason="not yet"), kind="time", slice=slice, **fields
    )
    return transitions.finish(database, AttemptResult(attempt_uuid=UUID, state=state, wait=wait))


def waiting(database: Database, state: TaskState = TaskState.DEFERRED, **fields: Any) -> TaskKey:
    """Return a task instance whose attempt waits."""
    key = key_of(made_run(database, "wait"), "wait")
    running(database, key, UUID)
    assert suspended(database, state, **fields)
    return key


def state_of(database: Database, key: TaskKey) -> str:
    found = queries.instance(database, key)
    assert found is not None
    return str(found.state)


def count(database: Database) -> int:
    query = select(func.count()).select_from(task_trigger)
    return database.query(lambda connection: connection.execute(query).scalar_one())


def taken(database: Database, owner: str = "one", lease: float = 60) -> list[DueWait]:
    return transitions.take_waits(database, owner, lease, limit=10)


def test_a_deferred_attempt_holds_no_lease_and_is_checked_by_one_triggerer(database: Database) -> None:
    key = waiting(database)
    row = queries.instance(database, key)
    assert row is not None
    assert (row.state, row.lease_owner, row.pid) == (TaskState.DEFERRED, None, None)
    assert transitions.renew(database, "me", 60) == frozenset()
    assert transitions.expire(database) == []
    [due] = taken(database)
    assert due.seconds_left is not None
    assert 50 < due.seconds_left <= 60
    assert taken(database, "two") == []


def test_a_check_without_an_answer_keeps_the_deadline(database: Database) -> None:
    waiting(database)
    before, _ = wait_of(database, UUID)
    [due] = taken(database)
    following = WaitStep(progress=WaitProgress(checks=2, reason="still not"), check_in=0.0)
    assert transitions.record_checks(database, "one", [Checked(due, following)]) == frozenset()
    after, _ = wait_of(database, UUID)
    assert before is not None
    assert after is not None
    assert (after.started_at, after.deadline) == (before.started_at, before.deadline)
    assert after.progress == following.progress
    [again] = taken(database, "two")
    assert again.progress.checks == 2


def test_equal_questions_that_are_due_soon_are_taken_together(database: Database) -> None:
    waits = {"due": (0.0, "x"), "soon": (20.0, "x"), "later": (40.0, "x"), "other": (20.0, "y")}
    run = made_run(database, *waits)
    for name, (check_in, path) in waits.items():
        running(database, key_of(run, name), name)
        wait = WaitRequest(
            settings=WaitSettings(interval=60.0),
            progress=WaitProgress(checks=1),
            kind="file",
            arguments={"path": path},
            check_in=check_in,
        )
        assert transitions.finish(database, AttemptResult(attempt_uuid=name, state=TaskState.DEFERRED, wait=wait))
    assert [wait.attempt_uuid for wait in taken(database)] == ["due", "soon"]
    assert taken(database, "two") == []


def test_a_lease_that_ran_out_is_taken_by_another_triggerer_whose_answer_counts_once(database: Database) -> None:
    key = waiting(database)
    [first] = taken(database, "dead", lease=-1.0)
    [second] = taken(database, "alive")
    result = AttemptResult(attempt_uuid=UUID, state=TaskState.SUCCESS, expected=TaskState.DEFERRED)
    end = WaitStep(progress=WaitProgress(checks=2))
    assert transitions.record_checks(database, "alive", [Checked(second, end, result)]) == {UUID}
    assert transitions.record_checks(database, "dead", [Checked(first, end, result)]) == frozenset()
    assert (state_of(database, key), count(database)) == ("success", 0)


def test_an_answer_of_a_triggerer_that_lost_its_lease_changes_no_row(database: Database) -> None:
    waiting(database)
    [due] = taken(database, "dead", lease=-1.0)
    taken(database, "alive")
    late = WaitStep(progress=WaitProgress(checks=9, reason="late"), check_in=100.0)
    transitions.record_checks(database, "dead", [Checked(due, late)])
    found, _ = wait_of(database, UUID)
    assert found is not None
    assert found.progress.checks == 1


@pytest.mark.parametrize("state", [TaskState.DEFERRED, TaskState.UP_FOR_RESCHEDULE])
@pytest.mark.parametrize("how", ["clear", "mark", "set", "mark_run"])
def test_a_wait_ends_with_its_instance_and_a_late_answer_is_dropped(
    database: Database, state: TaskState, how: str
) -> None:
    key = waiting(database, state)
    due = DueWait(
        key=key, attempt_uuid=UUID, kind="time", arguments="{}", question="", connection="time",
        settings=WaitSettings(), progress=WaitProgress(), seconds_left=None,
    )  # fmt: skip
    match how:
        case "clear":
            transitions.clear(database, [key])
        case "mark":
            assert transitions.mark_success(database, [key]) == [key]
        case "set":
            assert transitions.set_state(database, key, TaskState.FAILED, expected=[state], note="by hand")
        case _:
            transitions.mark_run(database, key.dag_id, key.run_id, RunState.FAILED, note="by hand")
    assert count(database) == 0
    before = state_of(database, key)
    [attempt] = queries.attempts(database, key)
    assert (attempt.state, attempt.ended_at is not None) == (TaskState.FAILED, True)
    result = AttemptResult(attempt_uuid=UUID, state=TaskState.SUCCESS, expected=TaskState.DEFERRED)
    transitions.record_checks(database, "one", [Checked(due, WaitStep(progress=WaitProgress()), result)])
    assert state_of(database, key) == before


def test_a_rescheduled_attempt_continues_with_its_try_its_start_and_its_deadline(database: Database) -> None:
    key = waiting(database, TaskState.UP_FOR_RESCHEDULE)
    first, _ = wait_of(database, UUID)
    before = queries.instance(database, key)
    assert not queued(database, key, "b" * 32), "only the attempt that waits may continue"
    assert queued(database, key, UUID, continues=True)
    assert claimed(database, key, UUID)
    row = queries.instance(database, key)
    assert before is not None
    assert row is not None
    assert (row.try_number, row.started_at) == (1, before.started_at)
    assert suspended(database, TaskState.UP_FOR_RESCHEDULE, slice=1)
    second, _ = wait_of(database, UUID)
    assert first is not None
    assert second is not None
    assert (second.started_at, second.deadline, second.slice) == (first.started_at, first.deadline, 2)
    assert len(queries.attempts(database, key)) == 1


def test_a_process_of_an_earlier_slice_changes_nothing(database: Database) -> None:
    key = waiting(database, TaskState.UP_FOR_RESCHEDULE)
    assert queued(database, key, UUID, continues=True)
    assert claimed(database, key, UUID)
    assert not suspended(database, TaskState.UP_FOR_RESCHEDULE, slice=0)
    assert state_of(database, key) == "running"


def test_a_rescheduled_attempt_that_no_process_claimed_waits_again(database: Database) -> None:
    key = waiting(database, TaskState.UP_FOR_RESCHEDULE)
    assert queued(database, key, UUID, continues=True, lease=-1.0)
    assert transitions.expire(database) == [key]
    row = queries.instance(database, key)
    assert row is not None
    assert (row.state, row.attempt_uuid, row.try_number) == (TaskState.UP_FOR_RESCHEDULE, UUID, 1)
    assert queued(database, key, UUID, continues=True)
    assert claimed(database, key, UUID, lease=-1.0)
    assert transitions.expire(database, gives_up=False) == [key]
    assert (state_of(database, key), count(database)) == ("up_for_retry", 0)


def test_a_retry_has_a_wait_of_its_own(database: Database) -> None:
    key = waiting(database, TaskState.UP_FOR_RESCHEDULE)
    first, _ = wait_of(database, UUID)
    assert queued(database, key, UUID, continues=True)
    assert claimed(database, key, UUID)
    assert finished(database, UUID, TaskState.UP_FOR_RETRY, retry_in=0.0, error="timed out")
    retry = "c" * 32
    running(database, key, retry)
    wait = WaitRequest(settings=WaitSettings(timeout=60), progress=WaitProgress(checks=1))
    assert transitions.finish(database, AttemptResult(attempt_uuid=retry, state=TaskState.DEFERRED, wait=wait))
    second, _ = wait_of(database, retry)
    assert first is not None
    assert second is not None
    assert second.started_at > first.started_at
    assert count(database) == 1


def test_deferred_attempts_check_by_themselves_without_a_triggerer(database: Database) -> None:
    key = waiting(database)
    taken(database)
    assert transitions.resume_waits(database, key.dag_id, [key.run_id]) == 1
    assert state_of(database, key) == "up_for_reschedule"
    assert taken(database, "two", lease=60) == []
    assert transitions.seconds_until_check(database) is None


def test_a_wait_without_a_timeout_has_no_deadline(database: Database) -> None:
    waiting(database, timeout=None)
    found, now = wait_of(database, UUID)
    assert found is not None
    assert found.deadline is None
    assert abs(now - found.started_at) < dt.timedelta(minutes=1)
