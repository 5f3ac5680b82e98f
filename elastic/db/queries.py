"""Read-only queries of the database, which return records."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Select, and_, func, select

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.matching import key_bind, key_match, same
from elastic.db.records import (
    Attempt,
    DagRun,
    Event,
    LogLine,
    RunAttempt,
    TaskInstanceRow,
    attempt_of,
    event_of,
    instance_of,
    line_of,
    run_attempt_of,
    run_of,
)
from elastic.db.schema import dag_run, dag_run_attempt, log, log_line, run_claim, task_attempt, task_instance, xcom
from elastic.db.sql_clock import now

_run, _ti, _attempt = dag_run.c, task_instance.c, task_attempt.c

_INSTANCE = select(task_instance).where(key_match(_ti))

#: Maximum number of ids in one statement.
_BATCH_SIZE = 500


def run_of_id(database: Database, dag_id: str, run_id: str) -> DagRun | None:
    """Return a run by its id, or None."""
    return _one_run(database, select(dag_run).where(same(_run.dag_id, dag_id), same(_run.run_id, run_id)))


def run_at(database: Database, dag_id: str, logical_date: dt.datetime) -> DagRun | None:
    """Return the run of a DAG for a logical date, or None."""
    return _one_run(database, select(dag_run).where(_run.dag_id == dag_id, _run.logical_date == logical_date))


def run_of_timeperiod(database: Database, dag_id: str, timeperiod: str) -> DagRun | None:
    """Return the latest run of a DAG for a timeperiod, or None."""
    query = select(dag_run).where(_run.dag_id == dag_id, _run.timeperiod == timeperiod)
    return _one_run(database, query.order_by(_run.logical_date.desc()).limit(1))


def run_before(database: Database, dag_id: str, logical_date: dt.datetime) -> DagRun | None:
    """Return the last run of a DAG before a logical date, or None."""
    query = select(dag_run).where(_run.dag_id == dag_id, _run.logical_date < logical_date)
    return _one_run(database, query.order_by(_run.logical_date.desc()).limit(1))


def latest_run(database: Database, dag_id: str) -> DagRun | None:
    """Return the run of a DAG with the latest logical date, or None."""
    query = select(dag_run).where(_run.dag_id == dag_id)
    return _one_run(database, query.order_by(_run.logical_date.desc()).limit(1))


def runs(
    database: Database,
    dag_id: str | None = None,
    *,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    states: Collection[RunState] | None = None,
    limit: int | None = None,
) -> list[DagRun]:
    """Return runs in the order of their logical dates; with a limit, the latest ones.

    Args:
        database: The database.
        dag_id: Only runs of this DAG.
        start: First logical date.
        end: Last logical date, included.
        states: Only runs in one of these states.
        limit: Maximum number of runs.
    """
    query = select(dag_run)
    conditions = [
        None if dag_id is None else _run.dag_id == dag_id,
        None if start is None else _run.logical_date >= start,
        None if end is None else _run.logical_date <= end,
        None if states is None else _run.state.in_(list(states)),
    ]
    query = query.where(*(condition for condition in conditions if condition is not None))
    query = query.order_by(_run.logical_date.desc(), _run.dag_id).limit(limit)
    found = database.query(lambda connection: connection.execute(query).all())
    return [run_of(row) for row in reversed(found)]


def run_attempts(database: Database, dag_id: str, run_id: str) -> list[RunAttempt]:
    """Return the executions of a run in their order."""
    table = dag_run_attempt.c
    query = select(dag_run_attempt).where(table.dag_id == dag_id, table.run_id == run_id).order_by(table.attempt)
    return [run_attempt_of(row) for row in database.query(lambda connection: connection.execute(query).all())]


def instance(database: Database, key: TaskKey) -> TaskInstanceRow | None:
    """Return a task instance, or None."""
    row = database.query(lambda connection: connection.execute(_INSTANCE, key_bind(key)).one_or_none())
    return None if row is None else instance_of(row)


def instances(database: Database, dag_id: str, run_ids: Sequence[str]) -> list[TaskInstanceRow]:
    """Return the task instances of runs of a DAG, by run, task and map index."""

    def work(connection: Connection) -> list[TaskInstanceRow]:
        found = []
        for at in range(0, len(run_ids), _BATCH_SIZE):
            query = select(task_instance).where(_ti.dag_id == dag_id, _ti.run_id.in_(run_ids[at : at + _BATCH_SIZE]))
            query = query.order_by(_ti.run_id, _ti.task_id, _ti.map_index)
            found += [instance_of(row) for row in connection.execute(query)]
        return found

    return database.query(work)


def states(database: Database, dag_id: str, run_id: str) -> Mapping[TaskKey, TaskState | None]:
    """Return the state of each task instance of a run: the most frequent query of the scheduler."""
    query = select(_ti.task_id, _ti.map_index, _ti.state).where(_ti.dag_id == dag_id, _ti.run_id == run_id)
    found = database.query(lambda connection: connection.execute(query).all())
    return {
        TaskKey(dag_id, run_id, row.task_id, row.map_index): None if row.state is None else TaskState(row.state)
        for row in found
    }


def active_instances(
    database: Database, dag_id: str | None = None, *, lease_owner: str | None = None
) -> list[TaskInstanceRow]:
    """Return the queued and running instances, optionally of one DAG or of one lease owner."""
    query = select(task_instance).where(_ti.state.in_((TaskState.QUEUED, TaskState.RUNNING)))
    query = query if dag_id is None else query.where(_ti.dag_id == dag_id)
    query = query if lease_owner is None else query.where(_ti.lease_owner == lease_owner)
    return [instance_of(row) for row in database.query(lambda connection: connection.execute(query).all())]


def runs_without_master(database: Database, *, limit: int) -> list[DagRun]:
    """Return queued runs of the service that no master has taken, the earliest of each DAG.

    Args:
        database: The database.
        limit: Maximum number of runs.
    """
    claim, waits = run_claim.c, (_run.state == RunState.QUEUED) & run_claim.c.owner.is_(None)
    is_claim = (claim.dag_id == _run.dag_id) & (claim.run_id == _run.run_id)
    first = (
        select(_run.dag_id, func.min(_run.logical_date).label("date"))
        .join_from(run_claim, dag_run, is_claim)
        .where(waits)
        .group_by(_run.dag_id)
        .order_by(_run.dag_id)
        .limit(limit)
        .subquery()
    )
    query = select(dag_run).join(first, (first.c.dag_id == _run.dag_id) & (first.c.date == _run.logical_date))
    return [run_of(row) for row in database.query(lambda connection: connection.execute(query).all())]


def due_retries(database: Database, dag_id: str | None = None) -> list[TaskKey]:
    """Return the instances whose retry delay is over by the clock of the database."""
    due = and_(_ti.state == TaskState.UP_FOR_RETRY, (_ti.next_retry_at.is_(None)) | (_ti.next_retry_at <= now()))
    query = select(_ti.dag_id, _ti.run_id, _ti.task_id, _ti.map_index).where(due)
    query = query if dag_id is None else query.where(_ti.dag_id == dag_id)
    return [TaskKey(*row) for row in database.query(lambda connection: connection.execute(query).all())]


def attempt(database: Database, attempt_uuid: str) -> Attempt | None:
    """Return an attempt, or None."""
    query = select(task_attempt).where(_attempt.attempt_uuid == attempt_uuid)
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else attempt_of(row)


def attempts(database: Database, key: TaskKey, *, with_cleared: bool = True) -> list[Attempt]:
    """Return the attempts of a task instance in their order."""
    query = select(task_attempt).where(key_match(_attempt))
    query = query if with_cleared else query.where(_attempt.is_cleared.is_(False))
    query = query.order_by(_attempt.run_attempt, _attempt.queued_at, _attempt.try_number)
    found = database.query(lambda connection: connection.execute(query, key_bind(key)).all())
    return [attempt_of(row) for row in found]


def due_callbacks(database: Database, dag_id: str | None = None) -> list[Attempt]:
    """Return the attempts of a DAG, or of all, whose callbacks are due, in the order in which they ended."""
    due = _attempt.callback.in_((TaskState.SUCCESS, TaskState.FAILED, TaskState.UP_FOR_RETRY))
    query = select(task_attempt).where(due).order_by(_attempt.ended_at)
    if dag_id is not None:
        query = query.where(_attempt.dag_id == dag_id)
    return [attempt_of(row) for row in database.query(lambda connection: connection.execute(query).all())]


def xcoms(
    database: Database,
    dag_id: str,
    run_id: str,
    task_ids: Sequence[str],
    key: str,
    map_indexes: Sequence[int] | None = None,
) -> list[tuple[str, int, str]]:
    """Return the XComs of tasks of a run for a key: tuples of task id, map index and JSON, in that order."""
    column = xcom.c
    query = select(column.task_id, column.map_index, column.value)
    query = query.where(column.dag_id == dag_id, column.run_id == run_id, column.key == key)
    query = query.where(column.task_id.in_(list(task_ids)))
    if map_indexes is not None:
        query = query.where(column.map_index.in_(list(map_indexes)))
    query = query.order_by(column.task_id, column.map_index)
    return [tuple(row) for row in database.query(lambda connection: connection.execute(query).all())]


def events(
    database: Database,
    *,
    dag_id: str | None = None,
    run_id: str | None = None,
    task_id: str | None = None,
    limit: int = 1000,
) -> list[Event]:
    """Return the latest events up to the limit, oldest first."""
    wanted = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    query = select(log).where(*(log.c[name] == value for name, value in wanted.items() if value is not None))
    query = query.order_by(log.c.id.desc()).limit(limit)
    return [event_of(row) for row in reversed(database.query(lambda connection: connection.execute(query).all()))]


def log_lines(
    database: Database, dag_id: str, run_id: str, *, task_id: str | None = None, limit: int | None = None
) -> list[LogLine]:
    """Return the last log lines of a flow, or of one of its steps, in their order; without a limit, all of them."""
    column = log_line.c
    query = select(log_line).where(column.dag_id == dag_id, column.run_id == run_id)
    query = query.where(column.task_id.is_(None) if task_id is None else column.task_id == task_id)
    query = query.order_by(column.id.desc()).limit(limit)
    return [line_of(row) for row in reversed(database.query(lambda connection: connection.execute(query).all()))]


def state_counts(database: Database, dag_id: str, run_ids: Sequence[str]) -> Mapping[TaskState | None, int]:
    """Return the number of task instances of runs by state."""
    counted: dict[TaskState | None, int] = {}

    def work(connection: Connection) -> None:
        counted.clear()
        for at in range(0, len(run_ids), _BATCH_SIZE):
            query = select(_ti.state, func.count()).where(_ti.dag_id == dag_id)
            query = query.where(_ti.run_id.in_(run_ids[at : at + _BATCH_SIZE])).group_by(_ti.state)
            for state, count in connection.execute(query):
                known = None if state is None else TaskState(state)
                counted[known] = counted.get(known, 0) + count

    database.query(work)
    return counted


def _one_run(database: Database, query: Select[tuple[object, ...]]) -> DagRun | None:
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else run_of(row)
