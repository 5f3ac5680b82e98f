"""DAG run transitions: each is a compare-and-set, logged in the audit log."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, select, update

from elastic.core.errors import UsageError
from elastic.dag.ids import check_key
from elastic.dag.states.state import RunState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import RunExistsError, UnknownRowError
from elastic.db.matching import insert_if_absent
from elastic.db.records import DagRun, RunMode, run_of
from elastic.db.schema import dag_run, dag_run_attempt, pool, run_claim
from elastic.db.sql_clock import now
from elastic.db.transitions import deadlines, outbox, run_callbacks

_run, _attempt = dag_run.c, dag_run_attempt.c

_READ = select(dag_run).where(_run.dag_id == bindparam("dag"), _run.run_id == bindparam("run"))
_IS_SERVED = select(_run.is_served).where(_run.dag_id == bindparam("dag"), _run.run_id == bindparam("run"))
_AT = select(dag_run).where(_run.dag_id == bindparam("dag"), _run.logical_date == bindparam("date"))


def ensure_run(database: Database, new: DagRun) -> DagRun:
    """Return the run of a DAG for a logical date; insert it if it is missing.

    If two processes insert a run for the same date, both get the first one, with its id and conf.

    Raises:
        UsageError: The run id belongs to another logical date, the date has no time zone, or the conf is not valid
            JSON.
        InvalidKeyError: An id contains invalid characters.
    """
    conf = _checked_conf(new)
    return database.write(lambda connection, _: _ensure(connection, new, conf)[0])


def insert_run(database: Database, new: DagRun) -> DagRun:
    """Insert a run, and return it as it is stored.

    Raises:
        RunExistsError: The DAG has a run for the logical date.
        UsageError: As in `ensure_run`.
        InvalidKeyError: An id contains invalid characters.
    """
    conf = _checked_conf(new)

    def work(connection: Connection, again: bool) -> DagRun:
        run, is_new = _ensure(connection, new, conf)
        is_ours = again and run.run_id == new.run_id and json.dumps(dict(run.conf)) == conf
        if not is_new and not is_ours:
            raise RunExistsError(new.dag_id, new.logical_date)
        return run

    return database.write(work)


def start_backfill(database: Database, dag_id: str, new: Sequence[DagRun], dates: str) -> int:
    """Insert the runs of a backfill, in one transaction; dates that have a run keep it. Return the number of new runs.

    Args:
        database: The database.
        dag_id: The DAG.
        new: The runs.
        dates: First and last date, for the audit log.

    Raises:
        UsageError: As in `ensure_run`.
        InvalidKeyError: An id contains invalid characters.
    """
    confs = [_checked_conf(one) for one in new]

    def work(connection: Connection, again: bool) -> int:
        made = sum(_ensure(connection, one, conf)[1] for one, conf in zip(new, confs, strict=True))
        if not again or made:
            audit.note(connection, "backfill", dates, dag_id)
        return made or (len(new) if again else 0)

    return database.write(work)


def start_run(database: Database, dag_id: str, run_id: str, *, max_active_runs: int = 0) -> bool:
    """Set a queued run to running unless `max_active_runs` of the DAG are running; 0 means no limit."""

    def work(connection: Connection, again: bool) -> bool:
        if max_active_runs:
            # The lock lets one process at a time count and start runs.
            connection.execute(select(pool.c.pool).where(pool.c.pool == "default").with_for_update())
            query = select(func.count()).select_from(dag_run)
            active = connection.execute(query.where(_run.dag_id == dag_id, _run.state == RunState.RUNNING)).scalar_one()
            if active >= max_active_runs:
                return again and _state(connection, dag_id, run_id) is RunState.RUNNING
        done = change_state(connection, dag_id, run_id, RunState.RUNNING, (RunState.QUEUED,))
        return done or (again and _state(connection, dag_id, run_id) is RunState.RUNNING)

    return database.write(work)


def set_run_state(
    database: Database,
    dag_id: str,
    run_id: str,
    state: RunState,
    *,
    expected: Collection[RunState] = tuple(RunState),
) -> bool:
    """Set the state of a run if it is in an expected state; return whether it was. This notifies no recipient.

    Args:
        database: The database.
        dag_id: The DAG.
        run_id: The run.
        state: The state.
        expected: States in which it may be.
    """

    def work(connection: Connection, again: bool) -> bool:
        done = change_state(connection, dag_id, run_id, state, [old for old in expected if old is not state])
        return done or (again and _state(connection, dag_id, run_id) is state)

    return database.write(work)


def end_run(database: Database, dag_id: str, run_id: str, state: RunState, *, calls_back: bool = False) -> bool:
    """End a queued or running run, and store the notifications about its end; return False if it had ended.

    Args:
        database: The database.
        dag_id: The DAG.
        run_id: The run.
        state: The final state.
        calls_back: Store that the callbacks of the run are due.
    """

    def work(connection: Connection, again: bool) -> bool:
        done = change_state(connection, dag_id, run_id, state, (RunState.QUEUED, RunState.RUNNING))
        if done:
            note_end(connection, dag_id, run_id, state, calls_back=calls_back)
        return done or (again and _state(connection, dag_id, run_id) is state)

    return database.write(work)


def note_end(connection: Connection, dag_id: str, run_id: str, state: RunState, *, calls_back: bool) -> None:
    """Store notifications, and that callbacks are due, within the transaction that ends a run."""
    if calls_back:
        run_callbacks.add_in(connection, dag_id, run_id, state)
    outbox.add_of_run(connection, dag_id, run_id, state)


def rerun(
    database: Database, dag_id: str, run_id: str, *, mode: RunMode = RunMode.NOMINAL, task_id: str | None = None
) -> DagRun:
    """Queue another execution of a run and keep the earlier ones.

    Raises:
        UnknownRowError: The run does not exist.
    """
    return database.write(lambda connection, _: rerun_in(connection, dag_id, run_id, mode, task_id))


def rerun_in(connection: Connection, dag_id: str, run_id: str, mode: RunMode, task_id: str | None) -> DagRun:
    """Run `rerun` within a transaction."""
    version = update(dag_run).where(_run.dag_id == dag_id, _run.run_id == run_id)
    values = {"attempt": _run.attempt + 1, "version": _run.version + 1, "state": RunState.QUEUED}
    if not connection.execute(version.values(**values, started_at=None, ended_at=None)).rowcount:
        raise UnknownRowError("run", f"{dag_id} {run_id}", "`elastic dags list-runs` shows all runs")
    run = _read(connection, dag_id, run_id)
    _insert_execution(connection, run, mode, task_id)
    audit.note_run(connection, "rerun", dag_id, run_id, f"attempt {run.attempt}, {mode}")
    return run


def reopen(connection: Connection, dag_id: str, run_id: str) -> None:
    """Queue a finished run again, because some of its instances run again."""
    done = change_state(connection, dag_id, run_id, RunState.QUEUED, (RunState.SUCCESS, RunState.FAILED))
    if done and connection.execute(_IS_SERVED, {"dag": dag_id, "run": run_id}).scalar():
        add_claim(connection, dag_id, run_id)


def add_claim(connection: Connection, dag_id: str, run_id: str) -> None:
    """Let a master of the scheduler service take a run, within a transaction."""
    connection.execute(insert_if_absent(connection, run_claim), {"dag_id": dag_id, "run_id": run_id, "epoch": 0})


def _checked_conf(new: DagRun) -> str:
    """Return the conf of a run as JSON if the run can be stored."""
    check_key("dag_id", new.dag_id)
    check_key("run_id", new.run_id)
    if new.logical_date.tzinfo is None:
        raise UsageError(f"the logical date {new.logical_date} of run {new.run_id!r} has no time zone; give it one.")
    try:
        return json.dumps(dict(new.conf))
    except (TypeError, ValueError) as error:
        raise UsageError(f"the conf of run {new.run_id!r} is not valid JSON ({error}).") from error


def _ensure(connection: Connection, new: DagRun, conf: str) -> tuple[DagRun, bool]:
    """Return the run of a logical date, and whether it was inserted."""
    row = {
        "dag_id": new.dag_id,
        "run_id": new.run_id,
        "logical_date": new.logical_date,
        "data_interval_start": new.data_interval_start,
        "data_interval_end": new.data_interval_end,
        "timeperiod": new.timeperiod,
        "run_type": new.run_type,
        "state": new.state,
        "conf": conf,
        "attempt": 1,
        "version": 1,
        "source_digest": new.source_digest,
        "structure_digest": new.structure_digest,
        "is_served": new.is_served,
    }
    started = {"started_at": now()} if new.state is RunState.RUNNING else {}
    statement = insert_if_absent(connection, dag_run).values(created_at=now(), **started)
    is_new = connection.execute(statement, row).rowcount == 1
    found = connection.execute(_AT, {"dag": new.dag_id, "date": new.logical_date}).one_or_none()
    if found is None:
        raise UsageError(
            f"the id {new.run_id!r} belongs to another run of DAG {new.dag_id!r}; give this run another id."
        )
    run = run_of(found)
    if is_new:
        if run.is_served:
            add_claim(connection, run.dag_id, run.run_id)
        deadlines.arm(connection, [run])
        _insert_execution(connection, run, RunMode.NOMINAL, None)
        audit.note_run(connection, "run created", run.dag_id, run.run_id, new.run_type)
    return run, is_new


def ensure_in(connection: Connection, new: DagRun) -> tuple[DagRun, bool]:
    """Run `ensure_run` within a transaction; return the run, and whether it was inserted."""
    return _ensure(connection, new, _checked_conf(new))


def _insert_execution(connection: Connection, run: DagRun, mode: RunMode, task_id: str | None) -> None:
    row = {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "mode": mode,
        "task_id": task_id,
        "owner": audit.owner(),
        "state": run.state,
    }
    connection.execute(dag_run_attempt.insert().values(started_at=now()), row)


def change_state(
    connection: Connection,
    dag_id: str,
    run_id: str,
    state: RunState,
    expected: Collection[RunState],
    *,
    keep_claim: bool = False,
) -> bool:
    """Run `set_run_state` within a transaction; a final state deletes the claim of the run unless it is kept."""
    values: dict[str, Any] = {
        "state": state,
        "version": _run.version + 1,
        "ended_at": now() if state.is_final else None,
    }
    if state is RunState.RUNNING:
        values["started_at"] = func.coalesce(_run.started_at, now())
    match = and_(_run.dag_id == dag_id, _run.run_id == run_id)
    statement = update(dag_run).where(match, _run.state.in_(expected)).values(**values)
    if not connection.execute(statement).rowcount:
        return False
    current = select(_run.attempt).where(match).scalar_subquery()
    of_attempt = and_(_attempt.dag_id == dag_id, _attempt.run_id == run_id, _attempt.attempt == current)
    if state is RunState.RUNNING:
        deadlines.arm_started(connection, dag_id, run_id)
    if state.is_final and not keep_claim:
        connection.execute(delete(run_claim).where(run_claim.c.dag_id == dag_id, run_claim.c.run_id == run_id))
    connection.execute(update(dag_run_attempt).where(of_attempt).values(state=state, ended_at=values["ended_at"]))
    audit.note_run(connection, f"run {state}", dag_id, run_id)
    return True


def _state(connection: Connection, dag_id: str, run_id: str) -> RunState | None:
    found = connection.execute(_READ, {"dag": dag_id, "run": run_id}).one_or_none()
    return None if found is None else RunState(found.state)


def _read(connection: Connection, dag_id: str, run_id: str) -> DagRun:
    return run_of(connection.execute(_READ, {"dag": dag_id, "run": run_id}).one())
