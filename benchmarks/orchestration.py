"""Cost of scheduling DAGs of empty tasks, and of listing DAGs.

    python benchmarks/orchestration.py [--rounds 5] [--only chain,fan,layers,parse,list]

Tasks are Python functions, run by the local executor. Each state change is committed to SQLite and synced, with a row
in the log. Worker processes are forked at the first use and live as long as the run; the figures include starting and
stopping them, but not imports. Workloads are interleaved, each round on its own date in one growing database. Each
result is checked: states, order, one attempt per instance, three events per attempt.

Seconds depend on the load of the machine; CPU time of all processes depends on it much less. The figures of other
tools were measured on a machine with two cores, each in its default local configuration. They isolate and record
different things, so the work is not equal.
"""

import argparse
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from elastic.dag import DAG, DagBag
from elastic.db import queries
from elastic.db.records import TaskInstanceRow
from elastic.operators import PythonOperator
from elastic.scheduler.commands.backfill import BackfillOptions, backfill
from elastic.scheduler.deployment import Deployment

FIRST = datetime(2016, 2, 22, tzinfo=UTC)

CHAIN, FAN, LAYERS, WIDTH = 50, 200, 10, 100
FILES, LISTED = 500, 1_000

#: Median seconds of the chain and of the fan.
PEERS = {
    "Luigi, local scheduler, 2 workers, no record but files": (0.24, 0.79),
    "Luigi with luigid, 2 workers": (0.41, 1.41),
    "Prefect 3, threads of one process, SQLite": (1.10, 4.51),
    "Airflow 3 standalone, LocalExecutor, SQLite": (52.6, 21.0),
    "Airflow 3 standalone, LocalExecutor, PostgreSQL": (51.6, 25.9),
    "Dagster dev, a process for each op, SQLite": (73.3, 172.3),
}

FILE = """from datetime import datetime

from elastic import DAG
from elastic.operators import BashOperator, PythonOperator

with DAG("dag_{number:04}", start_date=datetime(2016, 2, 22), schedule="@daily", tags=["made"]) as dag:
    first = BashOperator(task_id="first", bash_command="echo {{{{ ds }}}}")
    for number in range(5):
        first >> PythonOperator(task_id=f"work_{{number}}", python_callable=print)
"""


@dataclass
class Figure:
    """Measurements of a workload, and its target."""

    name: str
    #: seconds
    bar: float | None
    #: number of tasks, files or DAGs
    size: int
    #: wall-clock seconds per round
    seconds: list[float] = field(default_factory=list)
    #: CPU seconds of all processes per round
    cpu_seconds: list[float] = field(default_factory=list)

    def add(self, measured: tuple[float, float]) -> None:
        self.seconds.append(measured[0])
        self.cpu_seconds.append(measured[1])

    def __str__(self) -> str:
        median, bar = statistics.median(self.seconds), f"{self.bar:.1f}" if self.bar else "-"
        spread = f"{min(self.seconds):.2f}..{max(self.seconds):.2f}; {len(self.seconds)}"
        each, cpu = f"{median / self.size * 1000:.1f} ms", f"{statistics.median(self.cpu_seconds):.2f}"
        return f"| {self.name} | {bar} | **{median:.2f}** ({spread}) | {each} | {cpu} |"


class Watch:
    """Stopwatch: wall-clock seconds, and CPU seconds of this process and its ended children, since its creation."""

    def __init__(self) -> None:
        self._began, self._cpu = time.perf_counter(), self._spent()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._began, self._spent() - self._cpu

    @staticmethod
    def _spent() -> float:
        spent = os.times()
        return spent.user + spent.system + spent.children_user + spent.children_system


def nothing() -> None:
    pass


def chain() -> DAG:
    with DAG("chain", start_date=FIRST) as dag:
        tasks = [PythonOperator(nothing, task_id=f"t{number}") for number in range(CHAIN)]
    for before, after in pairwise(tasks):
        before >> after
    return dag


def fan() -> DAG:
    with DAG("fan", start_date=FIRST, concurrency=0) as dag:
        join = PythonOperator(nothing, task_id="join")
        for number in range(FAN):
            PythonOperator(nothing, task_id=f"t{number}") >> join
    return dag


def layers() -> DAG:
    """Return layers of tasks; each task depends on two of the previous layer."""
    before: list[PythonOperator] = []
    with DAG("layers", start_date=FIRST, concurrency=0) as dag:
        for layer in range(LAYERS):
            tasks = [PythonOperator(nothing, task_id=f"l{layer}_{number}") for number in range(WIDTH)]
            for number, task in enumerate(tasks if before else []):
                task << [before[number], before[(number + 1) % WIDTH]]
            before = tasks
    return dag


def run(deployment: Deployment, dag: DAG, date: datetime) -> tuple[float, float]:
    """Run a DAG for a date, check the result, and return the time."""
    watch = Watch()
    backfill(deployment, dag, BackfillOptions(start=date, executor="local"), lambda line: None)
    measured = watch.read()
    check(deployment, dag, date)
    return measured


