"""Layer S: task instances under schedulers that die, freeze and disagree about the time.

Real: the process that an executor starts for an attempt (claim, run, write down), the transitions, and SQLite.
Simulated: schedulers, processes that end or stand still between any two transactions, and all clocks. What happens
while a process stands still is played inside of it.
"""

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event

from elastic.dag.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.records import DagRun, QueueRequest, TaskInstanceRow
from elastic.operators.python import PythonOperator
from elastic.scheduler.commands import run_task
from elastic.scheduler.deployment import Deployment
from tests.faults.fault_rng import Crash, Weather

T = TypeVar("T")

_DAY = dt.datetime(2016, 2, 22, tzinfo=dt.UTC)
_LEASE = 60.0
#: Maximum seconds between two turns; a turn takes no time.
_PAUSE = 25.0
_DEEPEST, _MOST_TURNS, _CALM_TURN = 3, 400, 120

#: Context manager that disables a mechanism.
Mutation = Callable[[], AbstractContextManager[None]]


@dataclass(slots=True)
class SchedulerOutcome:
    """Outcome of one seed."""

    seed: int
    instances: int
    faults: Counter[str]
    counters: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class HostDatabase(Database):
    """Database as a process on some host has it open; any event may occur between two of its transactions."""

    def __init__(self, url: str, world: "World", ahead: float) -> None:
        super().__init__(url)
        self._world, self.ahead = world, ahead
        self.be_quiet()
        event.listen(self.engine, "connect", self._set_clock)

    def be_quiet(self) -> None:
        """Do nothing."""
        #: called before and after each transaction, with the value of the transaction
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[Any], None] = lambda _: None

    def write(self, work: Callable[[Any, bool], T]) -> T:
        self.before()
        done = super().write(work)
        self.after(done)
        return done

    def _set_clock(self, connection: Any, _: Any) -> None:
        # Stands for the clock of the database.
        connection.create_function("strftime", -1, self._time)
        connection.execute("PRAGMA synchronous = OFF")

    def _time(self, _: str, __: str, later: str = "0 seconds") -> str:
        ahead = self.ahead if self._world.by_host_clock else 0.0
        at = _DAY + dt.timedelta(seconds=self._world.seconds + ahead + float(later.split()[0]))
        return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}000"


@dataclass(slots=True)
class Scheduler:
    """Queues attempts, starts their processes, and renews their leases as long as it lives and is awake."""

    name: str
    database: HostDatabase
    asleep_until: float = 0.0


