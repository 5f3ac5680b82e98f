"""Notifications that the end of an attempt or of a run stores, on every database."""

import hashlib
import json
from typing import Any

import pytest
from db_samples import finished, key_of, new_instance, new_run, queued, running
from sqlalchemy import select

from elastic.dag.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.dag.serialized_dag import to_dict
from elastic.dag.states.state import RunState, TaskState
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.matching import insert_if_absent
from elastic.db.records import DagRun
from elastic.db.schema import dag_structure, notification
from elastic.db.sql_clock import now
from elastic.operators import EmptyOperator

OPS, TEAM = "ops@example.org", "team@example.org"


def told_run(database: Database, *, notify: Any = None, max_tries: int = 4, **settings: Any) -> DagRun:
    """Store a DAG of one task and a run of it with one instance; return the run."""
    with DAG("etl", start_date="2016-02-22", notify=notify, notify_on_success=notify is not None) as dag:
        EmptyOperator(task_id="load", **{"email": [OPS, TEAM], **settings})
    structure = json.dumps(to_dict(dag), sort_keys=True)
    digest = hashlib.sha256(structure.encode()).hexdigest()
    with database.begin() as connection:
        row = {"digest": digest, "dag_id": "etl", "structure": structure}
        connection.execute(insert_if_absent(connection, dag_structure).values(created_at=now()), row)
    run = transitions.ensure_run(database, new_run(structure_digest=digest, state=RunState.RUNNING))
    transitions.ensure_instances(database, [new_instance(run, "load", max_tries=max_tries)])
    return run


def outbox(database: Database) -> list[Any]:
    query = select(notification).order_by(notification.c.id)
    return list(database.query(lambda connection: connection.execute(query).all()))


def fail_all_tries(database: Database, key: TaskKey, tries: int = 4) -> None:
    for number in range(1, tries + 1):
        running(database, key, f"a{number}")
        state = TaskState.UP_FOR_RETRY if number < tries else TaskState.FAILED
        assert finished(database, f"a{number}", state, error="Traceback\n  in load\nValueError: no file", retry_in=0.0)


def test_three_retries_leave_one_mail(database: Database) -> None:
    key = key_of(told_run(database), "load")
    fail_all_tries(database, key)
    assert not finished(database, "a4", TaskState.FAILED, error="again"), "it has ended"
    (row,) = outbox(database)
    assert row.subject == "[elastic] failed: etl.load 2016-02-22 (try 4 of 4)"
    assert (row.event, row.recipient) == ("failed", f"mailto:{OPS},{TEAM}")
    assert (row.state, row.tries, row.message_key) == ("waiting", 0, row.dedup_key)
    facts = json.loads(row.facts)
    assert (facts["reason"], facts["attempt_uuid"]) == ("ValueError: no file", "a4")


@pytest.mark.parametrize(
    ("settings", "events"),
    [
        ({"email_on_retry": True}, ["retry", "failed"]),
        ({"email_on_failure": False, "email_on_retry": True}, ["retry"]),
        ({"email_on_failure": False}, []),
        ({"email": None}, []),
    ],
)
def test_the_settings_of_a_task_say_which_failures_are_told(
    sqlite_database: Database, settings: dict[str, Any], events: list[str]
) -> None:
    fail_all_tries(sqlite_database, key_of(told_run(sqlite_database, **settings), "load"), tries=2)
    assert [row.event for row in outbox(sqlite_database)] == events


def test_an_attempt_whose_process_died_is_told_once(database: Database) -> None:
    key = key_of(told_run(database, max_tries=1), "load")
    running(database, key, "a1", lease=-1)
    assert transitions.expire(database) == [key]
    assert transitions.expire(database) == []
    assert not finished(database, "a1", TaskState.FAILED, error="late")
    (row,) = outbox(database)
    assert json.loads(row.facts)["reason"] == "its lease expired: the process or its host is gone"


def test_an_instance_that_was_cleared_and_fails_again_is_told_again(sqlite_database: Database) -> None:
    key = key_of(told_run(sqlite_database, max_tries=1), "load")
    for uuid in ("a1", "b1"):
        running(sqlite_database, key, uuid)
        assert finished(sqlite_database, uuid, TaskState.FAILED, error="x")
        transitions.clear(sqlite_database, [key])
    assert len(outbox(sqlite_database)) == 2


def test_a_mark_by_hand_tells_nothing(sqlite_database: Database) -> None:
    run = told_run(sqlite_database, notify=["chat"])
    key = key_of(run, "load")
    assert queued(sqlite_database, key, "a1")
    assert transitions.set_state(sqlite_database, key, TaskState.FAILED, expected=[TaskState.QUEUED])
    assert transitions.set_run_state(sqlite_database, "etl", run.run_id, RunState.FAILED)
    transitions.mark_run(sqlite_database, "etl", run.run_id, RunState.SUCCESS, note="by hand")
    assert outbox(sqlite_database) == []


def test_the_end_of_a_run_is_told_to_each_recipient_of_the_dag(database: Database) -> None:
    run = told_run(database, notify=["chat", f"mailto:{OPS}"], max_tries=1)
    fail_all_tries(database, key_of(run, "load"), tries=1)
    assert transitions.end_run(database, "etl", run.run_id, RunState.FAILED)
    assert not transitions.end_run(database, "etl", run.run_id, RunState.FAILED), "it has ended"
    rows = outbox(database)[1:]
    assert [row.recipient for row in rows] == ["chat", f"mailto:{OPS}"]
    assert {row.subject for row in rows} == {"[elastic] failed: run of etl 2016-02-22"}
    assert json.loads(rows[0].facts)["failed_tasks"] == ["load"]
    transitions.clear(database, [key_of(run, "load")])
    assert transitions.end_run(database, "etl", run.run_id, RunState.SUCCESS)
    assert [row.event for row in outbox(database)[3:]] == ["run_success"] * 2


def test_a_run_of_a_dag_that_is_not_stored_tells_nothing(sqlite_database: Database) -> None:
    run = transitions.ensure_run(sqlite_database, new_run())
    transitions.ensure_instances(sqlite_database, [new_instance(run, "load")])
    running(sqlite_database, key_of(run, "load"), "a1")
    assert finished(sqlite_database, "a1", TaskState.FAILED, error="x")
    assert transitions.end_run(sqlite_database, "etl", run.run_id, RunState.FAILED)
    assert outbox(sqlite_database) == []
