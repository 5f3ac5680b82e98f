"""Scheduler service: delays, throughput, take-over, locks, memory at rest, and parsing.

    python -m benchmarks.service [due through rate midnight takeover locks idle parse] [--quick] [--json FILE]
        [--database sqlite|postgresql] [--masters 1]

Masters run as the command line starts them, with the default settings unless a scenario says otherwise. Tasks are
Python functions that do nothing. Delays are read from the rows of the database, and each result is checked: one run
for each date, each task successful at its first try. The exit code is 1 if a result is wrong; a bar that is missed does
not change it, because seconds depend on the load of the machine.

- due: DAGs that are due each minute: from the due time to the new run, and from the end of a task to the start of the
  next one
- through: runs that are triggered: a chain of 50 tasks, and 200 tasks and a join, from the new run to its end
- rate: empty tasks a second, in 100 DAGs of equal size
- midnight: many DAGs that become due at the same moment: until all runs exist, and until each has started a task
- takeover: from the kill of a master to the next change of its run by another one
- locks: the longest wait of a writer of SQLite beside two masters, a web server, a reader and 8 tasks
- idle: `elastic standalone` without work: start, processes, memory and CPU
- parse: DAG files: the first parse of all, a scan without changes, and the delay of a change
"""

import argparse
import datetime as dt
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select, func, select, update

from benchmarks.figures import Cost, percentile, print_figures
from benchmarks.machine import machine
from benchmarks.process_tree import ProcessTree
from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.schema import dag, dag_cursor, dag_file, dag_run, log, task_instance
from elastic.scheduler.commands.trigger_stored import trigger_stored
from elastic.service.parsing.dag_parser import DagParser, ParserSetup
from elastic.service.parsing.file_loader import ParseLimits
from elastic.testing import PostgresServer

#: Upper limits in seconds, MiB, processes or shares of a core; lower limits in tasks a second.
BARS: Mapping[str, Mapping[str, float]] = {
    "due": {"run_median": 0.3, "run_p99": 1.0, "next_task_median": 0.05},
    "through": {"chain": 1.0, "fan": 1.5},
    "rate": {"tasks_per_second": 300},
    "midnight": {"runs": 5.0, "first_tasks": 60.0},
    "takeover": {"seconds": 35.0},
    "locks": {"longest": 1.5},
    "idle": {"ready": 4.0, "processes": 7, "memory": 300.0, "cpu": 0.01},
    "parse": {"first": 10.0, "scan": 1.0, "edit": 6.0},
}

#: Seconds after which a scenario fails that waits for the service.
_LONGEST = 600.0

_HEAD = """from elastic.dag import DAG
from elastic.operators import PythonOperator

def nothing():
    pass
"""

_TWO_TASKS = """
with DAG({dag_id!r}, schedule={schedule!r}, start_date="2016-02-22", catchup=False) as dag:
    PythonOperator(nothing, task_id="first") >> PythonOperator(nothing, task_id="second")
"""

_ONE_DAY = """
with DAG({dag_id!r}, schedule="@daily", start_date="2016-02-22", end_date="2016-02-22") as dag:
    PythonOperator(nothing, task_id="first")
"""

_CHAIN = """
with DAG("chain", schedule=None, start_date="2016-02-22") as dag:
    before = PythonOperator(nothing, task_id="t0")
    for number in range(1, 50):
        before = before >> PythonOperator(nothing, task_id=f"t{number}")
"""

_FAN = """
with DAG("fan", schedule=None, start_date="2016-02-22", concurrency=0) as dag:
    join = PythonOperator(nothing, task_id="join")
    for number in range(200):
        PythonOperator(nothing, task_id=f"t{number}") >> join
"""

_WIDE = """
with DAG({dag_id!r}, schedule=None, start_date="2016-02-22", concurrency=0) as dag:
    for number in range({tasks}):
        PythonOperator(nothing, task_id=f"t{{number}}")
"""

