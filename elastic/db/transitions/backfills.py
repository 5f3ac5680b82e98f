"""Backfills that masters carry out: each claim of a backfill makes some of its runs and moves its position at once."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from elastic.dag.states.state import RunState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.records import DagRun
from elastic.db.schema import backfill as table
from elastic.db.schema import dag, dag_run
from elastic.db.sql_clock import now
from elastic.db.transitions.runs import ensure_in

_row, _run = table.c, dag_run.c


class BackfillState(StrEnum):
    """State of a backfill."""

    RUNNING = "running"
    #: no further runs are made; those that were made go on
    PAUSED = "paused"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether masters are done with the backfill."""
        return self not in (BackfillState.RUNNING, BackfillState.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Backfill: a row of the table, with the states of its runs."""

    id: int
    dag_id: str
    #: first and last logical date
    from_date: dt.datetime
    to_date: dt.datetime
    #: None after the last date
    next_date: dt.datetime | None
    max_active_runs: int
    state: BackfillState
    #: runs that were made; dates that had a run are left out
    made: int
    owner: str | None
    created_at: dt.datetime
    ended_at: dt.datetime | None
    #: number of runs of its dates, by state
    runs: Mapping[RunState, int] = field(default_factory=dict)

    @property
    def active(self) -> int:
        """Number of its runs that have not ended."""
        return sum(count for state, count in self.runs.items() if not state.is_final)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillStep:
    """Next step of a backfill: runs to make, and the date that follows them."""

    runs: Sequence[DagRun] = ()
    #: None after the last date
    next_date: dt.datetime | None
    #: why the backfill cannot go on; empty if it can
    problem: str = ""


#: Returns the next step of a backfill, for the digests of a structure and a source and a maximum number of runs.
StepPlanner = Callable[[Backfill, str | None, str | None, int], BackfillStep]


def submit_backfill(
    database: Database, dag_id: str, first: dt.datetime, last: dt.datetime, max_active_runs: int
) -> Backfill:
    """Store a backfill for masters to carry out.

    Args:
        database: The database.
        dag_id: The DAG.
        first: First logical date, which is on the schedule.
        last: Last logical date, included.
        max_active_runs: Runs of its dates that are active at the same time.
    """
    values = {
        "dag_id": dag_id,
        "from_date": first,
        "to_date": last,
        "next_date": first,
        "max_active_runs": max_active_runs,
        "state": BackfillState.RUNNING,
        "made": 0,
        "owner": audit.owner(),
    }

    def work(connection: Connection, _: bool) -> Backfill:
        key = connection.execute(insert(table).values(created_at=now()), values).inserted_primary_key
        found = _read(connection, int(key[0]) if key else 0)
        dates = f"{first.isoformat()} to {last.isoformat()}"
        audit.note(connection, "backfill submitted", f"backfill {found.id}, {dates}", dag_id)
        return found

    return database.write(work)


def backfills(database: Database, *, dag_id: str | None = None, limit: int = 100) -> list[Backfill]:
    """Return the latest backfills with the states of their runs."""
    query = select(table).order_by(_row.id.desc()).limit(limit)
    query = query.where(_row.dag_id == dag_id) if dag_id else query

    def work(connection: Connection) -> list[Backfill]:
        return [_backfill(connection, row) for row in connection.execute(query).all()]

    return database.query(work)


def backfill_of(database: Database, backfill_id: int) -> Backfill:
    """Return a backfill with the states of its runs.

    Raises:
        UnknownRowError: The backfill does not exist.
    """
    return database.query(lambda connection: _read(connection, backfill_id))


def set_backfill_state(database: Database, backfill_id: int, state: BackfillState) -> Backfill:
    """Pause, resume or cancel a backfill; return it as it is then. Nothing changes if it has ended, or is so already.

    Args:
        database: The database.
        backfill_id: The backfill.
        state: Paused, running or canceled.

    Raises:
        UnknownRowError: The backfill does not exist.
    """
    values = {"state": state, "ended_at": now() if state.is_final else None}
    before = [one for one in BackfillState if not one.is_final and one is not state]
    change = update(table).where(_row.id == backfill_id, _row.state.in_(before)).values(**values)

    def work(connection: Connection, _: bool) -> Backfill:
        done = connection.execute(change).rowcount == 1
        found = _read(connection, backfill_id)
        if done:
            audit.note(connection, f"backfill {state}", f"backfill {backfill_id}", found.dag_id)
        return found

    return database.write(work)


def carry_out_backfills(
    database: Database, planner: StepPlanner, *, per_turn: int = 20, dag_ids: Sequence[str] = ()
) -> tuple[int, list[str]]:
    """Make the next runs of all running backfills, and end those whose runs have all ended.

    Args:
        database: The database.
        planner: Plans one step.
        per_turn: Maximum number of runs of one backfill.
        dag_ids: Only these DAGs; empty for all.

    Returns:
        The number of backfills that still run, and a sentence for each one that ended.
    """
    running = select(_row.id).where(_row.state == BackfillState.RUNNING).order_by(_row.id)
    running = running.where(_row.dag_id.in_(dag_ids)) if dag_ids else running
    ids = database.query(lambda connection: connection.execute(running).scalars().all())
    ended = [said for one in ids if (said := _carry_out(database, one, planner, per_turn))]
    return len(ids) - len(ended), ended


def _carry_out(database: Database, backfill_id: int, planner: StepPlanner, per_turn: int) -> str:
    return database.write(lambda connection, _: _carry_out_in(connection, backfill_id, planner, per_turn))


def _carry_out_in(connection: Connection, backfill_id: int, planner: StepPlanner, per_turn: int) -> str:
    locked = select(table).where(_row.id == backfill_id, _row.state == BackfillState.RUNNING)
    row = connection.execute(locked.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return ""
    found = _backfill(connection, row)
    if found.next_date is None:
        return "" if found.active else _end(connection, found)
    count = min(per_turn, found.max_active_runs - found.active)
    if count <= 0:
        return ""
    version = connection.execute(
        select(dag.c.structure_digest, dag.c.source_digest).where(dag.c.dag_id == found.dag_id)
    ).one_or_none()
    structure, source = tuple(version) if version else (None, None)
    step = planner(found, structure, source, count)
    if step.problem:
        return _end(connection, found, step.problem)
    made = sum(ensure_in(connection, run)[1] for run in step.runs)
    values = {"next_date": step.next_date, "made": _row.made + made}
    connection.execute(update(table).where(_row.id == backfill_id).values(**values))
    return ""


def _end(connection: Connection, found: Backfill, problem: str = "") -> str:
    is_failed = bool(problem) or RunState.FAILED in found.runs
    state = BackfillState.FAILED if is_failed else BackfillState.SUCCESS
    connection.execute(update(table).where(_row.id == found.id).values(state=state, ended_at=now()))
    failed = found.runs.get(RunState.FAILED, 0)
    why = problem or (f"{failed} of its {sum(found.runs.values())} runs failed" if failed else "all runs succeeded")
    said = f"backfill {found.id} of DAG {found.dag_id!r} has ended: {why}"
    audit.note(connection, f"backfill {state}", said, found.dag_id)
    return said


def _read(connection: Connection, backfill_id: int) -> Backfill:
    row = connection.execute(select(table).where(_row.id == backfill_id)).one_or_none()
    if row is None:
        raise UnknownRowError("backfill", str(backfill_id), "`elastic backfills list` lists them")
    return _backfill(connection, row)


def _backfill(connection: Connection, row: Any) -> Backfill:
    of_dates = and_(_run.dag_id == row.dag_id, _run.logical_date.between(row.from_date, row.to_date))
    counts = connection.execute(select(_run.state, func.count()).where(of_dates).group_by(_run.state)).all()
    runs = {RunState(state): count for state, count in counts}
    return Backfill(**{**row._mapping, "state": BackfillState(row.state), "runs": runs})
