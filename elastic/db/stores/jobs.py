"""Store of jobs: processes that run task instances and send heartbeats."""

import os
import socket
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, case, insert, select, update
from sqlalchemy.sql import ColumnElement

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.records import Job
from elastic.db.schema import job as table
from elastic.db.sql_clock import Seconds, now

#: Heartbeat intervals without a heartbeat after which a job counts as dead.
MAX_MISSED_HEARTBEATS = 2.1

#: Kind of the jobs of masters of the scheduler service.
MASTER_JOB = "SchedulerJob"

#: Kind of the jobs of workers, which run the tasks of some queues.
WORKER_JOB = "WorkerJob"

#: Kind of the jobs of triggerers.
TRIGGERER_JOB = "TriggererJob"

RUNNING, SUCCESS, FAILED = "running", "success", "failed"


def start_job(
    database: Database,
    kind: str,
    *,
    dag_id: str | None = None,
    executor: str | None = None,
    queues: Sequence[str] | None = None,
    parallelism: int | None = None,
) -> int:
    """Insert a running job of this process, such as a `BackfillJob`; return its id."""
    row = {
        "kind": kind,
        "state": RUNNING,
        "dag_id": dag_id,
        "executor": executor,
        "queues": None if queues is None else ",".join(queues),
        "parallelism": parallelism,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "owner": audit.owner(),
    }

    def work(connection: Connection, _: bool) -> int:
        key = connection.execute(insert(table).values(started_at=now(), heartbeat_at=now()), row).inserted_primary_key
        audit.note(connection, "job started", f"{kind}", dag_id)
        return int(key[0]) if key is not None else 0

    return database.write(work)


def heartbeat(database: Database, job_id: int, figures: str | None = None) -> bool:
    """Record a heartbeat, and the figures (JSON) of a master; return whether the job still counts as running."""
    change = update(table).where(table.c.id == job_id, table.c.state == RUNNING).values(heartbeat_at=now())
    if figures is not None:
        change = change.values(figures=figures)
    return database.write(lambda connection, _: connection.execute(change).rowcount == 1)


def end_job(database: Database, job_id: int, state: str) -> bool:
    """Record the final state of a running job, `success` or `failed`; return whether it was running."""
    change = update(table).where(table.c.id == job_id, table.c.state == RUNNING).values(state=state, ended_at=now())

    def work(connection: Connection, _: bool) -> bool:
        done = connection.execute(change).rowcount == 1
        if done:
            audit.note(connection, f"job {state}", f"job {job_id}")
        return done

    return database.write(work)


def fail_dead_jobs(database: Database, heartbeat: float) -> int:
    """Fail the jobs without a heartbeat for 2.1 intervals of `heartbeat` seconds; return their number."""
    dead = (table.c.state == RUNNING) & (Seconds(table.c.heartbeat_at, now()) > MAX_MISSED_HEARTBEATS * heartbeat)
    change = update(table).where(dead).values(state=FAILED, ended_at=now())

    def work(connection: Connection, _: bool) -> int:
        count = connection.execute(change).rowcount
        if count:
            audit.note(connection, "jobs found dead", str(count))
        return count

    return database.write(work)


def is_alive(heartbeat: float) -> ColumnElement[bool]:
    """Return the condition that a job sends heartbeats, every `heartbeat` seconds."""
    return (table.c.state == RUNNING) & (Seconds(table.c.heartbeat_at, now()) <= MAX_MISSED_HEARTBEATS * heartbeat)


def jobs(
    database: Database, heartbeat: float, *, kind: str | None = None, state: str | None = None, limit: int = 100
) -> list[Job]:
    """Return the latest jobs; `heartbeat` is the interval of their heartbeats in seconds."""
    wanted = [table.c[name] == value for name, value in (("kind", kind), ("state", state)) if value is not None]
    return _jobs(database, heartbeat, wanted, limit)


def living_jobs(database: Database, heartbeat: float, *, kind: str | None = None) -> list[Job]:
    """Return all jobs that send heartbeats, the latest first, whatever the number of other jobs."""
    wanted = [is_alive(heartbeat), *([] if kind is None else [table.c.kind == kind])]
    return _jobs(database, heartbeat, wanted, None)


def _jobs(database: Database, heartbeat: float, wanted: list[ColumnElement[bool]], limit: int | None) -> list[Job]:
    alive = case((is_alive(heartbeat), 1), else_=0).label("is_alive")
    query = (
        select(*(one for one in table.columns if one is not table.c.figures), alive)
        .where(*wanted)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    return [_job(row) for row in database.query(lambda connection: connection.execute(query).all())]


def _job(row: Any) -> Job:
    return Job(**{**row._mapping, "is_alive": bool(row.is_alive)})