_LONG_TASKS = """
import time

def wait():
    time.sleep(0.5)

with DAG("long", schedule=None, start_date="2016-02-22") as dag:
    before = PythonOperator(wait, task_id="t0")
    for number in range(1, 10):
        before = before >> PythonOperator(wait, task_id=f"t{number}")
"""


class WrongResultError(Exception):
    """The service did something else than it should."""


@dataclass(slots=True)
class Service:
    """A home with DAG files and a database, and the processes that work with them."""

    home: Path
    database: Database
    environment: Mapping[str, str]
    masters: int = 1

    def write(self, name: str, *texts: str) -> Path:
        """Write a DAG file; it appears at once as a whole."""
        folder = self.home / "dags"
        folder.mkdir(exist_ok=True)
        new, path = folder / f".{name}", folder / f"{name}.py"
        new.write_text("".join((_HEAD, *texts)))
        return new.rename(path)

    def command(self, *words: str) -> None:
        """Run a command of Elastic to its end."""
        with self.log.open("ab") as output:
            subprocess.run(
                [sys.executable, "-m", "elastic", *words],
                env={**os.environ, **self.environment}, stdout=output, stderr=output, check=True,
            )  # fmt: skip

    @contextmanager
    def process(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a command of Elastic while the block runs, then stop it with SIGTERM."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "elastic", *words],
                env={**os.environ, **self.environment}, stdout=output, stderr=output,
            )  # fmt: skip
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    ProcessTree(process.pid).kill()
                    process.wait()

    @contextmanager
    def running(self, *words: str) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """Run the masters while the block runs."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.process("master", *words)) for _ in range(self.masters)]

    def parsed(self, count: int) -> None:
        """Wait until a number of DAGs is stored."""
        query = select(func.count()).select_from(dag).where(dag.c.is_active.is_(True))
        self.until(lambda: self.value(query) >= count, f"{count} DAGs")

    def value(self, query: Select[Any]) -> Any:
        """Return the first value of the result of a query."""
        return self.database.query(lambda connection: connection.execute(query).scalar())

    def rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Return the rows of the result of a query."""
        return self.database.query(lambda connection: connection.execute(query).all())

    def until(self, condition: Callable[[], bool], what: str, seconds: float = _LONGEST) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise WrongResultError(f"{what} did not come about within {seconds:g} s")
            time.sleep(0.02)

    def ended(self, runs: int) -> None:
        """Wait until a number of runs has ended."""
        query = select(func.count()).select_from(dag_run).where(dag_run.c.ended_at.is_not(None))
        self.until(lambda: self.value(query) >= runs, f"the end of {runs} runs")

    def check(self) -> None:
        """Check that all runs and tasks succeeded, each at its first try.

        Raises:
            WrongResultError: One did not.
        """
        wrong = self.rows(select(dag_run.c.dag_id, dag_run.c.state).where(dag_run.c.state != RunState.SUCCESS).limit(1))
        wrong = wrong or self.rows(
            select(task_instance.c.dag_id, task_instance.c.task_id, task_instance.c.state, task_instance.c.try_number)
            .where((task_instance.c.state != TaskState.SUCCESS) | (task_instance.c.try_number != 1))
            .limit(1)
        )
        if wrong:
            raise WrongResultError(f"not every task succeeded at its first try: {tuple(wrong[0])}")

    @property
    def log(self) -> Path:
        """Output of all processes."""
        return self.home / "output.log"


def seconds_between(earlier: dt.datetime, later: dt.datetime) -> float:
    return (later - earlier).total_seconds()


