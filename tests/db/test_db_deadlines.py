"""Deadlines: made with the run, closed once, and shown on the run."""

import datetime as dt
import json

from db_samples import made_run, new_run, running
from sqlalchemy import select, update

from elastic.dag import DAG, Deadline
from elastic.dag.serialized_dag import from_dict, to_dict
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import AttemptResult
from elastic.db.schema import deadline
from elastic.db.sql_clock import now
from elastic.db.stores.dags import DagRow, store_dag
from elastic.db.stores.notifications import notifications
from elastic.operators import DummyOperator

ALL = ("queued", "started", "logical_date", "interval_end")


def stored(database: Database, digest: str, *deadlines: Deadline, of_task: tuple[Deadline, ...] = ()) -> None:
    with DAG("etl", start_date="2016-02-22", deadlines=list(deadlines)) as dag:
        DummyOperator(task_id="load", deadlines=of_task)
    fields = to_dict(dag)
    from_dict(json.loads(json.dumps(fields)))
    row = DagRow(dag_id="etl", fileloc="/dags/etl.py", structure_digest=digest)
    store_dag(database, row, structure=json.dumps(fields))


def states(database: Database) -> dict[str, str]:
    query = select(deadline.c.counts_after, deadline.c.state)
    return {row[0]: row[1] for row in database.query(lambda connection: connection.execute(query).all())}


def closed_now(database: Database) -> list[transitions.MissedDeadline]:
    """Close all deadlines as if their time had come."""
    database.write(lambda connection, _: connection.execute(update(deadline).values(due_at=now())))
    return transitions.close_due(database)


def test_each_deadline_of_a_run_is_missed_once_and_the_run_is_late(database: Database) -> None:
    stored(database, "a1", *(Deadline(after=one, within=dt.timedelta(0), notify="ops") for one in ALL))
    run = transitions.insert_run(database, new_run(structure_digest="a1"))
    assert states(database) == dict.fromkeys(ALL, "armed")
    found = transitions.close_due(database)
    assert sorted(one.due_at.date() for one in found)[:2] == [dt.date(2016, 2, 22), dt.date(2016, 2, 23)]
    assert {one.notify for one in found} == {("ops",)}
    assert states(database)["started"] == "armed"
    assert len(found) == 3
    assert transitions.start_run(database, run.dag_id, run.run_id)
    assert [str(one) for one in transitions.close_due(database)] == [
        f"run {run.run_id} of DAG 'etl' is late: it had to succeed by {one.due_at:%Y-%m-%d %H:%M:%S} UTC"
        for one in _missed(database, "started")
    ]
    assert transitions.close_due(database) == []
    stored_run = queries.run_of_id(database, run.dag_id, run.run_id)
    assert stored_run is not None
    assert stored_run.is_late
    subjects = [one.subject for one in notifications(database, limit=10)]
    assert subjects == ["[elastic] late: run of etl 2016-02-22"] * 4
    events = [one.event for one in queries.events(database, dag_id="etl")]
    assert events.count("deadline missed") == 4


def _missed(database: Database, after: str) -> list[transitions.MissedDeadline]:
    query = select(deadline).where(deadline.c.counts_after == after)
    row = database.query(lambda connection: connection.execute(query).one())
    return [
        transitions.MissedDeadline(
            dag_id=row.dag_id,
            run_id=row.run_id,
            task_id=row.task_id,
            logical_date=row.due_at,
            due_at=row.due_at,
            notify=(),
        )
    ]


def test_a_run_that_succeeded_in_time_is_not_late_and_one_that_failed_is(database: Database) -> None:
    stored(database, "b1", Deadline(after="queued", within=dt.timedelta(hours=1)))
    good = transitions.insert_run(database, new_run(structure_digest="b1"))
    bad = transitions.insert_run(database, new_run(day=1, structure_digest="b1"))
    transitions.set_run_state(database, "etl", good.run_id, RunState.SUCCESS)
    transitions.set_run_state(database, "etl", bad.run_id, RunState.FAILED)
    assert transitions.close_due(database) == []
    found = closed_now(database)
    assert [one.run_id for one in found] == [bad.run_id]
    assert [one.is_late for one in queries.runs(database, "etl")] == [False, True]


def test_a_task_is_late_only_if_it_has_not_succeeded_in_time(database: Database) -> None:
    soon = Deadline(after="queued", within=dt.timedelta(hours=1))
    stored(database, "c1", of_task=(soon,))
    for day in (0, 1):
        run = transitions.insert_run(database, new_run(day=day, structure_digest="c1"))
        made_run(database, "load", day=day)
        transitions.start_run(database, "etl", run.run_id)
    first = queries.instances(database, "etl", [new_run().run_id])[0]
    running(database, first.key, "a" * 32)
    transitions.finish(database, AttemptResult(attempt_uuid="a" * 32, state=TaskState.SUCCESS))
    found = closed_now(database)
    assert [(one.task_id, one.run_id) for one in found] == [("load", new_run(day=1).run_id)]
