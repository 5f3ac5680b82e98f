"""Pools, jobs, known DAGs, and the removal of old rows, on every database."""

import datetime as dt
import os
from pathlib import Path

import pytest
from db_samples import DAY, database_time, finished, key_of, made_run, running
from sqlalchemy import select, text

from elastic.core.errors import UsageError
from elastic.dag.states.state import RunState
from elastic.db import queries, retention, transitions
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.schema import metadata
from elastic.db.shell import shell_of
from elastic.db.stores import jobs as job_store
from elastic.db.stores.bundles import BundleRow, bundle, store_bundle
from elastic.db.stores.dags import (
    DagRow,
    dags,
    forget_missing,
    import_errors,
    set_import_errors,
    set_paused,
    source_of,
    store_dag,
    structure_of,
)
from elastic.db.stores.pools import PoolStore


def test_pools_are_made_changed_and_deleted(database: Database) -> None:
    pools = PoolStore(database)
    pools.put("narrow", 2, "two")
    pools.put("narrow", 3)
    assert [(pool.pool, pool.slots, pool.description) for pool in pools.all()] == [
        ("default", 128, "of tasks that name none"),
        ("narrow", 3, "two"),
    ]
    pools.delete("narrow")
    with pytest.raises(UnknownRowError, match="pool 'narrow' isn't defined"):
        pools.delete("narrow")
    with pytest.raises(UsageError, match="cannot be deleted"):
        pools.delete("default")
    with pytest.raises(UsageError, match="cannot have -2 slots"):
        pools.put("narrow", -2)


def test_a_job_is_alive_until_it_misses_its_heartbeats(database: Database) -> None:
    job_id = job_store.start_job(database, "BackfillJob", dag_id="etl", executor="local")
    other = job_store.start_job(database, "BackfillJob")
    assert job_id != other
    assert job_store.heartbeat(database, job_id)
    (latest, first) = job_store.jobs(database, heartbeat=5)
    assert (first.id, first.kind, first.dag_id, first.executor) == (job_id, "BackfillJob", "etl", "local")
    assert (first.pid, first.is_alive, latest.is_alive) == (os.getpid(), True, True)
    assert job_store.fail_dead_jobs(database, heartbeat=5) == 0
    with database.begin() as connection:
        old = database_time(database) - dt.timedelta(seconds=11)
        connection.execute(job_store.table.update().values(heartbeat_at=old))
    assert [job.is_alive for job in job_store.jobs(database, heartbeat=5)] == [False, False]
    assert [job.is_alive for job in job_store.jobs(database, heartbeat=6)] == [True, True]
    assert job_store.end_job(database, other, job_store.SUCCESS)
    assert job_store.fail_dead_jobs(database, heartbeat=5) == 1
    assert not job_store.heartbeat(database, job_id)
    assert not job_store.end_job(database, job_id, job_store.SUCCESS)
    assert [job.state for job in job_store.jobs(database, heartbeat=5)] == ["success", "failed"]
    assert job_store.jobs(database, heartbeat=5, state="running") == []


def test_a_living_job_is_found_whatever_number_of_others_is_newer(database: Database) -> None:
    master = job_store.start_job(database, job_store.MASTER_JOB)
    for number in range(101):
        job_store.start_job(database, "BackfillJob", dag_id=f"d{number}")
    assert [one.kind for one in job_store.jobs(database, 5, state="running")] == ["BackfillJob"] * 100
    assert [one.id for one in job_store.jobs(database, 5, kind=job_store.MASTER_JOB)] == [master]
    assert [one.id for one in job_store.living_jobs(database, 5, kind=job_store.MASTER_JOB)] == [master]
    assert len(job_store.living_jobs(database, 5)) == 102
    job_store.end_job(database, master, job_store.SUCCESS)
    assert job_store.living_jobs(database, 5, kind=job_store.MASTER_JOB) == []


def test_a_dag_is_kept_with_the_source_and_structure_that_it_had(database: Database) -> None:
    first = DagRow(
        dag_id="etl",
        fileloc="/dags/etl.py",
        owner="me",
        schedule="@daily",
        tags="a,b",
        task_count=2,
        concurrency=4,
        is_paused=True,
        source_digest="s1",
        structure_digest="t1",
    )
    store_dag(database, first, source="one \N{SNOWMAN}" * 30_000, structure="{}")
    assert dags(database) == [first]
    set_paused(database, "etl", paused=False)
    second = DagRow(dag_id="etl", fileloc="/dags/new.py", is_paused=True, source_digest="s2", structure_digest="t1")
    store_dag(database, second, source="two", structure="{}")
    (found,) = dags(database)
    assert (found.fileloc, found.is_paused, found.source_digest) == ("/dags/new.py", False, "s2")
    assert source_of(database, "s1") == "one \N{SNOWMAN}" * 30_000
    assert (source_of(database, "s2"), source_of(database, "s3")) == ("two", None)
    assert (structure_of(database, "t1"), structure_of(database, "t2")) == ("{}", None)


def test_dags_that_are_gone_are_kept_but_not_listed(database: Database) -> None:
    for name in ("a", "b"):
        store_dag(database, DagRow(dag_id=name, fileloc=f"/{name}.py"))
    forget_missing(database, ["b"])
    assert [row.dag_id for row in dags(database)] == ["b"]
    assert [(row.dag_id, row.is_active) for row in dags(database, active_only=False)] == [("a", False), ("b", True)]
    store_dag(database, DagRow(dag_id="a", fileloc="/a.py"))
    assert [row.dag_id for row in dags(database)] == ["a", "b"]
    with pytest.raises(UnknownRowError, match="DAG 'c' isn't defined"):
        set_paused(database, "c", paused=True)