def due(service: Service, *, quick: bool) -> dict[str, Any]:
    dags, minutes = (30, 1) if quick else (300, 5)
    for number in range(dags):
        dag_id = f"dag_{number:03}"
        service.write(dag_id, _TWO_TASKS.format(dag_id=dag_id, schedule="* * * * *"))
    with service.running():
        service.parsed(dags)
        # Runs of the minute in which the files were parsed are late by their nature.
        first = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
        last = first + dt.timedelta(minutes=minutes - 1)
        made = select(dag_run).where(dag_run.c.data_interval_end.between(first, last))
        count = select(func.count()).select_from(made.where(dag_run.c.ended_at.is_not(None)).subquery())
        service.until(lambda: service.value(count) >= dags * minutes, f"{dags * minutes} runs")
    service.check()
    runs = service.rows(made)
    if len({(run.dag_id, run.logical_date) for run in runs}) != dags * minutes:
        raise WrongResultError(f"there are {len(runs)} runs instead of {dags * minutes}")
    late = sorted(seconds_between(run.data_interval_end, run.created_at) for run in runs)
    tasks = {(row.dag_id, row.run_id, row.task_id): row for row in service.rows(select(task_instance))}
    gaps = sorted(
        seconds_between(
            tasks[run.dag_id, run.run_id, "first"].ended_at, tasks[run.dag_id, run.run_id, "second"].started_at
        )
        for run in runs
    )
    return {
        "runs": len(runs),
        "run_median": round(statistics.median(late), 3),
        "run_p99": percentile(late, 0.99),
        "next_task_median": round(statistics.median(gaps), 3),
        "next_task_p99": percentile(gaps, 0.99),
    }


def through(service: Service, *, quick: bool) -> dict[str, Any]:
    rounds = 1 if quick else 5
    service.write("chain", _CHAIN)
    service.write("fan", _FAN)
    found: dict[str, list[float]] = {"chain": [], "fan": []}
    with service.running():
        service.parsed(2)
        # The first runs also start the processes of tasks.
        for number in range(rounds + 1):
            for dag_id, seconds in found.items():
                run = trigger_stored(service.database, dag_id, None, f"run_{number}")
                row = (dag_run.c.dag_id == dag_id) & (dag_run.c.run_id == run.run_id)
                ended = select(dag_run.c.ended_at).where(row)
                service.until(lambda ended=ended: service.value(ended) is not None, f"the end of {dag_id}")
                created = service.value(select(dag_run.c.created_at).where(row))
                seconds.append(seconds_between(created, service.value(ended)))
    service.check()
    return {
        **{name: round(statistics.median(seconds[1:]), 3) for name, seconds in found.items()},
        **{f"first_{name}": round(seconds[0], 3) for name, seconds in found.items()},
    }


def rate(service: Service, *, quick: bool) -> dict[str, Any]:
    dags, tasks = (10, 20) if quick else (100, 100)
    names = [f"wide_{number:03}" for number in range(dags)]
    service.write("wide", *(_WIDE.format(dag_id=name, tasks=tasks) for name in names))
    with service.running():
        service.parsed(dags)
        for name in names:
            trigger_stored(service.database, name, None, "run")
        service.ended(dags)
    service.check()
    rows = service.rows(select(func.min(task_instance.c.started_at), func.max(task_instance.c.ended_at), func.count()))
    began, ended, count = rows[0]
    if count != dags * tasks:
        raise WrongResultError(f"{count} tasks ran instead of {dags * tasks}")
    return {"tasks": count, "tasks_per_second": round(count / seconds_between(began, ended), 1)}


def midnight(service: Service, *, quick: bool) -> dict[str, Any]:
    files, each = (2, 50) if quick else (100, 100)
    for file in range(files):
        ids = [f"dag_{file:03}_{number:03}" for number in range(each)]
        service.write(f"file_{file:03}", *(_ONE_DAY.format(dag_id=dag_id) for dag_id in ids))
    service.command("dags", "list")
    _pause_all(service, paused=True)
    with service.running("--no-parse"):
        ready = select(func.count()).select_from(dag_cursor).where(dag_cursor.c.next_run_at.is_not(None))
        service.until(lambda: service.value(ready) == files * each, "the due dates of all DAGs")
        began = dt.datetime.now(dt.UTC)
        _pause_all(service, paused=False)
        service.ended(files * each)
    service.check()
    runs = service.rows(select(func.count(), func.max(dag_run.c.created_at)))
    first = service.value(select(func.max(task_instance.c.started_at)))
    if runs[0][0] != files * each:
        raise WrongResultError(f"there are {runs[0][0]} runs instead of {files * each}")
    return {
        "dags": files * each,
        "runs": round(seconds_between(began, runs[0][1]), 2),
        "first_tasks": round(seconds_between(began, first), 2),
    }


