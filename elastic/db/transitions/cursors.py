"""Positions of DAGs in their schedules. A claim of due DAGs makes their runs and moves their cursors at once.

There is no leader: each transaction locks the cursors that it reads, and skips those that another master has locked.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, insert, or_, select, true, update

from elastic.dag.states.state import RunState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.matching import insert_if_absent
from elastic.db.records import DagRun, RunMode, RunType
from elastic.db.schema import dag, dag_cursor, dag_run, dag_run_attempt, log, run_claim
from elastic.db.sql_clock import Seconds, now
from elastic.db.transitions import deadlines

_cursor, _run, _claim = dag_cursor.c, dag_run.c, run_claim.c

#: Rows of one statement.
_BATCH_SIZE = 200

_DIGESTS = select(dag.c.dag_id, dag.c.structure_digest, dag.c.source_digest).where(
    dag.c.dag_id.in_(bindparam("ids", expanding=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorRow:
    """Position of a DAG in its schedule."""

    dag_id: str
    #: the present structure of the DAG
    structure_digest: str | None
    source_digest: str | None
    next_logical_date: dt.datetime | None
    last_logical_date: dt.datetime | None
    version: int
    next_run_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorMove:
    """Change of a cursor, with the runs to make in the same transaction."""

    runs: Sequence[DagRun] = ()
    next_logical_date: dt.datetime | None
    next_run_at: dt.datetime | None
    #: latest logical date that was planned; None to keep the earlier one
    last_logical_date: dt.datetime | None = None
    #: structure from which the dates were derived; None to keep the earlier one
    structure_digest: str | None = None
    max_active_runs: int | None = None
    #: why the DAG has no dates
    blocked_reason: str | None = None
    #: dates that have no run, for the audit log
    left_out: int = 0


#: Returns the change of a cursor at a time, given by the clock of the database.
Planner = Callable[[CursorRow, dt.datetime], CursorMove]


def claim_due(database: Database, planner: Planner, *, limit: int = 200, dag_ids: Sequence[str] = ()) -> int:
    """Make the due runs of DAGs and move their cursors, in one transaction; return the number of cursors.

    Args:
        database: The database.
        planner: Plans one cursor.
        limit: Maximum number of cursors.
        dag_ids: Only these DAGs; empty for all.
    """
    return _claim_cursors(database, planner, and_(_cursor.next_run_at <= now(), _is_planned(dag_ids)), limit)


def seconds_until_due(database: Database, *, dag_ids: Sequence[str] = ()) -> float | None:
    """Return the seconds until the next run of a DAG is due, 0 if one is; None if no date is known.

    Args:
        database: The database.
        dag_ids: Only these DAGs; empty for all.
    """
    # Not the minimum, for which SQLite would look at all cursors.
    first = select(Seconds(now(), _cursor.next_run_at)).where(_cursor.next_run_at.is_not(None), _is_planned(dag_ids))
    query = first.order_by(_cursor.next_run_at).limit(1)
    found = database.query(lambda connection: connection.execute(query).scalar())
    return None if found is None else float(found)


def _is_planned(dag_ids: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition of cursors whose dates become runs."""
    # The dates of a cursor follow from one structure; after a change of the schedule, `move_changed` comes first.
    is_current = select(dag.c.dag_id).where(
        dag.c.dag_id == _cursor.dag_id, dag.c.is_active.is_(True), dag.c.structure_digest == _cursor.structure_digest
    )
    return and_(_cursor.is_paused.is_(False), _exists(is_current), _among(dag_ids))


def move_changed(database: Database, planner: Planner, *, limit: int = 200, dag_ids: Sequence[str] = ()) -> int:
    """Move the cursors of DAGs whose structure changed, in one transaction; return the number of cursors."""
    is_changed = or_(_cursor.structure_digest.is_(None), _cursor.structure_digest != dag.c.structure_digest)
    changed = select(dag.c.dag_id).where(
        dag.c.dag_id == _cursor.dag_id, dag.c.is_active.is_(True), dag.c.structure_digest.is_not(None), is_changed
    )
    return _claim_cursors(database, planner, and_(_exists(changed), _among(dag_ids)), limit)


def _exists(query: Select[Any]) -> ColumnElement[bool]:
    # A subquery, and not a join, because some databases would lock the rows of `dag` too.
    return query.correlate(dag_cursor).exists()


def _among(dag_ids: Sequence[str]) -> ColumnElement[bool]:
    return _cursor.dag_id.in_(dag_ids) if dag_ids else true()


