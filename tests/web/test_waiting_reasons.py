"""Why a task instance waits: the command, the REST API and the page say the same sentence."""

import datetime as dt
import json
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import update

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import DagRun
from elastic.db.schema import dag, dag_cursor, job, task_instance
from elastic.db.stores.dags import set_paused
from elastic.db.stores.jobs import MASTER_JOB, start_job
from elastic.db.stores.pools import PoolStore
from elastic.web.context import WebContext
from tests.cli.cli_samples import elastic
from tests.web.web_client import Api, WebClient

DAG_FILE = """
from elastic.dag import DAG
from elastic.operators import PythonOperator

with DAG("waits", schedule="@daily", start_date="2016-01-01", concurrency=2, max_active_runs=4) as dag:
    first = PythonOperator(task_id="first", python_callable=print)
    first >> PythonOperator(task_id="second", python_callable=print)
    PythonOperator(task_id="past", python_callable=print, depends_on_past=True)
    before = PythonOperator(task_id="before", python_callable=print, wait_for_downstream=True)
    before >> PythonOperator(task_id="after", python_callable=print)
    PythonOperator(task_id="narrow", python_callable=print, pool="narrow", pool_slots=2)
    PythonOperator(task_id="heavy", python_callable=print, queue="heavy")
"""

THIS, PREVIOUS = "2016-02-22", "2016-02-21"
#: Changes the rows so that an instance of a run waits.
Hinder = Callable[[Database, DagRun], object]


def paused(database: Database, run: DagRun) -> None:
    set_paused(database, "waits", paused=True)


def full_of_runs(database: Database, run: DagRun) -> None:
    with database.begin() as connection:
        connection.execute(update(dag_cursor).values(max_active_runs=1))


def without_master(database: Database, run: DagRun) -> None:
    with database.begin() as connection:
        connection.execute(update(job).values(heartbeat_at=dt.datetime(2026, 11, 30, 12, 1, tzinfo=dt.UTC)))


def without_file(database: Database, run: DagRun) -> None:
    with database.begin() as connection:
        connection.execute(update(dag).values(is_active=False))


def active(database: Database, run: DagRun) -> None:
    in_state(database, TaskState.RUNNING, run_id=run.run_id, task_id="after")
    in_state(database, TaskState.QUEUED, run_id=run.run_id, task_id="past")


def retried(database: Database, run: DagRun) -> None:
    at = dt.datetime(2033, 5, 4, 3, 2, 1, tzinfo=dt.UTC)
    in_state(database, TaskState.UP_FOR_RETRY, run_id=run.run_id, task_id="first", next_retry_at=at)


def in_state(database: Database, state: TaskState, *, run_id: str, task_id: str, **values: object) -> None:
    is_one = (task_instance.c.run_id == run_id) & (task_instance.c.task_id == task_id)
    with database.begin() as connection:
        connection.execute(update(task_instance).where(is_one).values(state=state, **values))


def nothing(database: Database, run: DagRun) -> None:
    """The structure of the DAG is the reason."""