def _pause_all(service: Service, *, paused: bool) -> None:
    change = update(dag_cursor).values(is_paused=paused, version=dag_cursor.c.version + 1)
    with service.database.begin() as connection:
        connection.execute(change)


def takeover(service: Service, *, quick: bool) -> dict[str, Any]:
    rounds = 1 if quick else 3
    service.write("long", _LONG_TASKS)
    events = select(func.count(), func.max(log.c.at)).where(log.c.dag_id == "long", log.c.task_id.is_not(None))
    running = select(func.count()).where(task_instance.c.state == TaskState.RUNNING)
    found = []
    for number in range(rounds):
        with service.process("master") as first:
            service.parsed(1)
            trigger_stored(service.database, "long", None, f"run_{number}")
            service.until(lambda: service.value(running) > 0, "the start of a task")
            tree = ProcessTree(first.pid)
            tree.look()
            with service.process("master", "--no-parse"):
                first.kill()
                killed = dt.datetime.now(dt.UTC)
                # A task of the dead master may just write its end.
                tree.end()
                settled = service.rows(events)[0][0]
                service.until(lambda settled=settled: service.rows(events)[0][0] > settled, "a change by the other")
                found.append(seconds_between(killed, service.rows(events)[0][1]))
                service.ended(number + 1)
    states = service.rows(select(dag_run.c.state).union(select(task_instance.c.state)))
    if {state for (state,) in states} != {"success"}:
        raise WrongResultError(f"the states are {states}")
    return {"kills": rounds, "seconds": round(statistics.median(found), 2), "longest": round(max(found), 2)}


def locks(service: Service, *, quick: bool) -> dict[str, Any]:
    dags, tasks = (4, 20) if quick else (20, 100)
    names = [f"wide_{number:03}" for number in range(dags)]
    service.write("wide", *(_WIDE.format(dag_id=name, tasks=tasks) for name in names))
    service.masters, waits, is_over = 2, [0.0], threading.Event()
    # 8 tasks in all, of two masters
    service.environment = {**service.environment, "ELASTIC__CORE__PARALLELISM": "4"}

    def write() -> None:
        database = Database(f"sqlite:///{service.database.path}")
        while not is_over.wait(0.02):
            began = time.monotonic()
            with database.begin() as connection:
                connection.execute(update(dag_cursor).values(is_paused=False).where(dag_cursor.c.dag_id == names[0]))
            waits.append(time.monotonic() - began)
        database.close()

    def read() -> None:
        database = Database(f"sqlite:///{service.database.path}")
        while not is_over.wait(0.05):
            database.query(lambda connection: connection.execute(select(task_instance)).all())
        database.close()

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    with service.process("webserver", "-p", str(_free_port())), service.running():
        service.parsed(dags)
        for thread in threads:
            thread.start()
        try:
            for name in names:
                trigger_stored(service.database, name, None, "run")
            service.ended(dags)
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
    service.check()
    locked = [line for line in service.log.read_text(errors="replace").splitlines() if "locked" in line]
    if locked:
        raise WrongResultError(f"a process reported a lock: {locked[0]}")
    return {"writes": len(waits) - 1, "longest": round(max(waits), 3), "p99": percentile(sorted(waits), 0.99)}