def _claim_cursors(database: Database, planner: Planner, wanted: ColumnElement[bool], limit: int) -> int:
    query = (
        select(_cursor.dag_id, _cursor.next_logical_date, _cursor.last_logical_date, _cursor.version)
        .add_columns(_cursor.next_run_at)
        .where(wanted)
        .order_by(_cursor.next_run_at, _cursor.dag_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )

    def work(connection: Connection, _: bool) -> int:
        found = connection.execute(query).all()
        if not found:
            return 0
        time = connection.execute(select(now())).scalar_one()
        digests = {
            row.dag_id: {"structure_digest": row.structure_digest, "source_digest": row.source_digest}
            for row in connection.execute(_DIGESTS, {"ids": [row.dag_id for row in found]})
        }
        rows = [CursorRow(**one._mapping, **digests[one.dag_id]) for one in found]
        moves = [(row, planner(row, time)) for row in rows]
        _make_runs(connection, [run for _, move in moves for run in move.runs])
        for row, move in moves:
            _move(connection, row, move)
        return len(rows)

    return database.write(work)


def _move(connection: Connection, row: CursorRow, move: CursorMove) -> None:
    values = {
        "next_logical_date": move.next_logical_date,
        "next_run_at": move.next_run_at,
        "blocked_reason": move.blocked_reason,
        "version": row.version + 1,
    }
    for name in ("last_logical_date", "structure_digest", "max_active_runs"):
        if getattr(move, name) is not None:
            values[name] = getattr(move, name)
    same = and_(_cursor.dag_id == row.dag_id, _cursor.version == row.version)
    connection.execute(update(dag_cursor).where(same).values(**values))
    if move.left_out:
        detail = f"{move.left_out} dates have no run, because catchup is off"
        audit.note(connection, "dates left out", detail, row.dag_id)


def _make_runs(connection: Connection, runs: Sequence[DagRun]) -> None:
    """Insert queued runs with their claims. A date that has a run of a command keeps it."""
    for at in range(0, len(runs), _BATCH_SIZE):
        batch = runs[at : at + _BATCH_SIZE]
        connection.execute(insert_if_absent(connection, dag_run).values(created_at=now()), [_row(one) for one in batch])
        made = _made(connection, batch)
        if made:
            _insert_beside(connection, made)
            deadlines.arm(connection, [one for one in batch if (one.dag_id, one.run_id) in made])
        for one in batch:
            if (one.dag_id, one.run_id) not in made:
                _adopt(connection, one)


def _row(run: DagRun) -> dict[str, object]:
    return {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "logical_date": run.logical_date,
        "data_interval_start": run.data_interval_start,
        "data_interval_end": run.data_interval_end,
        "timeperiod": run.timeperiod,
        "run_type": run.run_type,
        "state": RunState.QUEUED,
        "conf": "{}",
        "attempt": 1,
        "version": 1,
        "source_digest": run.source_digest,
        "structure_digest": run.structure_digest,
        "is_served": True,
    }


def _made(connection: Connection, runs: Sequence[DagRun]) -> set[tuple[str, str]]:
    """Return the keys of those runs that were just inserted: they have no claim and never ran."""
    wanted = {(one.dag_id, one.run_id) for one in runs}
    is_new = and_(_run.state == RunState.QUEUED, _run.attempt == 1, _run.version == 1, _run.is_served.is_(True))
    claimed = select(_claim.run_id).where(_claim.dag_id == _run.dag_id, _claim.run_id == _run.run_id)
    query = select(_run.dag_id, _run.run_id).where(
        _run.dag_id.in_({one.dag_id for one in runs}),
        _run.run_id.in_({one.run_id for one in runs}),
        is_new,
        ~claimed.correlate(dag_run).exists(),
    )
    return {tuple(row) for row in connection.execute(query)} & wanted


def _insert_beside(connection: Connection, made: set[tuple[str, str]]) -> None:
    """Insert the claims, the executions and the audit log of new runs."""
    keys = [{"dag_id": dag_id, "run_id": run_id} for dag_id, run_id in sorted(made)]
    owner = audit.owner()
    connection.execute(insert(run_claim), [{**key, "epoch": 0} for key in keys])
    execution = {"attempt": 1, "mode": RunMode.NOMINAL, "owner": owner, "state": RunState.QUEUED}
    connection.execute(insert(dag_run_attempt).values(started_at=now()), [{**key, **execution} for key in keys])
    event = {"event": "run created", "owner": owner, "detail": RunType.SCHEDULED}
    connection.execute(insert(log).values(at=now()), [{**key, **event} for key in keys])


def _adopt(connection: Connection, run: DagRun) -> None:
    """Take over a queued run of a command for the same date, such as that of `elastic run` for one task."""
    same = and_(_run.dag_id == run.dag_id, _run.logical_date == run.logical_date)
    is_idle = and_(_run.state == RunState.QUEUED, _run.run_type == RunType.MANUAL, _run.is_served.is_(False))
    found = connection.execute(select(_run.run_id).where(same, is_idle)).scalar()
    if found is not None:
        of_run = and_(_run.dag_id == run.dag_id, _run.run_id == found)
        connection.execute(update(dag_run).where(of_run).values(is_served=True, version=_run.version + 1))
        connection.execute(insert_if_absent(connection, run_claim), {"dag_id": run.dag_id, "run_id": found, "epoch": 0})
