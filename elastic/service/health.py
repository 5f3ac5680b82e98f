"""Health of the service: the database, the masters, the workers, and the DAG files."""

from collections.abc import Sequence
from dataclasses import dataclass

from elastic.db.database import Database
from elastic.db.page_queries.service_state import dag_counts, service_state
from elastic.db.stores.jobs import MASTER_JOB, RUNNING, TRIGGERER_JOB, WORKER_JOB, jobs, living_jobs
from elastic.db.stores.waits import checked_waits
from elastic.scheduler.commands.why import silence_of_triggerers


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """State of one part of the service."""

    part: str
    is_healthy: bool
    #: one sentence
    detail: str


def health_of(database: Database, heartbeat: float, worker_queues: Sequence[str] = ()) -> list[HealthCheck]:
    """Return the state of each part.

    Args:
        database: The database, which has answered and has the required version.
        heartbeat: Interval of the heartbeats of jobs (seconds).
        worker_queues: Queues whose tasks are left to workers.

    Raises:
        DatabaseError: The database cannot be used.
    """
    return [
        HealthCheck(part="database", is_healthy=True, detail=f"{database.url} answers"),
        _masters(database, heartbeat),
        _triggerers(database, heartbeat),
        *_workers(database, heartbeat, worker_queues),
        _files(database, heartbeat),
    ]


def has_living_master(database: Database, heartbeat: float) -> bool:
    """Return whether a master sends heartbeats."""
    return bool(living_jobs(database, heartbeat, kind=MASTER_JOB))


def _masters(database: Database, heartbeat: float) -> HealthCheck:
    alive = [f"pid {one.pid} on {one.host}" for one in living_jobs(database, heartbeat, kind=MASTER_JOB)]
    silent = [
        f"pid {one.pid} on {one.host} is silent since {one.heartbeat_at:%H:%M:%S} UTC"
        for one in jobs(database, heartbeat, kind=MASTER_JOB, state=RUNNING)
        if not one.is_alive
    ]
    if not alive:
        return HealthCheck(
            part="master",
            is_healthy=False,
            detail="; ".join(["no master is alive; start one with `elastic master`", *silent]),
        )
    return HealthCheck(part="master", is_healthy=True, detail="; ".join([f"{', '.join(alive)} alive", *silent]))


def _workers(database: Database, heartbeat: float, queues: Sequence[str]) -> list[HealthCheck]:
    """Return the state of the workers; nothing if there are none and no queue needs one."""
    alive = living_jobs(database, heartbeat, kind=WORKER_JOB)
    served = {queue for one in alive for queue in (one.queues or "").split(",")}
    parts = [f"pid {one.pid} on {one.host} ({one.queues}, {one.parallelism} at a time)" for one in alive]
    missing = [queue for queue in queues if queue not in served]
    if missing:
        names = ",".join(missing)
        parts.insert(0, f"no worker serves queue {names}; start one with `elastic worker --queues {names}`")
    return [HealthCheck(part="worker", is_healthy=not missing, detail="; ".join(parts))] if parts else []


def _triggerers(database: Database, heartbeat: float) -> HealthCheck:
    """Return the state of the triggerers. Without one, the service is unhealthy as soon as a task waits for a check."""
    alive = [f"pid {one.pid} on {one.host}" for one in living_jobs(database, heartbeat, kind=TRIGGERER_JOB)]
    count, _ = checked_waits(database)
    tasks = "no task is deferred" if not count else f"{count} {'task is' if count == 1 else 'tasks are'} deferred"
    if alive:
        return HealthCheck(part="triggerer", is_healthy=True, detail=f"{', '.join(alive)} alive; {tasks}")
    why = silence_of_triggerers(database, heartbeat)
    return HealthCheck(part="triggerer", is_healthy=not count, detail=f"{why}; {tasks}")


def _files(database: Database, heartbeat: float) -> HealthCheck:
    """Return the state of the DAG files. A broken file does not make the service unhealthy, because others go on."""
    (count, paused), state = dag_counts(database), service_state(database, heartbeat)
    parts = [f"{count} DAGs"] + ([f"{paused} of them paused"] if paused else [])
    if state.broken_files:
        reason = state.broken_reason or "no reason is stored"
        files = "1 file is" if state.broken_files == 1 else f"{state.broken_files} files are"
        parts.append(f"{files} broken: {state.broken_path}: {reason}")
    return HealthCheck(part="DAG files", is_healthy=True, detail="; ".join(parts))
