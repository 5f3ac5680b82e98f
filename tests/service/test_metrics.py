"""Metrics: the text that Prometheus reads, from the figures of masters in the database."""

import datetime as dt
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from service_samples import dag_file, database, served
from sqlalchemy import insert

from elastic.db.schema import task_trigger
from elastic.db.stores.jobs import MASTER_JOB, heartbeat, start_job
from elastic.db.stores.pools import PoolStore
from elastic.service.figures import DurationHistogram, MasterFigures
from elastic.service.metrics import metrics_text
from tests.command_process import ended, started

#: A wait without its attempt and its kind.
_WAIT = {
    "dag_id": "etl",
    "run_id": "r",
    "task_id": "t",
    "map_index": -1,
    "arguments": "{}",
    "question": "0" * 64,
    "connection": "",
    "settings": "{}",
    "checks": 0,
    "errors": 0,
    "slices": 1,
    "started_at": dt.datetime(2026, 11, 30, tzinfo=dt.UTC),
}


def values(text: str) -> dict[str, float]:
    """Return the samples that Prometheus reads, by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for one in family.samples:
            found[f"{one.name}{sorted(one.labels.items())}"] = one.value
    return found


def test_the_command_prints_what_masters_did(home: Path) -> None:
    dag_file(home, days=2)
    PoolStore(database()).put("small", 3)
    served()
    process = started("metrics")
    found = values(ended(process))
    assert process.returncode == 0
    assert found["elastic_scheduling_delay_seconds_count[]"] >= 1
    assert found["elastic_turn_seconds_bucket[('le', '+Inf')]"] == found["elastic_turn_seconds_count[]"] > 2
    assert found["elastic_dag_files[]"] == 1
    assert found["elastic_parse_seconds[('of', 'slowest')]"] > 0
    assert found["elastic_pool_slots[('kind', 'total'), ('pool', 'small')]"] == 3
    assert found["elastic_tasks[('state', 'running')]"] == 0


def test_the_figures_of_all_masters_are_added_and_damaged_ones_left_out(home: Path) -> None:
    figures = MasterFigures(scheduling_delay=DurationHistogram(), db_retries=2)
    for seconds in (0.01, 0.02, 1e9):
        figures.scheduling_delay.observe(seconds)
    for encoded in (figures.encoded(), figures.encoded(), "{}", "[1]", '{"turn": [[1], 2]}', "damaged"):
        heartbeat(database(), start_job(database(), MASTER_JOB), encoded)
    found = values(metrics_text(database(), 5.0))
    assert found["elastic_jobs[('kind', 'SchedulerJob')]"] == 6
    assert found["elastic_db_retries_total[]"] == 4
    counts = [found[f"elastic_scheduling_delay_seconds_bucket[('le', '{one}')]"] for one in ("0.01", "0.05", "+Inf")]
    assert counts == [2, 4, 6]


def test_the_sensors_that_wait_are_counted_by_kind(home: Path) -> None:
    assert not [name for name in values(metrics_text(database(), 5.0)) if name.startswith("elastic_triggers")]
    with database().begin() as connection:
        for uuid, kind in (("a", "file"), ("b", "file"), ("c", "poke")):
            row = {"attempt_uuid": uuid * 32, "kind": kind}
            connection.execute(insert(task_trigger), {**_WAIT, **row})
    found = values(metrics_text(database(), 5.0))
    assert [found[f"elastic_triggers[('kind', '{kind}')]"] for kind in ("file", "poke")] == [2, 1]
