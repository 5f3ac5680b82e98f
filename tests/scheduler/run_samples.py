"""DAGs for tests, and the rows that their runs leave."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elastic.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries
from elastic.db.records import Attempt
from elastic.operators import PythonOperator
from elastic.scheduler.commands.backfill import BackfillOptions, Summary, backfill
from elastic.scheduler.deployment import Deployment

START = datetime(2016, 2, 22, tzinfo=UTC)


def day(number: int) -> datetime:
    return START.replace(day=START.day + number)


def noop() -> None:
    """Do nothing."""


def dag_of(dag_id: str = "etl", **settings: Any) -> DAG:
    return DAG(dag_id, start_date="2016-02-22", **settings)


def noted(dag: DAG, task_id: str, folder: Path, **settings: Any) -> PythonOperator:
    """Return a task that appends a line to a file for each of its runs."""

    def note(ds: str) -> None:
        with (folder / "ran").open("a") as file:
            file.write(f"{task_id} {ds}\n")

    return PythonOperator(task_id=task_id, python_callable=note, dag=dag, **settings)


def ran(folder: Path) -> list[str]:
    path = folder / "ran"
    return path.read_text().splitlines() if path.exists() else []


def run(dag: DAG, days: int = 1, **options: Any) -> Summary:
    told = BackfillOptions(start=START, end=day(days - 1), **options)
    return backfill(Deployment.of(), dag, told, lambda line: None)


def said(dag: DAG, days: int = 1, **options: Any) -> list[str]:
    """Return the output lines of a backfill."""
    lines: list[str] = []
    backfill(Deployment.of(), dag, BackfillOptions(start=START, end=day(days - 1), **options), lines.append)
    return lines


def states(summary: Summary) -> dict[str, str]:
    """Return the states of a summary of one run, by task."""
    return {_name(key): str(state) for key, state in summary.states.items()}


def attempts(dag: DAG, task_id: str, number: int = 0) -> list[Attempt]:
    """Return the attempts of a task on a day."""
    database = Deployment.of().database
    found = queries.run_at(database, dag.dag_id, day(number))
    assert found is not None
    return queries.attempts(database, TaskKey(dag.dag_id, found.run_id, task_id))


def effective(dag: DAG) -> dict[TaskKey, int]:
    """Return the number of successful current attempts of each instance."""
    database = Deployment.of().database
    found: dict[TaskKey, int] = {}
    for one in queries.runs(database, dag.dag_id):
        for instance in queries.instances(database, dag.dag_id, [one.run_id]):
            tries = queries.attempts(database, instance.key, with_cleared=False)
            found[instance.key] = sum(1 for attempt in tries if attempt.state is TaskState.SUCCESS)
    return found


def _name(key: TaskKey) -> str:
    return key.task_id + (f"[{key.map_index}]" if key.map_index >= 0 else "")


def meeting(folder: Path, name: str, limit: int, total: int) -> int:
    """Announce this process, and wait for a number of others while they may come; return the number seen."""
    here = folder / f"here-{name}-{os.getpid()}"
    here.touch()
    most = 0
    while most < limit and total - len(list(folder.glob("gone-*"))) >= limit:
        most = max(most, len(list(folder.glob("here-*"))))
    here.rename(folder / here.name.replace("here", "gone"))
    return most
