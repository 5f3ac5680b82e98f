"""Planner of backfills: the next runs of a backfill, from the stored structure of its DAG."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace

from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.timetable.interval import DataInterval
from elastic.dag.timetable.schedule import Schedule
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType
from elastic.db.transitions import Backfill, BackfillStep
from elastic.scheduler.commands.planning import new_run
from elastic.service.stored_dags import StoredDags


class BackfillPlanner:
    """Planner of backfills. Any number of planners may work at the same time.

    Args:
        database: The database.
        dags: Stored DAGs.
        per_turn: Maximum number of runs of one backfill in one turn.
        dag_ids: Only these DAGs; empty for all.
    """

    def __init__(self, database: Database, dags: StoredDags, *, per_turn: int, dag_ids: Sequence[str] = ()) -> None:
        self._database, self._dags, self._per_turn, self._dag_ids = database, dags, per_turn, tuple(dag_ids)
        #: backfills that run, as of the last turn
        self.running = 0

    def turn(self) -> list[str]:
        """Make the next runs of all backfills; return a sentence for each backfill that ended."""
        self.running, ended = transitions.carry_out_backfills(
            self._database, self._step, per_turn=self._per_turn, dag_ids=self._dag_ids
        )
        return ended

    def _step(self, found: Backfill, structure: str | None, source: str | None, count: int) -> BackfillStep:
        try:
            schedule = self._dags.get(structure or "").timetable.schedule
            runs, next_date = list[DagRun](), found.next_date
            for interval in _intervals(schedule, found):
                if len(runs) == count:
                    break
                run = new_run(found.dag_id, schedule, interval, RunType.BACKFILL)
                runs.append(replace(run, is_served=True, structure_digest=structure, source_digest=source))
                next_date = schedule.next_slot(interval.start)
        except (ElasticError, ValueError, OverflowError) as error:
            return BackfillStep(next_date=found.next_date, problem=error_text(error))
        is_last = not runs or next_date is None or next_date > found.to_date
        return BackfillStep(runs=runs, next_date=None if is_last else next_date)


def _intervals(schedule: Schedule, found: Backfill) -> Iterator[DataInterval]:
    """Yield the intervals of a backfill from its position on, as far as they have passed."""
    if found.next_date is None:
        return
    time = dt.datetime.now(dt.UTC)
    for interval in schedule.intervals(found.next_date, found.to_date):
        if interval.end > time:
            return
        yield interval
