"""Backup and restore: a copy of the database, made while runs are alive, is enough to finish them."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_samples import dag_file, held_pids, run_states, served

from elastic.testing import PostgresServer
from tests.command_process import end_all, started, until


@pytest.fixture(autouse=True)
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short intervals, and no process left."""
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SCHEDULER__SCAN_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SCHEDULER__HEARTBEAT", "0.5")
    yield
    end_all()


def master_with_held_tasks(home: Path) -> subprocess.Popen[str]:
    """Start a master, and return it once the first tasks of its runs wait in their processes."""
    dag_file(home, days=2)
    (home / "hold").touch()
    master = started("master")
    until(lambda: len(held_pids(home)) == 2, master)
    return master


def killed(master: subprocess.Popen[str], home: Path) -> None:
    os.kill(master.pid, signal.SIGKILL)
    master.communicate()
    (home / "hold").unlink()


def test_a_copy_of_the_sqlite_file_finishes_the_runs_that_were_alive(home: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("the program sqlite3 is not installed")
    master = master_with_held_tasks(home)
    copy = ["sqlite3", "-cmd", ".timeout 30000", home / "elastic.db", f".backup '{home}/backup.db'"]
    subprocess.run(copy, check=True)
    killed(master, home)
    (home / "elastic.db").unlink()
    (home / "backup.db").rename(home / "elastic.db")
    assert run_states() == ["running"] * 2
    served()
    assert run_states() == ["success"] * 2


def test_a_dump_of_postgresql_finishes_the_runs_that_were_alive(
    home: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("pg_dump") is None or shutil.which("psql") is None:
        pytest.skip("the programs pg_dump and psql are not installed")
    first, second = postgres_server.create_database(), postgres_server.create_database()
    monkeypatch.setenv("ELASTIC__DATABASE__URL", first)
    assert ended_well(started("db", "migrate"))
    master = master_with_held_tasks(home)
    dump = subprocess.run(["pg_dump", url_of_libpq(first)], check=True, capture_output=True).stdout
    killed(master, home)
    subprocess.run(
        ["psql", "-q", "-v", "ON_ERROR_STOP=1", url_of_libpq(second)], check=True, input=dump, capture_output=True
    )
    monkeypatch.setenv("ELASTIC__DATABASE__URL", second)
    assert run_states() == ["running"] * 2
    served()
    assert run_states() == ["success"] * 2


def url_of_libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def ended_well(process: subprocess.Popen[str]) -> bool:
    process.communicate()
    return process.returncode == 0
