"""Deadlines of runs: armed in the transaction that makes the run, and found met or missed once they are due."""

import datetime as dt
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, update

from elastic.dag.states.state import RunState, TaskState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.records import DagRun
from elastic.db.schema import dag_run, dag_structure, deadline, task_instance
from elastic.db.sql_clock import now
from elastic.db.transitions import outbox

_deadline, _run, _ti = deadline.c, dag_run.c, task_instance.c

ARMED, MET, MISSED = "armed", "met", "missed"

#: Deadlines in stored structures by digest, whose content never changes; the latest ones last.
_known: OrderedDict[str, Sequence[Mapping[str, Any]]] = OrderedDict()
_MAX_KNOWN = 512

_DUE = (
    select(
        deadline,
        _run.logical_date,
        _run.structure_digest,
        _run.state.label("run_state"),
        _run.ended_at.label("run_ended_at"),
    )
    .join_from(deadline, dag_run, and_(_run.dag_id == _deadline.dag_id, _run.run_id == _deadline.run_id))
    .where(_deadline.state == ARMED, _deadline.due_at <= now())
    .order_by(_deadline.due_at, _deadline.id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedDeadline:
    """Deadline that has passed before its run, or its task, succeeded."""

    dag_id: str
    run_id: str
    #: None for the whole run
    task_id: str | None
    logical_date: dt.datetime
    due_at: dt.datetime
    notify: tuple[str, ...]

    def __str__(self) -> str:
        what = f"task {self.task_id!r} of run {self.run_id}" if self.task_id else f"run {self.run_id}"
        return f"{what} of DAG {self.dag_id!r} is late: it had to succeed by {self.due_at:%Y-%m-%d %H:%M:%S} UTC"


def arm(connection: Connection, runs: Sequence[DagRun]) -> None:
    """Insert the deadlines of new runs, within the transaction that inserts them."""
    for run in runs:
        for one in _deadlines_of(connection, run.structure_digest):
            row = {
                "dag_id": run.dag_id,
                "run_id": run.run_id,
                "task_id": one["task_id"],
                "counts_after": one["after"],
                "seconds": one["seconds"],
                "notify": json.dumps(one["notify"]),
                "state": ARMED,
            }
            connection.execute(insert(deadline).values(due_at=_due_at(run, one), **row))


def arm_started(connection: Connection, dag_id: str, run_id: str) -> None:
    """Set when the deadlines are due that count from the start of a run, within the transaction that starts it."""
    of_run = and_(_deadline.dag_id == dag_id, _deadline.run_id == run_id)
    waits = and_(of_run, _deadline.state == ARMED, _deadline.counts_after == "started", _deadline.due_at.is_(None))
    for row in connection.execute(select(_deadline.id, _deadline.seconds).where(waits)).all():
        connection.execute(update(deadline).where(_deadline.id == row.id).values(due_at=now(float(row.seconds))))


def close_due(database: Database, *, limit: int = 100) -> list[MissedDeadline]:
    """Close the deadlines that are due: as met, or as missed, after which their runs are late.

    Returns:
        The deadlines that this call found missed; no other process finds them.
    """
    query = _DUE.limit(limit)
    if not database.query(lambda connection: connection.execute(query.limit(1)).first()):
        return []

    def work(connection: Connection, _: bool) -> list[MissedDeadline]:
        return [one for row in connection.execute(query).all() if (one := _close(connection, row))]

    return database.write(work)


def _due_at(run: DagRun, one: Mapping[str, Any]) -> Any:
    seconds = float(one["seconds"])
    match one["after"]:
        case "queued":
            return now(seconds)
        case "logical_date":
            return _later(run.logical_date, seconds)
        case "interval_end":
            return _later(run.data_interval_end, seconds)
    return now(seconds) if run.state is RunState.RUNNING else None


def _later(instant: dt.datetime, seconds: float) -> dt.datetime | None:
    """Return a later time; None if it is beyond the calendar, so that it never comes."""
    try:
        return instant + dt.timedelta(seconds=seconds)
    except OverflowError:
        return None


def _deadlines_of(connection: Connection, digest: str | None) -> Sequence[Mapping[str, Any]]:
    if digest is None:
        return ()
    if digest not in _known:
        query = select(dag_structure.c.structure).where(dag_structure.c.digest == digest)
        text = connection.execute(query).scalar()
        if text is None:
            return ()
        _known[digest] = json.loads(text).get("deadlines", ())
        if len(_known) > _MAX_KNOWN:
            _known.popitem(last=False)
    _known.move_to_end(digest)
    return _known[digest]


def _close(connection: Connection, row: Any) -> MissedDeadline | None:
    is_met = _has_succeeded(connection, row)
    if not is_met:
        # The run is changed first, because all code locks runs before the rows that belong to them.
        same = and_(_run.dag_id == row.dag_id, _run.run_id == row.run_id)
        connection.execute(update(dag_run).where(same).values(is_late=True))
    values = {"state": MET} if is_met else {"state": MISSED, "missed_at": now()}
    change = update(deadline).where(_deadline.id == row.id, _deadline.state == ARMED).values(**values)
    if not connection.execute(change).rowcount or is_met:
        return None
    found = MissedDeadline(
        dag_id=row.dag_id,
        run_id=row.run_id,
        task_id=row.task_id,
        logical_date=row.logical_date,
        due_at=row.due_at,
        notify=tuple(json.loads(row.notify)),
    )
    outbox.add_of_deadline(connection, row, found.notify)
    audit.note_run(connection, "deadline missed", row.dag_id, row.run_id, str(found))
    return found


def _has_succeeded(connection: Connection, row: Any) -> bool:
    """Return whether the run or the task of a deadline succeeded in time."""
    if row.task_id is None:
        return row.run_state == RunState.SUCCESS and row.run_ended_at is not None and row.run_ended_at <= row.due_at
    of_task = and_(_ti.dag_id == row.dag_id, _ti.run_id == row.run_id, _ti.task_id == row.task_id)
    # A task that its run does not have, for example outside of its own dates, cannot be late.
    done = and_(_ti.state.in_((TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED)), _ti.ended_at <= row.due_at)
    if row.run_state == RunState.QUEUED:
        return False
    late = select(_ti.map_index).where(of_task, or_(_ti.state.is_(None), _ti.ended_at.is_(None), ~done)).limit(1)
    return connection.execute(late).first() is None
