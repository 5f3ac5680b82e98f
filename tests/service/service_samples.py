"""A home with DAG files, and masters of the service that run them, are stopped and killed."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.records import DagRun
from elastic.scheduler.deployment import Deployment
from tests.command_process import ended, started

FIRST = dt.date(2016, 2, 22)

#: A DAG with a run for each of the last days; a task leaves a line for each time that it runs, and may wait.
DAILY = """
import os, time
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import PythonOperator

here = Path({here!r})

def note(task, ds, attempt_uuid):
    with (here / "ran").open("a") as file:
        file.write(f"{{task.task_id}} {{ds}} {{attempt_uuid}}\\n")
    if (here / "hold").exists():
        (here / f"pid-{{os.getpid()}}").touch()
        while (here / "hold").exists():
            time.sleep(0.005)

with DAG({dag_id!r}, schedule="@daily", start_date={start!r}, end_date={end!r}, max_active_runs=4) as dag:
    PythonOperator(task_id="first", python_callable=note) >> PythonOperator(task_id="second", python_callable=note)
"""


def dates(days: int) -> list[dt.date]:
    """Return the dates of a DAG with a run for each of some days."""
    return [FIRST + dt.timedelta(days=number) for number in range(days)]


def dag_file(home: Path, dag_id: str = "daily", *, days: int = 3, text: str = DAILY) -> Path:
    """Write a DAG file with a run for each day from 2016-02-22 on."""
    folder = home / "dags"
    folder.mkdir(exist_ok=True)
    path = folder / f"{dag_id}.py"
    path.write_text(text.format(here=str(home), dag_id=dag_id, start=str(FIRST), end=str(dates(days)[-1])))
    return path


def served(*words: str) -> str:
    """Run a master until nothing is due, and return what it printed."""
    process = started("master", "--once", *words)
    printed = ended(process)
    assert process.returncode == 0, printed
    return printed


def database() -> Database:
    return Deployment.of().database


def runs(dag_id: str = "daily") -> list[DagRun]:
    return queries.runs(database(), dag_id)


def run_states(dag_id: str = "daily") -> list[str]:
    return [str(run.state) for run in runs(dag_id)]


def ran(home: Path) -> list[str]:
    """Return what the tasks noted: task, date and attempt."""
    path = home / "ran"
    return path.read_text().splitlines() if path.exists() else []


def held_pids(home: Path) -> list[int]:
    return [int(path.name.removeprefix("pid-")) for path in home.glob("pid-*")]


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes below one, itself excluded."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            yield int(child)
            yield from descendants(int(child))


def check_each_date_once(home: Path, dag_id: str, days: int) -> None:
    """See to it that each date has one run, and each task of it one attempt that counts."""
    found = runs(dag_id)
    assert [run.logical_date.date() for run in found] == dates(days)
    assert {run.state for run in found} == {RunState.SUCCESS}
    noted = [line.split() for line in ran(home)]
    uuids = [uuid for _, _, uuid in noted]
    assert len(uuids) == len(set(uuids)), "an attempt ran twice"
    for run in found:
        instances = queries.instances(database(), dag_id, [run.run_id])
        assert sorted(one.task_id for one in instances) == ["first", "second"]
        for one in instances:
            attempts = queries.attempts(database(), one.key)
            assert [attempt.state for attempt in attempts][-1] is TaskState.SUCCESS
            assert sum(attempt.state is TaskState.SUCCESS for attempt in attempts) == 1
            assert {attempt.attempt_uuid for attempt in attempts} & set(uuids)
    assert not queries.active_instances(database(), dag_id)
