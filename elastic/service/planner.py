"""Planner: makes the due runs of all DAGs, from their cursors and their stored structures."""

import datetime as dt
from collections.abc import Sequence

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.ids import run_id_of
from elastic.dag.timetable.interval import DataInterval
from elastic.dag.timetable.schedule import Schedule
from elastic.dag.timetable.timeperiod import timeperiod_of
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType
from elastic.db.transitions import CursorMove, CursorRow
from elastic.scheduler.decisions.due import DueRuns, due, moved
from elastic.service.stored_dags import StoredDag, StoredDags


class Planner:
    """Planner of scheduled runs. Any number of planners may work at the same time.

    Args:
        database: The database.
        dags: Stored DAGs.
        per_turn: Maximum number of runs of one DAG in one turn.
        dag_ids: Only these DAGs; empty for all.
    """

    def __init__(
        self, database: Database, dags: StoredDags, *, per_turn: int = 20, dag_ids: Sequence[str] = ()
    ) -> None:
        self._database, self._dags, self._per_turn, self._dag_ids = database, dags, per_turn, tuple(dag_ids)
        self._delays: list[float] = []

    def take_delays(self) -> list[float]:
        """Return the seconds between the time at which runs were due and now, for those made since the last call."""
        found, self._delays = self._delays, []
        return found

    def turn(self) -> int:
        """Move the cursors of changed DAGs, then make the runs that are due; return the number of due DAGs."""
        transitions.move_changed(self._database, self._move, dag_ids=self._dag_ids)
        return transitions.claim_due(self._database, self._plan, dag_ids=self._dag_ids)

    def _plan(self, row: CursorRow, time: dt.datetime) -> CursorMove:
        stored, problem = self._stored(row)
        if stored is None:
            return _blocked(row, problem)
        try:
            found = due(stored.timetable, row.next_logical_date, time, limit=self._per_turn)
        except (ElasticError, ValueError, OverflowError) as error:
            return _blocked(row, error_text(error))
        schedule = stored.timetable.schedule
        runs = [_new_run(row, schedule, interval) for interval in found.intervals]
        if runs and row.next_run_at is not None:
            self._delays.append((time - row.next_run_at).total_seconds())
        return _move_to(found, runs=runs)

    def _move(self, row: CursorRow, time: dt.datetime) -> CursorMove:
        stored, problem = self._stored(row)
        if stored is None:
            return _blocked(row, problem)
        try:
            found = moved(stored.timetable, row.next_logical_date, row.last_logical_date, time)
        except (ElasticError, ValueError, OverflowError) as error:
            return _blocked(row, error_text(error))
        return _move_to(found, row=row, stored=stored)

    def _stored(self, row: CursorRow) -> tuple[StoredDag | None, str]:
        try:
            stored = self._dags.get(row.structure_digest or "")
        except ElasticError as error:
            return None, str(error)
        return (None, stored.obstacle) if stored.obstacle else (stored, "")


def _new_run(row: CursorRow, schedule: Schedule, interval: DataInterval) -> DagRun:
    return DagRun(
        dag_id=row.dag_id,
        run_id=run_id_of(interval.start, RunType.SCHEDULED),
        logical_date=interval.start,
        data_interval_start=interval.start,
        data_interval_end=interval.end,
        timeperiod=timeperiod_of(interval.start, schedule),
        run_type=RunType.SCHEDULED,
        source_digest=row.source_digest,
        structure_digest=row.structure_digest,
        is_served=True,
    )


def _move_to(
    found: DueRuns, *, runs: Sequence[DagRun] = (), row: CursorRow | None = None, stored: StoredDag | None = None
) -> CursorMove:
    return CursorMove(
        runs=runs,
        next_logical_date=found.next_logical_date,
        next_run_at=found.next_run_at,
        last_logical_date=runs[-1].logical_date if runs else None,
        structure_digest=row.structure_digest if row else None,
        max_active_runs=stored.max_active_runs if stored else None,
        left_out=found.left_out,
    )


def _blocked(row: CursorRow, reason: str) -> CursorMove:
    """Return a move to no date, with the reason; the next change of the DAG moves the cursor again."""
    return CursorMove(
        next_logical_date=row.next_logical_date,
        next_run_at=None,
        structure_digest=row.structure_digest,
        blocked_reason=reason,
    )
