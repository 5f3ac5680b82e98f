"""A DAG with runs for the tests of its pages: rows as a master leaves them, and log files."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from elastic.dag import DAG, TaskGroup
from elastic.dag.ids import TaskKey, run_id_of
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.timetable.interval import zone_of
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType
from elastic.db.schema import dag_run, log_line, task_attempt, task_instance, xcom
from elastic.operators import EmptyOperator, PythonOperator
from elastic.scheduler.catalog.dag_catalog import store
from elastic.scheduler.commands.trigger import RunRequest, queue_run
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.log_location import log_path_at

#: Text that would be markup if a page did not escape it.
MARKUP = "<img src=x onerror=alert(1)>\"'&amp;{{ 7 * 7 }}"

ERROR = f"""Traceback (most recent call last):
  File "/dags/etl.py", line 12, in load
    return to_cents(price)
  File "/dags/prices.py", line 14, in to_cents
    return int(price) * 100
ValueError: invalid literal for int() with base 10: '30 EUR' {MARKUP}"""

START = dt.datetime(2026, 3, 2, 1, tzinfo=dt.UTC)


def sample_dag(dag_id: str = "etl", **settings: Any) -> DAG:
    """Return a DAG with groups, a mapped task and a queue."""
    options: dict[str, Any] = {"schedule": "@daily", "start_date": "2026-03-02", "owner": "ada", "doc": f"Doc {MARKUP}"}
    with DAG(dag_id, **{**options, **settings}) as dag:
        with TaskGroup("load"):
            wait = EmptyOperator(task_id="wait")
            prices = PythonOperator.partial(task_id="prices", python_callable=str, retries=2).expand(
                op_args=[[1], [2], [3]]
            )
            wait >> prices
        with TaskGroup("stats"):
            totals = EmptyOperator(task_id="totals")
        mail = EmptyOperator(task_id="mail", queue="heavy")
        prices >> totals >> mail
    return dag


def key_of(run: DagRun, task_id: str, map_index: int = -1) -> TaskKey:
    return TaskKey(run.dag_id, run.run_id, task_id, map_index)


class Sample:
    """Stored DAG whose runs are written as a master would leave them.

    Args:
        deployment: Database and folder of logs.
        dag: The DAG.
    """

    def __init__(self, deployment: Deployment, dag: DAG | None = None) -> None:
        self.deployment, self.dag = deployment, dag or sample_dag()
        self.database: Database = deployment.database
        self.digests = store(deployment, self.dag)

    def queued(self, day: int = 0, **request: Any) -> DagRun:
        """Queue a run; its mapped task is not expanded."""
        asked = RunRequest(date=START + dt.timedelta(days=day), **request)
        return queue_run(self.database, DagSpec.of(self.dag), self.dag.schedule, self.digests, asked)

    def run(self, day: int = 0, state: RunState = RunState.SUCCESS, **states: TaskState | None) -> DagRun:
        """Write a run whose tasks succeeded unless `states` says otherwise; `__` in a name stands for a dot."""
        made = self.queued(day)
        given = {name.replace("__", "."): one for name, one in states.items()}
        with self.database.begin() as connection:
            of_run = (dag_run.c.dag_id == made.dag_id, dag_run.c.run_id == made.run_id)
            begun = made.data_interval_end
            ended = begun + dt.timedelta(seconds=90) if state.is_final else None
            connection.execute(
                update(dag_run).where(*of_run).values(state=state, started_at=begun, ended_at=ended, version=2)
            )
            mapped = [task.task_id for task in self.dag.tasks if task.is_mapped]
            connection.execute(
                task_instance.delete().where(task_instance.c.run_id == made.run_id, task_instance.c.task_id.in_(mapped))
            )
            for task_id in mapped:
                for index in range(3):
                    row = {"dag_id": made.dag_id, "run_id": made.run_id, "task_id": task_id, "map_index": index}
                    fixed = {"try_number": 0, "max_tries": 3, "version": 1, "pool": "default", "pool_slots": 1}
                    connection.execute(insert(task_instance), {**row, **fixed, "priority": 1, "queue": "default"})
        for task in self.dag.tasks:
            wanted = given.get(task.task_id, TaskState.SUCCESS)
            for index in range(3) if task.is_mapped else (-1,):
                # Of a mapped task, the copy in the middle has the state.
                one = TaskState.SUCCESS if task.is_mapped and index != 1 and wanted is TaskState.FAILED else wanted
                self.set(key_of(made, task.task_id, index), one)
        return made

    def set(
        self, key: TaskKey, state: TaskState | None, *, error: str | None = None, tries: int = 1, uuid: str = ""
    ) -> None:
        """Set the state of an instance, with the attempt that led to it."""
        ran = state in (TaskState.SUCCESS, TaskState.FAILED, TaskState.RUNNING, TaskState.UP_FOR_RETRY)
        begun = START + dt.timedelta(days=1, seconds=5)
        row: dict[str, Any] = {"state": state, "version": 2, "try_number": tries if ran else 0}
        if state is TaskState.UPSTREAM_FAILED:
            row["note"] = f"upstream failed {MARKUP}"
        if ran:
            uuid = uuid or f"{key.dag_id}/{key.run_id}/{key.task_id}/{key.map_index}/{state}"[-60:]
            done = state is not TaskState.RUNNING
            times = {"started_at": begun, "ended_at": begun + dt.timedelta(seconds=41) if done else None}
            row |= {"attempt_uuid": uuid, "host": "node-2", "pid": 811, "duration": 41.0 if done else None, **times}
        table = task_instance.c
        same = (table.dag_id == key.dag_id, table.run_id == key.run_id, table.task_id == key.task_id)
        with self.database.begin() as connection:
            found = connection.execute(update(task_instance).where(*same, table.map_index == key.map_index).values(row))
            assert found.rowcount == 1
            if ran:
                text = (error or ERROR) if state in (TaskState.FAILED, TaskState.UP_FOR_RETRY) else None
                shared = {"dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "run_attempt": 1}
                values = {**shared, "map_index": key.map_index, "queued_at": begun, "host": "node-2", "pid": 811}
                values |= {
                    "is_cleared": False,
                    "error": text,
                    "duration": row["duration"],
                    "try_number": tries,
                    **times,
                }
                exit_code = {TaskState.FAILED: -9, TaskState.SUCCESS: 0}.get(state) if state else None
                connection.execute(
                    insert(task_attempt), {**values, "state": state, "attempt_uuid": uuid, "exit_code": exit_code}
                )

    def push(self, key: TaskKey, name: str, value: Any) -> None:
        """Store an XCom."""
        row = {"dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "map_index": key.map_index}
        with self.database.begin() as connection:
            connection.execute(insert(xcom), {**row, "key": name, "value": json.dumps(value), "at": START})

    def line(self, key: TaskKey, message: str) -> None:
        """Store a log line in the database."""
        row = {"dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "map_index": key.map_index}
        fixed = {"run_attempt": 1, "at": START, "logger": key.task_id, "level": "INFO"}
        with self.database.begin() as connection:
            connection.execute(insert(log_line), {**row, **fixed, "message": message})

    def log(self, run: DagRun, key: TaskKey, content: str | bytes) -> Path:
        """Write the log file of an instance, and return its path."""
        path = log_path_at(self.deployment.logs, key, run.logical_date, zone_of(self.dag.timezone))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
        return path


def log_text(lines: int = 3, *, error: bool = False, tries: int = 1) -> str:
    """Return the content of a log as attempts write it."""
    rule, found = "-" * 80, []
    for number in range(tries):
        what = f"Retry run {number} out of {tries - 1}" if number else "New run"
        found += ["", rule, f"{what} starting @2026-03-03T02:00:00", rule]
        found += [f"[2026-03-03 02:00:{at % 60:02},001] {{etl.py:{at}}} INFO - line {at}" for at in range(lines)]
        if error:
            found += [f"[2026-03-03 02:00:59,001] {{execute.py:91}} ERROR - failed {MARKUP}"]
            found += [f"    {line}" for line in ERROR.splitlines()]
    return "\n".join(found) + "\n"


def sample_run_id(day: int = 0) -> str:
    return run_id_of(START + dt.timedelta(days=day), RunType.MANUAL)
