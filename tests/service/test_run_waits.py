"""Why a run of the service waits: each reason has one sentence, which `tasks why` prints."""

import json
from dataclasses import replace
from pathlib import Path

from service_samples import dag_file, database, served

from elastic.dag.files.dag_bag import DagBag
from elastic.dag.states.state import RunState
from elastic.db import transitions
from elastic.db.records import DagRun
from elastic.db.stores.dags import dags, set_import_errors, set_paused
from elastic.db.stores.jobs import MASTER_JOB, end_job, start_job
from elastic.db.transitions import CursorMove
from elastic.scheduler.commands.trigger import trigger_run
from elastic.scheduler.deployment import Deployment
from elastic.service.run_waits import run_verdicts
from tests.command_process import ended, started


def reasons(run: DagRun) -> dict[str, tuple[bool, str]]:
    return {one.condition: (one.met, one.reason) for one in run_verdicts(database(), run, 5.0)}


def triggered(home: Path, day: int = 22) -> DagRun:
    dag = DagBag(home / "dags" / "daily.py").get_dag("daily")
    return trigger_run(Deployment.of(), dag, dag.instant(f"2016-02-{day}"), None, {})


def test_each_reason_why_a_queued_run_waits_has_its_sentence(home: Path) -> None:
    path = dag_file(home)
    run = triggered(home)
    why = "no master is alive; start one with `elastic master`, or run it with `elastic backfill`"
    assert reasons(run)["master"] == (False, why)
    job = start_job(database(), MASTER_JOB)
    assert reasons(run) == {
        "dag": (True, "DAG 'daily' is not paused"),
        "active runs": (True, "0 of 16 runs are active"),
        "master": (True, "a master is alive"),
    }
    set_paused(database(), "daily", paused=True)
    why = "DAG 'daily' is paused; `elastic dags unpause daily` lets its queued runs begin"
    assert reasons(run)["dag"] == (False, why)
    first = triggered(home, 23)
    transitions.start_run(database(), "daily", first.run_id)
    move = CursorMove(next_logical_date=None, next_run_at=None, structure_digest="x", max_active_runs=1)
    transitions.move_changed(database(), lambda row, time: move)
    why = f"max_active_runs 1 of DAG 'daily' is reached by run {first.run_id}"
    assert reasons(run)["active runs"] == (False, why)
    set_import_errors(database(), {str(path): f"{path}: SyntaxError in line 1\nTraceback"})
    why = f"its file cannot be loaded, and its last good version runs: {path}: SyntaxError in line 1"
    assert reasons(run)["file"] == (True, why)
    with database().begin() as connection:
        connection.exec_driver_sql("UPDATE dag SET is_active = false")
    assert reasons(run)["file"] == (False, f"no file defines DAG 'daily'; it was in {path}")
    assert dags(database()) == []
    end_job(database(), job, "success")
    assert reasons(run)["master"][0] is False


def test_an_active_run_waits_only_for_a_master_and_one_of_a_command_for_nothing(home: Path) -> None:
    dag_file(home)
    run = triggered(home)
    assert list(reasons(replace(run, state=RunState.RUNNING))) == ["master"]
    assert reasons(replace(run, state=RunState.SUCCESS)) == {}
    assert reasons(replace(run, is_served=False)) == {}


def test_tasks_why_prints_the_reasons_of_the_run_before_those_of_the_task(home: Path) -> None:
    dag_file(home)
    run = triggered(home)
    rows = json.loads(ended(started("tasks", "why", "daily", "first", run.run_id, "-o", "json")))
    assert [row["condition"] for row in rows][:4] == ["dag", "active runs", "master", "state"]
    assert next(row for row in rows if row["condition"] == "master")["met"] == "no"


def test_a_master_says_why_a_queued_run_waits(home: Path) -> None:
    dag_file(home)
    run = triggered(home)
    set_paused(database(), "daily", paused=True)
    assert served().count(f"run {run.run_id} of DAG 'daily' waits: {reasons(run)['dag'][1]}\n") == 1