class World:
    """State of the simulation of one seed."""

    def __init__(self, seed: int, folder: Path, *, by_host_clock: bool) -> None:
        self.weather = Weather(seed, 0.0)
        self.rng = self.weather.rng
        self.weather.rate = self.rng.choice([0.3, 0.6, 1.0])
        self.seconds, self.by_host_clock, self.folder = 0.0, by_host_clock, folder
        self.url = f"sqlite:///{folder}/elastic.db"
        self.counters: Counter[str] = Counter()
        self.problems: list[str] = []
        #: number of starts of the user code, by attempt
        self.begun: Counter[str] = Counter()
        #: time of the last renewal of each lease, by the clock of the database
        self.leased_at: dict[str, float] = {}
        self._databases: list[HostDatabase] = []
        #: attempts that no process has open
        self._idle: list[HostDatabase] = []
        self._depth = self._names = self._turns = 0
        self.looker = self._open(0.0)
        create(self.looker)
        self.tasks = self._tasks(self.rng.randrange(1, 5))
        self.schedulers = [self._scheduler(), self._scheduler()]
        self.waiting: list[tuple[TaskKey, str]] = []

    def close(self) -> None:
        for database in self._databases:
            database.close()

    def _open(self, ahead: float) -> HostDatabase:
        for number, idle in enumerate(self._idle):
            if idle.ahead == ahead:
                return self._idle.pop(number)
        self._databases.append(HostDatabase(self.url, self, ahead))
        return self._databases[-1]

    def _scheduler(self) -> Scheduler:
        self._names += 1
        return Scheduler(f"scheduler{self._names}", self._open(self.rng.choice([-180.0, 0.0, 180.0])))

    def _tasks(self, count: int) -> dict[str, PythonOperator]:
        dag = DAG("errands", start_date="2016-02-22", schedule="@daily")
        run = transitions.ensure_run(
            self.looker,
            DagRun(
                dag_id="errands", run_id="one", logical_date=_DAY, data_interval_start=_DAY,
                data_interval_end=_DAY + dt.timedelta(days=1),
            ),
        )  # fmt: skip
        tasks = {f"t{number}": PythonOperator(self._work, task_id=f"t{number}", dag=dag) for number in range(count)}
        transitions.ensure_instances(
            self.looker,
            [TaskInstanceRow(dag_id=run.dag_id, run_id=run.run_id, task_id=name, max_tries=1000) for name in tasks],
        )
        return tasks

    # -- events

    def play(self) -> None:
        """Simulate turns until all instances have ended."""
        while not all(one.state is TaskState.SUCCESS for one in self._instances()):
            if self._turns > _MOST_TURNS:
                states = [(one.task_id, str(one.state)) for one in self._instances()]
                self.problems.append(f"never ends: {states}")
                return
            self.turn()

    def turn(self) -> None:
        """Advance the time, and let one scheduler or process act."""
        self._turns += 1
        if self._turns == _CALM_TURN:
            self.weather.rate = 0.0
        self.seconds += self.rng.uniform(0.0, _PAUSE)
        if self.waiting and self.rng.random() < 0.5:
            self._start(*self.waiting.pop(self.rng.randrange(len(self.waiting))))
        else:
            self._schedule(self.rng.choice(self.schedulers))

    def _schedule(self, scheduler: Scheduler) -> None:
        if scheduler.asleep_until > self.seconds:
            return
        if self.weather.strikes("scheduler frozen", 0.05):
            scheduler.asleep_until = self.seconds + self.rng.choice([1.5, 3.0]) * _LEASE
            return
        if self.weather.strikes("scheduler killed", 0.05):
            self._replace(scheduler)
            return
        for held in transitions.renew(scheduler.database, scheduler.name, _LEASE):
            self.leased_at[held] = self.seconds
        self._expire(scheduler)
        for one in self._instances():
            if one.state in (None, TaskState.SCHEDULED, TaskState.UP_FOR_RETRY):
                self._stand_still("scheduler stood still")
                self._queue(scheduler, one.key)
            if scheduler not in self.schedulers:
                return

    def _replace(self, scheduler: Scheduler) -> None:
        if scheduler in self.schedulers:
            self.schedulers[self.schedulers.index(scheduler)] = self._scheduler()

    def _expire(self, scheduler: Scheduler) -> None:
        held = {one.key: one.attempt_uuid for one in self._instances() if one.attempt_uuid}
        for key in transitions.expire(scheduler.database):
            self.counters["leases_expired"] += 1
            waited = self.seconds - self.leased_at[held[key]]
            if waited < _LEASE - 0.01:
                self.problems.append(f"the lease of {key} was taken away after {waited:.0f} s of {_LEASE:.0f}")
        for one in self._instances():
            if one.state in (TaskState.QUEUED, TaskState.RUNNING):
                waited = self.seconds - self.leased_at[str(one.attempt_uuid)]
                if waited > _LEASE + 0.01:
                    self.problems.append(f"the lease of {one.key} holds after {waited:.0f} s of {_LEASE:.0f}")

    def _queue(self, scheduler: Scheduler, key: TaskKey) -> None:
        attempt = f"{self.rng.getrandbits(128):032x}"
        ticket = QueueRequest(key=key, attempt_uuid=attempt, lease_owner=scheduler.name, lease=_LEASE)
        if not transitions.queue(scheduler.database, ticket):
            return
        self.counters["attempts"] += 1
        self.leased_at[attempt] = self.seconds
        if self.weather.strikes("scheduler killed between a queued attempt and its process", 0.05):
            self._replace(scheduler)
            return
        if not self.weather.strikes("command for a process lost", 0.05):
            self.waiting.append((key, attempt))
        if self.weather.strikes("command for a process came twice", 0.1):
            self.waiting.append((key, attempt))

    def _start(self, key: TaskKey, attempt: str) -> None:
        """Simulate the process of an attempt, with the code that an executor's command runs."""
        database = self._open(self.rng.choice([-180.0, 0.0, 180.0]))

        def after(done: Any) -> None:
            if done is True:
                self.leased_at[attempt] = self.seconds
            self._between()

        database.before, database.after = self._between, after
        deployment = Deployment(
            database=database, dags_folder=self.folder, logs=self.folder / "logs", flow_logs=None,
            lines_in_database=False, level="CRITICAL", executor="simulated", queues={}, parallelism=1, heartbeat=5.0,
            lease=_LEASE, settings={},
        )  # fmt: skip
        try:
            state = run_task.run_queued_attempt(deployment, self.tasks[key.task_id], key, attempt)
        except Crash:
            return
        finally:
            database.be_quiet()
            self._idle.append(database)
        self.counters["processes_refused" if state is None else "attempts_ended"] += 1

    def _between(self) -> None:
        if self.weather.strikes("process of a task killed", 0.05):
            raise Crash("between two transactions")
        self._stand_still("process of a task stood still")

    def _stand_still(self, kind: str) -> None:
        """Let others act while one process stands still."""
        if self._depth < _DEEPEST and self.weather.strikes(kind, 0.2):
            self._depth += 1
            for _ in range(self.rng.randrange(1, 25)):
                self.turn()
            self._depth -= 1

    def _work(self, context: Any) -> str:
        """Run the user code of a task."""
        attempt: str = context["ti"].attempt_uuid
        self.begun[attempt] += 1
        self._between()
        return attempt

    # -- check

    def judge(self) -> list[str]:
        """Return the errors of the stored state after the end."""
        found = [f"attempt {attempt} ran {times} times" for attempt, times in self.begun.items() if times > 1]
        values = {
            name: [text for _, _, text in queries.xcoms(self.looker, "errands", "one", [name], "return_value")]
            for name in self.tasks
        }
        for one in self._instances():
            kept = queries.attempts(self.looker, one.key)
            won = [attempt.attempt_uuid for attempt in kept if attempt.state is TaskState.SUCCESS]
            if won != [one.attempt_uuid]:
                found.append(f"{one.key} has {len(won)} attempts that succeeded, or another one than it says")
            if values[one.task_id] != [f'"{one.attempt_uuid}"']:
                found.append(f"{one.key} has kept the value of another attempt")
            if [attempt.attempt_uuid for attempt in kept if attempt.state is TaskState.RUNNING]:
                found.append(f"{one.key} has an attempt that never ends")
        return [*self.problems, *found]

    def _instances(self) -> list[Any]:
        return queries.instances(self.looker, "errands", ["one"])


def simulate_schedulers(
    seed: int, mutation: Mutation = nullcontext, *, by_host_clock: bool = False
) -> SchedulerOutcome:
    """Simulate a seed to its end, and check it."""
    with tempfile.TemporaryDirectory(prefix="elastic-errand-") as made, mutation():
        world = World(seed, Path(made), by_host_clock=by_host_clock)
        try:
            world.play()
            problems = world.judge()
        finally:
            world.close()
        return SchedulerOutcome(seed, len(world.tasks), world.weather.faults, world.counters, problems)
