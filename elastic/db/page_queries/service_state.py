"""State of the service, for the banners on top of every page."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from elastic.db.database import Database
from elastic.db.schema import import_error, job
from elastic.db.sql_clock import Seconds, now
from elastic.db.stores.jobs import MASTER_JOB, MAX_MISSED_HEARTBEATS, RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """State of the service."""

    has_living_master: bool
    #: last heartbeat of a master; None if there never was one
    last_master_at: dt.datetime | None
    broken_files: int
    #: path and first line of the error of one broken file; empty if there is none
    broken_path: str
    broken_reason: str


def service_state(database: Database, heartbeat: float) -> ServiceState:
    """Return the state of the service; `heartbeat` is the interval of the heartbeats of jobs (seconds)."""
    limit = MAX_MISSED_HEARTBEATS * heartbeat
    alive = select(func.count()).where(
        job.c.state == RUNNING, job.c.kind == MASTER_JOB, Seconds(job.c.heartbeat_at, now()) <= limit
    )
    latest = select(job.c.heartbeat_at).where(job.c.kind == MASTER_JOB).order_by(job.c.id.desc()).limit(1)
    broken = select(import_error.c.path, import_error.c.traceback).order_by(import_error.c.path).limit(1)

    def work(connection: Connection) -> ServiceState:
        is_alive = connection.execute(alive).scalar_one() > 0
        last = None if is_alive else connection.execute(latest).scalar()
        count = connection.execute(select(func.count()).select_from(import_error)).scalar_one()
        row = connection.execute(broken).one_or_none() if count else None
        reason = next(iter(row.traceback.strip().splitlines()), "") if row else ""
        return ServiceState(
            has_living_master=is_alive,
            last_master_at=last,
            broken_files=count,
            broken_path=row.path if row else "",
            broken_reason=reason,
        )

    return database.query(work)