#: Task, state of its run, what happens, and the reason.
REASONS: dict[str, tuple[str, RunState, Hinder, str]] = {
    "paused": (
        "first",
        RunState.QUEUED,
        paused,
        "DAG 'waits' is paused; `elastic dags unpause waits` lets its queued runs begin",
    ),
    "active runs": (
        "first",
        RunState.QUEUED,
        full_of_runs,
        "max_active_runs 1 of DAG 'waits' is reached by run manual_20160221T000000",
    ),
    "master": (
        "first",
        RunState.RUNNING,
        without_master,
        "no master is alive since 2026-11-30 12:01:00 UTC; start one with `elastic master`, or run it with "
        "`elastic backfill`",
    ),
    "file": ("first", RunState.RUNNING, without_file, "no file defines DAG 'waits'; it was in {home}/dags/waits.py"),
    "state": (
        "first",
        RunState.RUNNING,
        lambda database, run: in_state(database, TaskState.QUEUED, run_id=run.run_id, task_id="first"),
        "it is queued already",
    ),
    "trigger rule": ("second", RunState.RUNNING, nothing, "waiting for 'first' (all_success)"),
    "past": ("past", RunState.RUNNING, nothing, f"it depends on its run on {PREVIOUS} 00:00 UTC, which is not done"),
    "downstream of past": (
        "before",
        RunState.RUNNING,
        lambda database, run: in_state(database, TaskState.SUCCESS, run_id="manual_20160221T000000", task_id="before"),
        f"it waits for 'after' on {PREVIOUS} 00:00 UTC",
    ),
    "retry": ("first", RunState.RUNNING, retried, "it is retried on 2033-05-04 03:02:01 UTC"),
    "no pool": (
        "narrow",
        RunState.RUNNING,
        nothing,
        "pool 'narrow' isn't defined; add it with `elastic pools set narrow SLOTS`",
    ),
    "small pool": (
        "narrow",
        RunState.RUNNING,
        lambda database, run: PoolStore(database).put("narrow", 1),
        "pool 'narrow' has 1 slot and the task needs 2; give it more with `elastic pools set narrow 2`",
    ),
    "concurrency": (
        "first",
        RunState.RUNNING,
        active,
        "the concurrency of DAG 'waits' is full: it needs 1 and 0 are free",
    ),
    "executor": (
        "first",
        RunState.RUNNING,
        lambda database, run: in_state(database, TaskState.RUNNING, run_id=run.run_id, task_id="after"),
        "the executor of queue 'default' is full: it needs 1 and 0 are free",
    ),
    "worker": (
        "heavy",
        RunState.RUNNING,
        nothing,
        "no worker serves queue 'heavy'; start one with `elastic worker --queues heavy`",
    ),
}


@pytest.fixture
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC__CORE__PARALLELISM", "1" if request.node.callspec.params["name"] == "executor" else "8")
    monkeypatch.setenv("ELASTIC__CORE__QUEUES", "heavy=worker")


@pytest.mark.parametrize("name", REASONS)
def test_the_command_the_api_and_the_page_say_why_an_instance_waits(
    name: str,
    settings: None,
    home: Path,
    web: Callable[[str], WebClient],
    api: Callable[[str], Api],
    web_context: WebContext,
) -> None:
    task_id, state, hinder, reason = REASONS[name]
    reason, database = reason.format(home=home), web_context.database
    run = begun(home, database, state)
    hinder(database, run)
    rows = json.loads(elastic("tasks", "why", "waits", task_id, THIS, "-o", "json").out)
    assert next(row["reason"] for row in rows if row["met"] == "no") == reason
    answer = api("viewer").get(f"/api/v1/dags/waits/runs/{run.run_id}/tasks/{task_id}/why").json()["items"]
    assert [(one["condition"], one["reason"]) for one in answer] == [(one["condition"], one["reason"]) for one in rows]
    page = unescape(web("viewer").get(f"/dags/waits/runs/{run.run_id}/tasks/{task_id}").text)
    assert reason.replace("`", "") in page.replace("<code>", "").replace("</code>", "").replace("`", "")


def begun(home: Path, database: Database, state: RunState) -> DagRun:
    """Return a run of the service after another one, which runs; a master is alive."""
    (home / "dags").mkdir(exist_ok=True)
    (home / "dags" / "waits.py").write_text(DAG_FILE)
    for day in (PREVIOUS, THIS):
        said = elastic("dags", "trigger", "waits", "-e", day)
        assert said.code == 0, said
    start_job(database, MASTER_JOB)
    previous, this = sorted(queries.runs(database, "waits"), key=lambda run: run.logical_date)
    transitions.start_run(database, "waits", previous.run_id)
    if state is RunState.RUNNING:
        transitions.start_run(database, "waits", this.run_id)
    return this