def idle(service: Service, *, quick: bool) -> dict[str, Any]:
    port, seconds = _free_port(), 10.0 if quick else 120.0
    service.command("db", "migrate")
    began = time.monotonic()
    with service.process("standalone", "-p", str(port)) as process:
        service.until(lambda: _answers(f"http://127.0.0.1:{port}/login"), "the login page")
        ready = time.monotonic() - began
        # Idle processes of tasks end after a minute.
        time.sleep(10.0 if quick else 90.0)
        tree = ProcessTree(process.pid)
        pids = tree.look()
        before = {pid: Cost.of(pid).cpu for pid in pids}
        began = time.monotonic()
        time.sleep(seconds)
        living = [pid for pid in tree.look() if pid in before]
        spent = sum(Cost.of(pid).cpu - before[pid] for pid in living)
        return {
            "ready": round(ready, 2),
            "processes": len(pids),
            "memory": round(tree.memory() / (1 << 20), 1),
            "cpu": round(spent / (time.monotonic() - began), 4),
        }


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=10):
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def parse(service: Service, *, quick: bool) -> dict[str, Any]:
    files = 20 if quick else 500
    for number in range(files):
        dag_id = f"dag_{number:05}"
        service.write(dag_id, _ONE_DAY.format(dag_id=dag_id).replace('"@daily"', "None"))
    began = time.monotonic()
    with service.running():
        service.parsed(files)
        first = time.monotonic() - began
        edits = []
        for number in range(3):
            before = time.monotonic()
            service.write("dag_00000", _ONE_DAY.format(dag_id=f"new_{number}").replace('"@daily"', "None"))
            new = select(func.count()).select_from(dag).where(dag.c.dag_id == f"new_{number}")
            service.until(lambda new=new: service.value(new) == 1, "the changed file")
            edits.append(time.monotonic() - before)
    if service.value(select(func.count()).select_from(dag_file)) != files:
        raise WrongResultError("not every file is stored")
    scan = _unchanged_scan(service, 200 if quick else 10_000)
    return {
        "files": files, "first": round(first, 2), "edit": round(statistics.median(edits), 2), "scan": round(scan, 3),
    }  # fmt: skip


def _unchanged_scan(service: Service, files: int) -> float:
    """Return the seconds of a scan of a folder in which nothing has changed, filled up with modules without DAGs."""
    folder = service.home / "dags"
    for number in range(files - len(list(folder.iterdir()))):
        (folder / f"module_{number:05}.py").write_text("number = 1\n")
    limits = ParseLimits(timeout=30.0, memory=512 * 2**20)
    setup = ParserSetup(database=service.database, folder=folder, limits=limits, owner="benchmark", say=print)
    parser = DagParser(setup)
    parser.scan()
    began = time.monotonic()
    if parser.scan().parsed:
        raise WrongResultError("a file was parsed that had not changed")
    return time.monotonic() - began


SCENARIOS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "due": due,
    "through": through,
    "rate": rate,
    "midnight": midnight,
    "takeover": takeover,
    "locks": locks,
    "idle": idle,
    "parse": parse,
}


@contextmanager
def service_of(database: str, masters: int) -> Iterator[Service]:
    """Yield a service with a new home and an empty database."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elastic-service-")))
        environment = {"ELASTIC_HOME": str(home)}
        if database == "postgresql":
            environment["ELASTIC__DATABASE__URL"] = stack.enter_context(PostgresServer()).create_database()
        found = Database(environment.get("ELASTIC__DATABASE__URL", f"sqlite:///{home}/elastic.db"))
        stack.callback(found.close)
        create(found)
        yield Service(home, found, environment, masters)


def main() -> int:
    """Measure the scenarios that the command line names and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes: checks the results")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--masters", type=int, default=1)
    parser.add_argument("--json", type=Path, help="append the figures to this file")
    given = parser.parse_args()
    print(f"{machine()}; bars: {json.dumps(BARS)}", flush=True)
    code = 0
    for name in given.scenarios or SCENARIOS:
        with service_of("sqlite" if name == "locks" else given.database, given.masters) as service:
            found: dict[str, Any]
            try:
                found = SCENARIOS[name](service, quick=given.quick)
            except WrongResultError as error:
                print(service.log.read_text(errors="replace")[-2000:] if service.log.exists() else "", file=sys.stderr)
                found, code = {"wrong": str(error)}, 1
        scenario = {"scenario": name, "database": service.database.url.partition(":")[0], "masters": service.masters}
        print_figures(scenario, found, given.json)
    return code


if __name__ == "__main__":
    sys.exit(main())
