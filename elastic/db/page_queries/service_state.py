"""State of the service, for the banners on top of every page and for checks of its health."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from elastic.db.database import Database
from elastic.db.schema import dag, dag_cursor, import_error, job
from elastic.db.stores.jobs import MASTER_JOB, is_alive


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """State of the service."""

    has_living_master: bool
    #: last heartbeat of a master; None if no master has ever started
    last_master_at: dt.datetime | None
    broken_files: int
    #: path and first line of the error of one broken file; empty if there is none
    broken_path: str
    broken_reason: str


def service_state(database: Database, heartbeat: float) -> ServiceState:
    """Return the state of the service; `heartbeat` is the interval of the heartbeats of jobs (seconds)."""
    alive = select(func.count()).where(job.c.kind == MASTER_JOB, is_alive(heartbeat))
    latest = select(job.c.heartbeat_at).where(job.c.kind == MASTER_JOB).order_by(job.c.id.desc()).limit(1)
    broken = select(import_error.c.path, import_error.c.traceback).order_by(import_error.c.path).limit(1)

    def work(connection: Connection) -> ServiceState:
        has_living = connection.execute(alive).scalar_one() > 0
        last = None if has_living else connection.execute(latest).scalar()
        count = connection.execute(select(func.count()).select_from(import_error)).scalar_one()
        row = connection.execute(broken).one_or_none() if count else None
        reason = next(iter(row.traceback.strip().splitlines()), "") if row else ""
        return ServiceState(
            has_living_master=has_living,
            last_master_at=last,
            broken_files=count,
            broken_path=row.path if row else "",
            broken_reason=reason,
        )

    return database.query(work)


def dag_counts(database: Database) -> tuple[int, int]:
    """Return the number of DAGs that a file defines, and how many of them are paused."""
    joined = dag.outerjoin(dag_cursor, dag_cursor.c.dag_id == dag.c.dag_id)
    paused = func.coalesce(func.sum(case((dag_cursor.c.is_paused.is_(True), 1), else_=0)), 0)
    query = select(func.count(), paused).select_from(joined).where(dag.c.is_active.is_(True))
    count, paused_count = database.query(lambda connection: connection.execute(query).one())
    return int(count), int(paused_count)
