"""Runs triggered between two dates of the schedule: every command can run them."""

import json
from pathlib import Path

import pytest
from cli_samples import elastic, refused, said_lines
from dag_folder import dag_folder, mend

DAY = "2016-02-22"


@pytest.fixture(autouse=True)
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of DAGs whose tasks run in this process, which is fastest."""
    monkeypatch.setenv("ELASTIC__CORE__EXECUTOR", "inline")
    return dag_folder(home)


@pytest.fixture
def run_id(folder: Path) -> str:
    mend(folder)
    said = elastic("dags", "trigger", "etl", "--conf", '{"full": true}')
    (row,) = json.loads(elastic("dags", "list-runs", "etl", "-o", "json").out)
    advice = f"run it with `elastic backfill etl --runs {row['run_id']}`, or start `elastic master`"
    assert said.out == f"run {row['run_id']} of DAG 'etl' is queued; {advice}\n"
    return str(row["run_id"])


def test_one_runs_at_once_on_demand(folder: Path) -> None:
    assert elastic("dags", "trigger", "etl", "--run").code == 1
    assert _runs() == [("failed", 1)]
    mend(folder)
    said = elastic("dags", "trigger", "etl", "--run")
    assert (said.code, said_lines(said)[-1]) == (0, "runs: 1 success")


def test_one_runs_by_a_backfill_that_names_it(run_id: str) -> None:
    assert len(elastic("backfill", "etl", "--runs", run_id, "--dry-run").out.splitlines()) == 4
    assert elastic("backfill", "etl", "--runs", run_id).code == 0
    assert _runs() == [("success", 1)]
    refused(elastic("backfill", "etl", "--runs", "nope"), 2, "DAG 'etl' has no run 'nope'; `elastic dags list-runs")
    refused(elastic("backfill", "etl", "--runs", run_id, "-s", DAY), 2, "are mutually exclusive; give one of them")


def test_one_task_of_it_runs_by_the_id_of_the_run_or_its_date(run_id: str) -> None:
    (row,) = json.loads(elastic("dags", "list-runs", "etl", "-o", "json").out)
    for task_id, date in (("extract", run_id), ("load", row["logical_date"].replace(" ", "T"))):
        rows = json.loads(elastic("tasks", "why", "etl", task_id, date, "-o", "json").out)
        assert {one["condition"] for one in rows if one["met"] == "no"} == {"master"}
        assert elastic("run", "etl", task_id, date).code == 0
        assert elastic("tasks", "state", "etl", task_id, run_id).out == "success\n"
        assert "Task succeeded" in elastic("tasks", "log", "etl", task_id, run_id).out


def test_one_is_recovered_by_its_timeperiod_or_its_id(run_id: str) -> None:
    (row,) = json.loads(elastic("dags", "list-runs", "etl", "-o", "json").out)
    for number, name in enumerate((row["timeperiod"], run_id)):
        assert elastic("recover", "etl", name).code == 0
        assert _runs() == [("success", number + 2)]


def _runs() -> list[tuple[str, int]]:
    rows = json.loads(elastic("dags", "list-runs", "etl", "-o", "json").out)
    return [(row["state"], row["attempt"]) for row in rows]
