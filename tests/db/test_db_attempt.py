"""The life of an attempt, on every database."""

import datetime as dt

import pytest
from db_samples import claimed, database_time, finished, key_of, made_run, new_instance, queued, running

from elastic.core.errors import UsageError
from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.records import AttemptResult, LogLine, QueueRequest
from elastic.db.stores.pools import PoolStore
from elastic.db.stores.xcoms import add_log_lines, push_xcoms
from elastic.scheduler.supervisor.state_changes import StateChanges, apply


def test_an_attempt_is_queued_claimed_and_finished(database: Database) -> None:
    key = key_of(made_run(database, "load", operator="BashOperator", max_tries=3), "load")
    assert queued(database, key, "a1", job_id=None, log_path="/logs/1")
    waiting = queries.instance(database, key)
    assert waiting is not None
    assert (waiting.state, waiting.try_number, waiting.attempt_uuid) == (TaskState.QUEUED, 1, "a1")
    assert claimed(database, key, "a1", pid=77)
    assert finished(database, "a1", exit_code=0, flow_run_id="20261120-231512-4f9a2c1b7d3e", note="done")
    done = queries.instance(database, key)
    assert done is not None
    assert (done.state, done.host, done.pid, done.note) == (TaskState.SUCCESS, "here", 77, "done")
    assert done.started_at is not None
    assert done.ended_at is not None
    assert done.duration == pytest.approx((done.ended_at - done.started_at).total_seconds(), abs=0.002)
    assert (done.lease_owner, done.lease_expires_at) == (None, None)
    (attempt,) = queries.attempts(database, key)
    assert (attempt.state, attempt.try_number, attempt.run_attempt, attempt.exit_code) == (TaskState.SUCCESS, 1, 1, 0)
    assert (attempt.log_path, attempt.flow_run_id) == ("/logs/1", "20261120-231512-4f9a2c1b7d3e")
    assert attempt == queries.attempt(database, "a1")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("caf\udce9.csv", "caf\\udce9.csv"),
        ("a\0b", "a\\x00b"),
        ("\U0001f600" * 10, "\U0001f600" * 10),
    ],
)
def test_no_text_of_an_error_keeps_an_attempt_from_ending(database: Database, text: str, kept: str) -> None:
    key = key_of(made_run(database, "load"), "load")
    running(database, key, "a1", job_id=None, log_path=f"/logs/{text}")
    line = LogLine(
        dag_id=key.dag_id,
        run_id=key.run_id,
        run_attempt=1,
        at=dt.datetime.now(dt.UTC),
        logger=text * 200,
        level="INFO",
        message=text,
    )
    add_log_lines(database, [line])
    assert finished(database, "a1", state=TaskState.FAILED, error=f"ValueError: {text}", note=text)
    (attempt,) = queries.attempts(database, key)
    assert (attempt.state, attempt.error, attempt.log_path) == (
        TaskState.FAILED,
        f"ValueError: {kept}",
        f"/logs/{kept}",
    )
    row = queries.instance(database, key)
    assert row is not None
    assert row.note == kept
    (read,) = queries.log_lines(database, key.dag_id, key.run_id)
    assert read.message == kept
    assert len(read.logger) <= 500


