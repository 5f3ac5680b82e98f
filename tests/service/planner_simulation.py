"""Simulated days of several planners on one database: each due date gets one run, whatever dies, stops or is lost.

python -m tests.service.planner_simulation [--seeds 200] [--dags 8] [--hours 72]

Real: planners, transitions and SQLite. Simulated: the clock of the database, which also jumps back, and processes that
die before or after a commit, stand still while others work, or lose the answer of a commit.
"""

import argparse
import datetime as dt
import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event, select

from elastic.dag.dag import DAG
from elastic.dag.serialized_dag import to_dict
from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.schema import dag_run
from elastic.db.stores.dags import DagRow, FoundDag, set_paused, store_dags
from elastic.operators import EmptyOperator
from elastic.scheduler.decisions.due import due, moved
from elastic.service.planner import Planner
from elastic.service.stored_dags import StoredDags
from tests.faults.fault_rng import Crash

T = TypeVar("T")

#: In Europe, the clocks go forward on the second day.
START = dt.datetime(2016, 3, 26, tzinfo=dt.UTC)

_SCHEDULES = (
    "@hourly", "@daily", "*/20 * * * *", "30 2 * * *", "@once", dt.timedelta(hours=7), dt.timedelta(minutes=90), None,
)  # fmt: skip
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")

#: Planners, transactions of others within one that stands still, and the share of transactions with a fault.
_PLANNERS, _DEEPEST, _FAULTS = 3, 2, 0.25


@dataclass(slots=True)
class Outcome:
    """Result of a seed."""

    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class ClockDatabase(Database):
    """Database with the clock of a simulation."""

    def __init__(self, url: str, world: "World", ahead: float = 0.0) -> None:
        super().__init__(url)
        self._world, self._ahead = world, ahead
        event.listen(self.engine, "connect", self._set_clock)

    def _set_clock(self, connection: Any, _: Any) -> None:
        connection.create_function("strftime", -1, self._time)
        connection.execute("PRAGMA synchronous = OFF")

    def _time(self, _: str, __: str, later: str = "0 seconds") -> str:
        at = self._world.time + dt.timedelta(seconds=self._ahead + float(later.split()[0]))
        return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}000"


class PlannerDatabase(ClockDatabase):
    """Database of a planner whose process may die, stand still, or lose an answer."""

    def write(self, work: Callable[[Any, bool], T]) -> T:
        fault = self._world.fault()
        if fault == "stands still":
            self._world.turn_of_others()
        done = super().write(lambda connection, again: self._before_commit(work(connection, again), fault))
        if fault == "dies after a commit":
            raise Crash
        if fault == "loses an answer":
            # It tries again, because it does not know that the commit succeeded.
            return super().write(lambda connection, _: work(connection, True))
        return done

    @staticmethod
    def _before_commit(done: T, fault: str) -> T:
        if fault == "dies before a commit":
            raise Crash
        return done


