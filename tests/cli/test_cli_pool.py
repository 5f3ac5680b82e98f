"""Exhausted pools: the messages of commands, and the states of tasks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_samples import elastic, said_lines

from elastic.dag.files.dag_bag import DagBag
from elastic.dag.ids import TaskKey
from elastic.db import transitions
from elastic.db.records import DagRun, QueueRequest, TaskInstanceRow
from elastic.scheduler.commands.backfill import BackfillOptions, backfill
from elastic.scheduler.deployment import Deployment

DAY = "2016-02-22"

#: A task that needs two slots of a pool, its downstream task, and an independent task.
NARROW = """
from elastic import DAG
from elastic.operators import EmptyOperator

with DAG("narrow", start_date="2016-02-22") as dag:
    EmptyOperator(task_id="load", pool="narrow", pool_slots=2) >> EmptyOperator(task_id="after")
    EmptyOperator(task_id="beside")
"""


@pytest.fixture(autouse=True)
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of DAGs whose tasks run in this process, which is fastest."""
    monkeypatch.setenv("ELASTIC__CORE__EXECUTOR", "inline")
    (home / "dags").mkdir()
    (home / "dags" / "narrow.py").write_text(NARROW)


def _run_of(dag_id: str) -> DagRun:
    start = datetime(2016, 2, 22, tzinfo=UTC)
    return DagRun(
        dag_id=dag_id,
        run_id="held",
        logical_date=start,
        data_interval_start=start,
        data_interval_end=start + timedelta(days=1),
        timeperiod="20160222",
    )


@pytest.mark.parametrize(
    ("slots", "reason"),
    [
        (None, "pool 'narrow' isn't defined; add it with `elastic pools set narrow SLOTS`"),
        (0, "pool 'narrow' has no slots and the task needs 2; give it more with `elastic pools set narrow 2`"),
        (1, "pool 'narrow' has 1 slot and the task needs 2; give it more with `elastic pools set narrow 2`"),
    ],
)
def test_a_task_that_its_pool_can_never_take_fails_in_a_sentence(slots: int | None, reason: str) -> None:
    if slots is not None:
        elastic("pools", "set", "narrow", str(slots))
    said = elastic("backfill", "narrow", "-s", DAY)
    assert said.code == 1
    waits = [line for line in said_lines(said) if line.startswith("waits:")]
    run_id = "backfill_20160222T000000"
    assert waits == [
        f"waits: {run_id} load: {reason}",
        f"waits: {run_id} after: waiting for 'load' (all_success)",
    ]
    states = [elastic("tasks", "state", "narrow", name, DAY).out for name in ("load", "after", "beside")]
    assert states == ["none\n", "none\n", "success\n"]
    assert f"pool no {reason}" in said_lines(elastic("tasks", "why", "narrow", "load", DAY))
    said = elastic("run", "narrow", "load", DAY)
    assert (said.code, reason in said.err) == (1, True)
    elastic("pools", "set", "narrow", "2")
    assert elastic("backfill", "narrow", "-s", DAY).code == 0


def test_a_full_pool_is_reported_and_waited_for(home: Path) -> None:
    elastic("pools", "set", "narrow", "3")
    database = Deployment.of().database
    run = transitions.ensure_run(database, _run_of("other"))
    transitions.ensure_instances(database, [TaskInstanceRow(dag_id="other", run_id=run.run_id, task_id="holder")])
    holder = TaskKey("other", run.run_id, "holder")
    transitions.queue(database, QueueRequest(key=holder, attempt_uuid="held", pool="narrow", pool_slots=2))
    why = "pool 'narrow' is full: it needs 2 and 1 are free"
    assert f"pool no {why}" in said_lines(elastic("tasks", "why", "narrow", "load", DAY))
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if line.startswith("Waiting"):
            # the other process ends once it sees that this one waits for it
            transitions.clear(database, [holder])

    dag = DagBag(home / "dags" / "narrow.py").get_dag("narrow")
    summary = backfill(Deployment.of(), dag, BackfillOptions(start=dag.start_date), hear)
    assert summary.succeeded
    assert [line for line in said if line.startswith("Waiting")] == [f"Waiting: backfill_20160222T000000 load: {why}"]


def test_a_trial_needs_no_room_in_pools() -> None:
    assert elastic("dags", "test", "narrow").code == 0
