"""Health of the service: the database, the masters, and the DAG files."""

from dataclasses import dataclass

from elastic.db.database import Database
from elastic.db.stores.dags import dags, import_errors
from elastic.db.stores.jobs import MASTER_JOB, RUNNING, jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """State of one part of the service."""

    part: str
    is_healthy: bool
    #: one sentence
    detail: str


def health_of(database: Database, heartbeat: float) -> list[HealthCheck]:
    """Return the state of each part.

    Args:
        database: The database, which has answered and has the required version.
        heartbeat: Interval of the heartbeats of jobs (seconds).

    Raises:
        DatabaseError: The database cannot be used.
    """
    return [
        HealthCheck(part="database", is_healthy=True, detail=f"{database.url} answers"),
        _masters(database, heartbeat),
        _files(database),
    ]


def has_living_master(database: Database, heartbeat: float) -> bool:
    """Return whether a master sends heartbeats."""
    found = jobs(database, heartbeat, state=RUNNING)
    return any(one.kind == MASTER_JOB and one.is_alive for one in found)


def _masters(database: Database, heartbeat: float) -> HealthCheck:
    found = [one for one in jobs(database, heartbeat, state=RUNNING) if one.kind == MASTER_JOB]
    alive = [f"pid {one.pid} on {one.host}" for one in found if one.is_alive]
    silent = [
        f"pid {one.pid} on {one.host} is silent since {one.heartbeat_at:%H:%M:%S} UTC"
        for one in found
        if not one.is_alive
    ]
    if not alive:
        return HealthCheck(
            part="master",
            is_healthy=False,
            detail="; ".join(["no master is alive; start one with `elastic master`", *silent]),
        )
    return HealthCheck(part="master", is_healthy=True, detail="; ".join([f"{', '.join(alive)} alive", *silent]))


def _files(database: Database) -> HealthCheck:
    """Return the state of the DAG files. A broken file does not make the service unhealthy, because others go on."""
    broken, found = import_errors(database), dags(database)
    paused = sum(one.is_paused for one in found)
    parts = [f"{len(found)} DAGs"] + ([f"{paused} of them paused"] if paused else [])
    parts += [f"broken: {text.splitlines()[0] if text.strip() else path}" for path, text in broken.items()]
    return HealthCheck(part="DAG files", is_healthy=True, detail="; ".join(parts))
