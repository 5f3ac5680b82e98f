"""Counts of what the service does now, for its metrics. Each query reads an index or a small table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.schema import (
    dag_cursor,
    dag_file,
    dag_run,
    deadline,
    import_error,
    job,
    log,
    notification,
    task_instance,
    task_trigger,
)
from elastic.db.sql_clock import now
from elastic.db.stores.jobs import is_alive
from elastic.db.transitions.deadlines import MISSED

_OPEN_TASKS = tuple(state for state in TaskState if not state.is_final)
_OPEN_RUNS = tuple(state for state in RunState if not state.is_final)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCounts:
    """Counts of what the service does now."""

    #: task instances that have not ended, and runs that have not, by state
    tasks: Mapping[str, int]
    runs: Mapping[str, int]
    #: DAGs whose next run is due and not made
    runs_due: int
    #: living jobs by kind
    jobs: Mapping[str, int]
    notifications: Mapping[str, int]
    deadlines_missed: int
    leases_expired: int
    #: waits of sensors, by the kind of what they wait for
    triggers: Mapping[str, int]
    import_errors: int
    files: int
    #: of the last parse of each file together, and of the slowest one (seconds)
    parse_seconds: float
    slowest_parse_seconds: float
    #: encoded figures of masters
    figures: tuple[str, ...]


def service_counts(database: Database, heartbeat: float) -> ServiceCounts:
    """Return the counts, in one read transaction.

    Args:
        database: The database.
        heartbeat: Interval of the heartbeats of jobs (seconds).
    """
    due = and_(dag_cursor.c.next_run_at <= now(), dag_cursor.c.is_paused.is_(False))
    seconds = dag_file.c.seconds

    def work(connection: Connection) -> ServiceCounts:
        def groups(query: Select[Any]) -> dict[str, int]:
            return {str(name): count for name, count in connection.execute(query)}

        def count(query: Select[Any]) -> int:
            return int(connection.execute(query).scalar_one())

        state, run_state = task_instance.c.state, dag_run.c.state
        parses = connection.execute(select(func.count(), func.sum(seconds), func.max(seconds))).one()
        open_tasks = select(state, func.count()).where(state.in_(_OPEN_TASKS)).group_by(state)
        open_runs = select(run_state, func.count()).where(run_state.in_(_OPEN_RUNS)).group_by(run_state)
        alive = select(job.c.kind, func.count()).where(is_alive(heartbeat)).group_by(job.c.kind)
        notices = select(notification.c.state, func.count()).group_by(notification.c.state)
        figures = connection.execute(select(job.c.figures).where(job.c.figures.is_not(None))).scalars()
        return ServiceCounts(
            tasks={**dict.fromkeys(map(str, _OPEN_TASKS), 0), **groups(open_tasks)},
            runs={**dict.fromkeys(map(str, _OPEN_RUNS), 0), **groups(open_runs)},
            runs_due=count(select(func.count()).select_from(dag_cursor).where(due)),
            jobs=groups(alive),
            notifications=groups(notices),
            deadlines_missed=count(select(func.count()).select_from(deadline).where(deadline.c.state == MISSED)),
            leases_expired=count(select(func.count()).select_from(log).where(log.c.event == "expired")),
            triggers=groups(select(task_trigger.c.kind, func.count()).group_by(task_trigger.c.kind)),
            import_errors=count(select(func.count()).select_from(import_error)),
            files=int(parses[0]),
            parse_seconds=float(parses[1] or 0),
            slowest_parse_seconds=float(parses[2] or 0),
            figures=tuple(figures),
        )

    return database.query(work)