class World:
    """DAGs, planners and a clock."""

    def __init__(self, folder: Path, seed: int, dags: int, ahead: float = 0.0) -> None:
        self.rng, self.time, self.outcome = random.Random(seed), START, Outcome()
        self._depth, self._is_calm = 0, True
        url = f"sqlite:///{folder}/elastic.db"
        self.quiet = ClockDatabase(url, self)
        create(self.quiet)
        self.dags = {one.dag_id: one for one in map(self._dag, range(dags))}
        store_dags(self.quiet, [_found(one) for one in self.dags.values()])
        self.paused: set[str] = set()
        self._databases = [PlannerDatabase(url, self, ahead * number) for number in range(_PLANNERS)]
        self._planners = [self._planner(number) for number in range(_PLANNERS)]

    def _dag(self, number: int) -> DAG:
        settings: dict[str, Any] = {
            "schedule": self.rng.choice(_SCHEDULES) if number else "*/20 * * * *",
            "timezone": self.rng.choice(_ZONES),
            "catchup": self.rng.random() < 0.7,
            "start_date": START - dt.timedelta(hours=self.rng.choice((0, 5, 30))),
            "end_date": START + dt.timedelta(hours=self.rng.choice((20, 500))),
        }
        with DAG(f"dag_{number}", **settings) as dag:
            EmptyOperator(task_id="t")
        return dag

    def _planner(self, number: int) -> Planner:
        database = self._databases[number]
        return Planner(database, StoredDags(database), per_turn=self.rng.choice((1, 3, 20)))

    def fault(self) -> str:
        """Return the fault of the next transaction, or an empty string."""
        if self._is_calm or self.rng.random() > _FAULTS:
            return ""
        found = self.rng.choice(("stands still", "dies before a commit", "dies after a commit", "loses an answer"))
        self.outcome.faults[found] += 1
        return found

    def turn_of_others(self) -> None:
        """Let other planners work while one stands still."""
        if self._depth < _DEEPEST:
            self._depth += 1
            try:
                self.turn()
            finally:
                self._depth -= 1

    def turn(self) -> None:
        """Let a planner take its turn; one that dies is replaced."""
        number = self.rng.randrange(_PLANNERS)
        try:
            self._planners[number].turn()
        except Crash:
            self._planners[number] = self._planner(number)

    def play(self, hours: float) -> None:
        """Let time pass with faults, then without, until nothing is due."""
        end = START + dt.timedelta(hours=hours)
        self._is_calm, latest = False, START
        while self.time < end:
            self.time += dt.timedelta(seconds=self.rng.choice((1, 60, 1200, 4000)))
            if self.rng.random() < 0.05:
                self.time -= dt.timedelta(minutes=30)
                self.outcome.faults["the clock jumps back"] += 1
            if self.rng.random() < 0.1:
                self._pause_or_unpause()
            latest, before = max(latest, self.time), self._ends()
            self.turn()
            new = {dag_id: ends - before[dag_id] for dag_id, ends in self._ends().items()}
            self.outcome.problems += [f"{one} got a run while paused" for one in self.paused if new.get(one)]
            early = [f"{one}: a run was made before {end}" for one, ends in new.items() for end in ends if end > latest]
            self.outcome.problems += early
        self._is_calm, self.time = True, end + dt.timedelta(hours=1)
        for dag_id in tuple(self.paused):
            set_paused(self.quiet, dag_id, paused=False)
        while self._planners[0].turn():
            pass

    def _pause_or_unpause(self) -> None:
        dag_id = self.rng.choice(list(self.dags))
        self.paused ^= {dag_id}
        set_paused(self.quiet, dag_id, paused=dag_id in self.paused)

    def _ends(self) -> dict[str, set[dt.datetime]]:
        """Return the ends of the intervals of all runs, by DAG."""
        query = select(dag_run.c.dag_id, dag_run.c.data_interval_end)
        found: dict[str, set[dt.datetime]] = defaultdict(set)
        for dag_id, end in self.quiet.query(lambda connection: connection.execute(query).all()):
            found[dag_id].add(end)
        return found

    def check(self) -> Outcome:
        """Compare the runs with the dates of each DAG."""
        query = select(dag_run.c.dag_id, dag_run.c.logical_date)
        made: dict[str, list[dt.datetime]] = defaultdict(list)
        for dag_id, date in self.quiet.query(lambda connection: connection.execute(query).all()):
            made[dag_id].append(date)
        for dag_id, dag in self.dags.items():
            expected, dates = self._dates(dag), made[dag_id]
            self.outcome.runs += len(dates)
            missing = set(expected) - set(dates) if dag.catchup else set(expected[-1:]) - set(dates)
            self.outcome.problems += [f"{dag_id}: no run for {date}" for date in sorted(missing)]
            self.outcome.problems += [f"{dag_id}: a run for {date}" for date in sorted(set(dates) - set(expected))]
            if len(set(dates)) != len(dates):
                self.outcome.problems.append(f"{dag_id}: two runs for one date")
        return self.outcome

    def _dates(self, dag: DAG) -> list[dt.datetime]:
        """Return all dates of a DAG by one question, without planners."""
        stored = StoredDags(self.quiet).get(_digest(dag))
        timetable = stored.timetable
        # As if it caught up: which dates are left out depends on the turns.
        full = type(timetable)(
            schedule=timetable.schedule, start_date=timetable.start_date, end_date=timetable.end_date
        )
        first = moved(full, None, None, START).next_logical_date
        return [one.start for one in due(full, first, self.time, limit=1_000_000).intervals]

    def close(self) -> None:
        for database in (self.quiet, *self._databases):
            database.close()


def _digest(dag: DAG) -> str:
    return f"{dag.dag_id:0>64}".replace("_", "0")


def _found(dag: DAG) -> FoundDag:
    row = DagRow(
        dag_id=dag.dag_id, fileloc=f"/dags/{dag.dag_id}.py", owner="ada", schedule="", task_count=1,
        source_digest="0" * 64, structure_digest=_digest(dag),
    )  # fmt: skip
    return FoundDag(row, source="print()\n", structure=json.dumps(to_dict(dag)))


def simulate(
    seed: int, *, dags: int = 8, hours: float = 72, ahead: float = 0.0,
    mutation: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Outcome:  # fmt: skip
    """Simulate planners, and return what happened and what is wrong.

    Args:
        seed: Chooses DAGs, times and faults.
        dags: Number of DAGs.
        hours: Simulated time.
        ahead: Seconds by which the clock of each planner is ahead of that of the planner before it.
        mutation: Disables a mechanism.
    """
    with tempfile.TemporaryDirectory() as folder, mutation():
        world = World(Path(folder), seed, dags, ahead)
        try:
            world.play(hours)
            return world.check()
        finally:
            world.close()


def main() -> int:
    """Simulate seeds, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--dags", type=int, default=8)
    parser.add_argument("--hours", type=float, default=72)
    given = parser.parse_args()
    total = Outcome()
    for seed in range(given.seeds):
        found = simulate(seed, dags=given.dags, hours=given.hours)
        total.runs += found.runs
        total.faults += found.faults
        total.problems += [f"seed {seed}: {problem}" for problem in found.problems]
    problems = "".join(f"{one}\n" for one in total.problems[:20])
    sys.stdout.write(f"{problems}{given.seeds} seeds, {total.runs} runs, {dict(total.faults)}, ")
    sys.stdout.write(f"{len(total.problems)} problems\n")
    return int(bool(total.problems))


if __name__ == "__main__":
    sys.exit(main())