def check(deployment: Deployment, dag: DAG, date: datetime) -> None:
    made = queries.run_at(deployment.database, dag.dag_id, date)
    if made is None or made.state != "success":
        raise SystemExit(f"{dag.dag_id}: the run did not succeed")
    instances = {one.task_id: one for one in queries.instances(deployment.database, dag.dag_id, [made.run_id])}
    count = len(dag.tasks)
    told = queries.events(deployment.database, dag_id=dag.dag_id, run_id=made.run_id, limit=10 * count)
    events = Counter(one.event for one in told)
    if len(instances) != count or any(one.state != "success" or one.try_number != 1 for one in instances.values()):
        raise SystemExit(f"{dag.dag_id}: not every task succeeded at its first try")
    if any(events[name] != count for name in ("queued", "running", "success")):
        raise SystemExit(f"{dag.dag_id}: state changes are missing in the log: {dict(events)}")
    for task in dag.tasks:
        for upstream in task.upstream:
            if _ended(instances[upstream]) > (instances[task.task_id].started_at or FIRST):
                raise SystemExit(f"{dag.dag_id}: {task.task_id} began before {upstream} had ended")


def _ended(instance: TaskInstanceRow) -> datetime:
    return instance.ended_at or datetime.max.replace(tzinfo=UTC)


def pace(deployment: Deployment, date: datetime) -> tuple[float, float]:
    """Return the seconds of the first and of the second half of the layers."""
    made = queries.run_at(deployment.database, "layers", date)
    instances = queries.instances(deployment.database, "layers", [made.run_id if made else ""])
    began = min(one.started_at for one in instances if one.started_at)
    half = max(_ended(one) for one in instances if int(one.task_id[1:].split("_")[0]) < LAYERS // 2)
    end = max(map(_ended, instances))
    return (half - began).total_seconds(), (end - half).total_seconds()


def parse(folder: Path) -> tuple[float, float]:
    watch = Watch()
    bag = DagBag(folder)
    measured = watch.read()
    if len(bag) != FILES or bag.import_errors or any(dag.task_count != 6 for dag in bag):
        raise SystemExit("not all files were loaded")
    return measured


def list_dags(folder: Path) -> tuple[float, float]:
    """Run `elastic dags list` in its own process and return the time."""
    environment = {**os.environ, "ELASTIC__CORE__DAGS_FOLDER": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [str(Path(sys.executable).with_name("elastic")), "dags", "list"]
    watch = Watch()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured = watch.read()
    if [line.split()[0] for line in done.stdout.splitlines()[2:]] != [f"dag_{one:04}" for one in range(LISTED)]:
        raise SystemExit("not all DAGs were listed")
    return measured


def write_files(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"dag_{number:04}.py").write_text(FILE.format(number=number))
    return folder


def measure(home: Path, rounds: int, wanted: list[str]) -> None:
    deployment, halves = Deployment.of(), []
    files, listed = write_files(home / "files", FILES), write_files(home / "listed", LISTED)
    figures = {
        "chain": Figure(f"a chain of {CHAIN}", 1.0, CHAIN),
        "fan": Figure(f"{FAN} and a join", 1.5, FAN + 1),
        "layers": Figure(f"{LAYERS * WIDTH:,} in {LAYERS} layers", None, LAYERS * WIDTH),
        "parse": Figure(f"parsing {FILES} DAG files", 10.0, FILES),
        "list": Figure(f"`elastic dags list`, {LISTED:,} DAGs", 1.0, LISTED),
    }
    dags: dict[str, Callable[[], DAG]] = {"chain": chain, "fan": fan, "layers": layers}
    first = list_dags(listed) if "list" in wanted else None
    for number in range(rounds):
        date = FIRST + timedelta(days=number)
        for name in wanted:
            if name in dags:
                figures[name].add(run(deployment, dags[name](), date))
            else:
                figures[name].add(parse(files) if name == "parse" else list_dags(listed))
        if "layers" in wanted:
            halves.append(pace(deployment, date))
    print("\n".join(report([figures[name] for name in wanted], halves, first)))


def report(
    figures: list[Figure], halves: list[tuple[float, float]], first: tuple[float, float] | None
) -> Iterator[str]:
    yield f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} CPUs, load {_load()}"
    yield ""
    yield "| empty tasks | target, s | median, s (min..max; rounds) | each | CPU, s |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    yield from map(str, figures)
    yield ""
    if halves:
        early, late = (statistics.median(half) for half in zip(*halves, strict=True))
        yield f"The first half of the layers took {early:.2f} s, the second {late:.2f} s (medians)."
    if first:
        yield f"The first list, which loads and stores all files, took {first[0]:.1f} s."
    yield ""
    yield f"| measured of others, in seconds | chain of {CHAIN} | {FAN} and a join |"
    yield "| --- | ---: | ---: |"
    for name, (chained, fanned) in PEERS.items():
        yield f"| {name} | {chained} | {fanned} |"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="chain,fan,layers,parse,list")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ELASTIC_HOME"] = folder
        measure(Path(folder), options.rounds, options.only.split(","))


if __name__ == "__main__":
    main()