def test_files_that_cannot_be_imported_are_those_of_the_last_time(database: Database) -> None:
    set_import_errors(database, {"/b.py": "Traceback b", "/" + "ä" * 2000: "Traceback a"})
    assert import_errors(database) == {"/" + "ä" * 2000: "Traceback a", "/b.py": "Traceback b"}
    set_import_errors(database, {"/b.py": "another"})
    assert import_errors(database) == {"/b.py": "another"}
    set_import_errors(database, {})
    assert import_errors(database) == {}


def test_a_bundle_is_kept_once_under_its_digest_and_a_large_one_is_not_read(database: Database) -> None:
    first = BundleRow(
        digest="d1", signer="me", signature="s", entry_point="dags.etl:dag", content=bytes(range(256)) * 4000
    )
    store_bundle(database, first)
    store_bundle(database, BundleRow(digest="d1", signer="evil", signature="x", entry_point="x:y", content=b"other"))
    assert bundle(database, "d1", max_bytes=2_000_000) == first
    assert bundle(database, "d1", max_bytes=1000) is None
    assert bundle(database, "d2", max_bytes=1000) is None
    assert "content" not in repr(first)


def test_runs_that_ended_long_ago_are_removed_with_all_that_hangs_on_them(database: Database) -> None:
    for day in range(3):
        run = made_run(database, "load", day=day)
        running(database, key_of(run, "load"), f"u{day}")
        finished(database, f"u{day}", xcoms={"k": "1"})
        if day != 1:
            transitions.set_run_state(database, "etl", run.run_id, RunState.SUCCESS)
    counts = retention.countable(database, DAY + dt.timedelta(days=2))
    assert {name: count for name, count in counts.items() if count} == {
        "xcom": 1,
        "log": 5,
        "task_attempt": 1,
        "task_instance": 1,
        "dag_run_attempt": 1,
        "dag_run": 1,
    }
    assert retention.clean(database, DAY + dt.timedelta(days=2)) == counts
    assert not any(retention.countable(database, DAY + dt.timedelta(days=2)).values())
    left = queries.runs(database, "etl")
    assert [run.logical_date for run in left] == [DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=2)]
    assert len(queries.instances(database, "etl", [run.run_id for run in left])) == 2
    with database.read() as connection:
        for table in ("xcom", "task_attempt", "dag_run_attempt"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 2


def test_a_dag_that_is_gone_is_deleted_with_its_runs_and_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("elastic.db.retention._RUNS_AT_ONCE", 2)
    path = tmp_path / "etl.py"
    for dag_id in ("etl", "other"):
        row = DagRow(dag_id=dag_id, fileloc=str(path), source_digest="0" * 64, structure_digest=f"{dag_id:0>64}")
        store_dag(database, row, source="", structure="{}")
        for day in range(3):
            run = made_run(database, "load", dag_id=dag_id, day=day)
            running(database, key_of(run, "load"), f"{dag_id}-{day}")
            finished(database, f"{dag_id}-{day}", xcoms={"k": "1"})
            if (dag_id, day) != ("etl", 2):
                transitions.set_run_state(database, dag_id, run.run_id, RunState.SUCCESS)
    path.touch()
    with pytest.raises(UsageError, match=r"is defined by .*etl\.py, which would store it again"):
        retention.delete_dag(database, "etl")
    path.unlink()
    with pytest.raises(UsageError, match="run backfill_20160224 of DAG 'etl' is active"):
        retention.delete_dag(database, "etl")
    assert len(queries.runs(database, "etl")) == 3
    transitions.set_run_state(database, "etl", "backfill_20160224", RunState.FAILED)
    assert retention.delete_dag(database, "etl") == 3
    with database.read() as connection:
        for table in metadata.sorted_tables:
            if "dag_id" in table.c and table.name != "log":
                left = connection.execute(select(table.c.dag_id).where(table.c.dag_id.is_not(None))).scalars().all()
                assert set(left) <= {"other"}, table.name
    assert [one.event for one in queries.events(database, dag_id="etl")] == ["DAG added", "deleted"]
    assert len(queries.runs(database, "other")) == 3
    with pytest.raises(UnknownRowError):
        retention.delete_dag(database, "etl")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:////data/elastic.db", ("sqlite3", ["/data/elastic.db"], {})),
        (
            "postgresql://me:hunter2@host:5433/events",
            (
                "psql",
                [],
                {
                    "PGHOST": "host",
                    "PGUSER": "me",
                    "PGDATABASE": "events",
                    "PGPASSWORD": "hunter2",
                    "PGPORT": "5433",
                },
            ),
        ),
        (
            "mysql://me:hunter2@host/events",
            ("mariadb", ["--host=host", "--user=me", "events"], {"MYSQL_PWD": "hunter2"}),
        ),
    ],
)
def test_the_databases_own_program_gets_the_password_where_others_do_not_see_it(
    url: str, told: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elastic.db.shell.shutil.which", lambda name: f"/usr/bin/{name}")
    assert shell_of(url) == told


def test_a_program_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.db.shell.shutil.which", lambda name: None)
    with pytest.raises(UsageError, match=r"mariadb or mysql isn't installed, which shows mysql\+pymysql://me:\*\*\*@h"):
        shell_of("mysql://me:hunter2@h/d")
