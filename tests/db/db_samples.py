"""Runs and task instances for tests of the database."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event, select

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.records import AttemptResult, Claim, DagRun, QueueRequest, TaskInstanceRow
from elastic.db.sql_clock import Now

DAY = dt.datetime(2016, 2, 22, tzinfo=dt.UTC)


def new_run(dag_id: str = "etl", day: int = 0, **changes: Any) -> DagRun:
    date = DAY + dt.timedelta(days=day)
    values: dict[str, Any] = {
        "dag_id": dag_id,
        "run_id": f"backfill_{date:%Y%m%d}",
        "logical_date": date,
        "data_interval_start": date,
        "data_interval_end": date + dt.timedelta(days=1),
        "timeperiod": f"{date:%Y%m%d}",
    }
    return DagRun(**{**values, **changes})


def made_run(database: Database, *task_ids: str, dag_id: str = "etl", day: int = 0, **fields: Any) -> DagRun:
    run = transitions.ensure_run(database, new_run(dag_id, day))
    transitions.ensure_instances(database, [new_instance(run, task_id, **fields) for task_id in task_ids])
    return run


def new_instance(run: DagRun, task_id: str, **fields: Any) -> TaskInstanceRow:
    return TaskInstanceRow(dag_id=run.dag_id, run_id=run.run_id, task_id=task_id, **fields)


def database_time(database: Database) -> dt.datetime:
    """Return the time by the clock of the database."""
    time: dt.datetime = database.query(lambda connection: connection.execute(select(Now())).scalar_one())
    return time


def key_of(run: DagRun, task_id: str) -> TaskKey:
    return TaskKey(run.dag_id, run.run_id, task_id)


def queued(database: Database, key: TaskKey, uuid: str, **fields: Any) -> bool:
    return transitions.queue(database, QueueRequest(key=key, attempt_uuid=uuid, **fields))


def claimed(database: Database, key: TaskKey, uuid: str, *, pid: int = 1, lease: float = 60, owner: str = "me") -> bool:
    wanted = Claim(key=key, attempt_uuid=uuid, host="here", pid=pid, lease_owner=owner, lease=lease)
    return transitions.claim(database, wanted)


def running(database: Database, key: TaskKey, uuid: str, *, lease: float = 60, **fields: Any) -> None:
    assert queued(database, key, uuid, **fields)
    assert claimed(database, key, uuid, lease=lease)


def finished(database: Database, uuid: str, state: TaskState = TaskState.SUCCESS, **fields: Any) -> bool:
    return transitions.finish(database, AttemptResult(attempt_uuid=uuid, state=state, **fields))


@contextmanager
def interrupted_commit(database: Database, number: int) -> Iterator[None]:
    """Interrupt the process at the commit of a transaction that changed something, counted from 1."""
    changes: list[str] = []

    def note(_: Connection, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith(("UPDATE", "DELETE", "INSERT")):
            changes.append(statement)

    def interrupt(_: Connection) -> None:
        nonlocal number
        number -= bool(changes)
        changes.clear()
        if not number:
            raise KeyboardInterrupt

    event.listen(database.engine, "before_cursor_execute", note)
    event.listen(database.engine, "commit", interrupt)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
        event.remove(database.engine, "commit", interrupt)