def test_an_error_that_is_too_long_for_a_statement_keeps_its_beginning_and_its_end(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    running(database, key, "a1")
    assert finished(database, "a1", state=TaskState.FAILED, error="begin" + "\u00fc" * 20_000_000 + "end")
    (attempt,) = queries.attempts(database, key)
    assert attempt.error is not None
    assert (attempt.error[:5], attempt.error[-3:], len(attempt.error)) == ("begin", "end", 65_536)


def test_times_are_those_of_the_database_and_aware(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    before = database_time(database)
    running(database, key, "a1")
    finished(database, "a1")
    after = database_time(database)
    row = queries.instance(database, key)
    assert row is not None
    assert row.queued_at is not None
    assert row.ended_at is not None
    assert before <= row.queued_at <= row.ended_at <= after
    assert row.queued_at.utcoffset() == dt.timedelta(0)
    assert abs(dt.datetime.now(dt.UTC) - after) < dt.timedelta(minutes=5)


def test_of_two_who_queue_an_instance_one_does(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    assert queued(database, key, "a1")
    assert not queued(database, key, "a2")
    assert queries.attempt(database, "a2") is None


def test_what_was_decided_on_an_older_version_is_not_queued(database: Database) -> None:
    key = key_of(made_run(database, "load", max_tries=9), "load")
    seen = queries.instance(database, key)
    assert seen is not None
    running(database, key, "a1")
    finished(database, "a1", TaskState.UP_FOR_RETRY, retry_in=3600)
    assert not queued(database, key, "a2", version=seen.version)
    now = queries.instance(database, key)
    assert now is not None
    assert queued(database, key, "a3", version=now.version)


def test_only_the_attempt_that_counts_is_claimed_and_only_once(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    assert not claimed(database, key, "a1")
    assert queued(database, key, "a1")
    assert not claimed(database, key, "a2")
    assert claimed(database, key, "a1", pid=1)
    assert not claimed(database, key, "a1", pid=2)
    assert not claimed(database, key, "a1", pid=1)
    row = queries.instance(database, key)
    assert row is not None
    assert row.pid == 1


def test_a_zombies_late_success_changes_nothing(database: Database) -> None:
    key = key_of(made_run(database, "load", max_tries=2), "load")
    running(database, key, "a1", lease=-1)
    assert transitions.expire(database) == [key]
    running(database, key, "a2")
    before = queries.instance(database, key)
    assert not finished(database, "a1", xcoms={"return_value": "1"})
    assert queries.instance(database, key) == before
    assert queries.xcoms(database, key.dag_id, key.run_id, ["load"], "return_value") == []
    assert [attempt.state for attempt in queries.attempts(database, key)] == [TaskState.FAILED, TaskState.RUNNING]


def test_an_unknown_attempt_changes_nothing(database: Database) -> None:
    assert not finished(database, "nobody's")


def test_an_attempt_ends_once(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    running(database, key, "a1")
    assert finished(database, "a1", TaskState.FAILED, error="boom", exit_code=-9)
    assert not finished(database, "a1", TaskState.SUCCESS)
    (attempt,) = queries.attempts(database, key)
    assert (attempt.state, attempt.error, attempt.exit_code) == (TaskState.FAILED, "boom", -9)


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.SCHEDULED, TaskState.REMOVED])
def test_an_attempt_cannot_end_in_a_state_that_is_no_end(sqlite_database: Database, state: TaskState) -> None:
    with pytest.raises(UsageError, match="cannot end as"):
        finished(sqlite_database, "a1", state)


def test_what_could_not_be_started_is_given_up_while_it_is_queued(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    assert queued(database, key, "a1")
    assert not finished(database, "a1", TaskState.FAILED, error="no process")
    assert finished(database, "a1", TaskState.FAILED, expected=TaskState.QUEUED, error="no process")
    assert not claimed(database, key, "a1")


def test_a_retry_waits_and_counts(database: Database) -> None:
    key = key_of(made_run(database, "load", max_tries=3), "load")
    running(database, key, "a1")
    assert finished(database, "a1", TaskState.UP_FOR_RETRY, error="boom", retry_in=3600)
    assert queries.due_retries(database) == []
    row = queries.instance(database, key)
    assert row is not None
    assert row.next_retry_at is not None
    assert row.next_retry_at > database_time(database) + dt.timedelta(minutes=50)
    running(database, key, "a2")
    assert finished(database, "a2", TaskState.UP_FOR_RETRY, retry_in=0)
    assert queries.due_retries(database, "etl") == [key]
    assert queries.due_retries(database, "other") == []
    running(database, key, "a3")
    row = queries.instance(database, key)
    assert row is not None
    assert (row.try_number, row.next_retry_at) == (3, None)
    assert [attempt.try_number for attempt in queries.attempts(database, key)] == [1, 2, 3]


def test_leases_that_are_renewed_do_not_expire(database: Database) -> None:
    run = made_run(database, "one", "two")
    one, two = key_of(run, "one"), key_of(run, "two")
    running(database, one, "a1", lease=-1)
    assert queued(database, two, "a2", lease_owner="me", lease=-1)
    assert transitions.renew(database, "me", 60) == {"a1", "a2"}
    assert transitions.expire(database) == []
    assert transitions.renew(database, "another-process", -60) == frozenset()
    assert {row.key for row in queries.active_instances(database, lease_owner="me")} == {one, two}
    assert queries.active_instances(database, lease_owner="another-process") == []
    transitions.renew(database, "me", -60)
    assert set(transitions.expire(database)) == {one, two}
    assert transitions.renew(database, "me", 60) == frozenset()


def test_a_lease_that_is_given_up_is_not_renewed_by_its_earlier_owner(database: Database) -> None:
    run = made_run(database, "one", "two")
    one, two = key_of(run, "one"), key_of(run, "two")
    running(database, one, "a1")
    assert queued(database, two, "a2", lease_owner="me")
    transitions.release_leases(database, "me", attempt_uuid="a2")
    assert transitions.renew(database, "me", 60) == {"a1"}
    transitions.release_leases(database, "another-process")
    assert transitions.expire(database) == [two]
    transitions.release_leases(database, "me")
    assert transitions.renew(database, "me", 60) == frozenset()
    assert transitions.expire(database) == [one]


def test_a_running_instance_whose_lease_expired_is_tried_again_or_fails(database: Database) -> None:
    run = made_run(database, "again", max_tries=2)
    transitions.ensure_instances(database, [new_instance(run, "last", max_tries=1)])
    again, last = key_of(run, "again"), key_of(run, "last")
    running(database, again, "a1", lease=-1)
    running(database, last, "a2", lease=-1)
    assert set(transitions.expire(database, dag_id="etl", retry_in=0)) == {again, last}
    assert transitions.expire(database) == []
    states = queries.states(database, "etl", run.run_id)
    assert states == {again: TaskState.UP_FOR_RETRY, last: TaskState.FAILED}
    (attempt,) = queries.attempts(database, last)
    assert attempt.state is TaskState.FAILED
    assert attempt.error is not None
    assert "lease" in attempt.error


def test_what_was_lost_in_its_last_try_may_be_tried_again_if_asked(database: Database) -> None:
    key = key_of(made_run(database, "load", max_tries=1), "load")
    running(database, key, "a1", lease=-1)
    assert transitions.expire(database, gives_up=False) == [key]
    assert queries.due_retries(database) == [key]
    running(database, key, "a2")


def test_a_queued_instance_without_a_claim_is_scheduled_again_and_the_try_does_not_count(
    database: Database,
) -> None:
    key = key_of(made_run(database, "load"), "load")
    assert queued(database, key, "a1", lease=-1)
    assert transitions.expire(database, dag_id="other") == []
    assert transitions.expire(database) == [key]
    assert not claimed(database, key, "a1")
    running(database, key, "a2")
    row = queries.instance(database, key)
    assert row is not None
    assert row.try_number == 1


def test_xcoms_are_kept_with_the_end_and_replace_each_other(database: Database) -> None:
    run = made_run(database, "load", "other", max_tries=2)
    key = key_of(run, "load")
    running(database, key, "a1")
    assert push_xcoms(database, key, "a1", {"rows": "7", "return_value": '"early"'})
    assert not push_xcoms(database, key, "a2", {"rows": "8"})
    assert finished(database, "a1", xcoms={"return_value": '{"ä": 1}'})
    assert not push_xcoms(database, key, "a1", {"rows": "8"})
    tasks = ["load", "other"]
    assert queries.xcoms(database, "etl", run.run_id, tasks, "return_value") == [("load", -1, '{"ä": 1}')]
    assert queries.xcoms(database, "etl", run.run_id, tasks, "rows", [-1]) == [("load", -1, "7")]
    assert queries.xcoms(database, "etl", run.run_id, tasks, "rows", [0]) == []


def test_a_data_flow_stays_with_the_instance_for_the_next_try(database: Database) -> None:
    key = key_of(made_run(database, "load", max_tries=2), "load")
    assert not transitions.set_flow_run(database, "a1", "run 1")
    running(database, key, "a1")
    assert transitions.set_flow_run(database, "a1", "run 1")
    finished(database, "a1", TaskState.UP_FOR_RETRY)
    assert not transitions.set_flow_run(database, "a1", "run 2")
    running(database, key, "a2")
    row = queries.instance(database, key)
    assert row is not None
    assert row.flow_run_id == "run 1"


def test_a_pool_gives_no_more_slots_than_it_has(database: Database) -> None:
    pools = PoolStore(database)
    pools.put("narrow", 3, "two at a time")
    run = made_run(database, *"abcd", pool="narrow")
    tickets = [
        QueueRequest(key=key_of(run, name), attempt_uuid=name, pool="narrow", pool_slots=slots)
        for name, slots in zip("abcd", (2, 2, 1, 1), strict=True)
    ]
    assert transitions.queue_many(database, tickets) == {"a", "c"}
    assert claimed(database, key_of(run, "a"), "a")
    (narrow,) = [pool for pool in pools.all() if pool.pool == "narrow"]
    assert (narrow.slots, narrow.queued, narrow.running, narrow.description) == (3, 1, 2, "two at a time")
    assert transitions.queue_many(database, tickets) == frozenset()
    finished(database, "a")
    assert transitions.queue_many(database, tickets) == {"b"}


def test_a_dag_has_no_more_instances_than_its_concurrency_over_all_pools(database: Database) -> None:
    PoolStore(database).put("wide", -1)
    run = made_run(database, *"abcdef")
    other = made_run(database, "a", dag_id="other")
    tickets = [
        QueueRequest(key=key_of(run, name), attempt_uuid=name, concurrency=4, pool=("wide", "default")[number % 2])
        for number, name in enumerate("abcdef")
    ]
    assert transitions.queue_many(database, tickets) == set("abcd")
    assert queued(database, key_of(other, "a"), "o", concurrency=1)


def test_a_pool_that_isnt_defined_is_named(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    with pytest.raises(UnknownRowError, match="pool 'nowhere' isn't defined; add it with"):
        queued(database, key, "a1", pool="nowhere")


def test_an_attempt_ends_and_the_next_is_queued_in_one_transaction(database: Database) -> None:
    PoolStore(database).put("default", 1)
    run = made_run(database, "a", "b")
    running(database, key_of(run, "a"), "a1")
    result = AttemptResult(attempt_uuid="a1", state=TaskState.SUCCESS)
    request = QueueRequest(key=key_of(run, "b"), attempt_uuid="b1")
    assert not transitions.queue(database, request)
    applied = apply(database, StateChanges(results=[result], queue_requests=[request]))
    assert applied == {"a1", "b1"}
    assert apply(database, StateChanges(results=[result])) == frozenset()
    assert list(queries.states(database, "etl", run.run_id).values()) == [TaskState.SUCCESS, TaskState.QUEUED]


def test_many_are_queued_and_finished_in_one_transaction(database: Database) -> None:
    names = [f"t{number}" for number in range(60)]
    run = made_run(database, *names)
    tickets = [QueueRequest(key=key_of(run, name), attempt_uuid=f"u-{name}") for name in names]
    assert len(transitions.queue_many(database, tickets)) == 60
    for name in names[:3]:
        assert claimed(database, key_of(run, name), f"u-{name}")
    endings = [AttemptResult(attempt_uuid=f"u-{name}", state=TaskState.SUCCESS, xcoms={"k": "1"}) for name in names[:4]]
    assert transitions.finish_many(database, endings) == {"u-t0", "u-t1", "u-t2"}
    counts = queries.state_counts(database, "etl", [run.run_id])
    assert counts == {TaskState.SUCCESS: 3, TaskState.QUEUED: 57}
    assert len(queries.active_instances(database)) == 57
    assert transitions.queue_many(database, []) == transitions.finish_many(database, []) == frozenset()


def test_the_callbacks_of_an_attempt_are_taken_once(database: Database) -> None:
    run = made_run(database, "own", "lost", "expired", "begun", max_tries=2)
    for name in ("own", "lost", "expired", "begun"):
        running(database, key_of(run, name), name, lease=-1 if name == "expired" else 60)
        # nothing is due before the end of the attempt
        assert not transitions.take_callbacks(database, name, is_own=False)
    assert [transitions.take_callbacks(database, name, is_own=True) for name in ("own", "own", "begun")] == [1, 0, 1]
    assert finished(database, "own")
    for name in ("lost", "begun"):
        assert finished(database, name, TaskState.FAILED, callback=TaskState.FAILED)
    assert transitions.expire(database) == [key_of(run, "expired")]
    # a late process, and one that has begun to call them, do not call them again
    assert not transitions.take_callbacks(database, "lost", is_own=True)
    due = {one.attempt_uuid: one.callback for one in queries.due_callbacks(database, "etl")}
    assert due == {"lost": "failed", "expired": "up_for_retry"}
    for name in due:
        assert [transitions.take_callbacks(database, name, is_own=False) for _ in range(2)] == [True, False]
    assert queries.due_callbacks(database, "etl") == []
