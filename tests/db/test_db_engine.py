"""Transactions of several processes, and outages of the database."""

import os
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import race
from db_samples import claimed, database_time, finished, key_of, made_run, queued, running
from sqlalchemy import event, text

from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, sqlite, transitions
from elastic.db.database import Database
from elastic.db.errors import DatabaseBusyError, DatabaseError, DatabaseUnavailableError
from elastic.db.migration.upgrade import create
from elastic.db.records import DagRun
from elastic.db.url import read_url, without_password
from elastic.testing import MariaDbServer, PostgresServer


def test_processes_that_want_the_same_instances_run_each_of_them_once(database: Database, metadata_url: str) -> None:
    command = [sys.executable, race.__file__, metadata_url]
    runners = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
        for _ in range(3)
    ]
    for runner in runners:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
    told = [runner.communicate("go\n", timeout=120)[0].split() for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0, 0]
    ran = [attempt for attempts in told for attempt in attempts]
    (run,) = queries.runs(database, "etl")
    assert queries.state_counts(database, "etl", [run.run_id]) == {TaskState.SUCCESS: race.COUNT}
    count = "SELECT count(*), count(DISTINCT attempt_uuid), count(DISTINCT task_id) FROM task_attempt"
    rows = database.query(lambda connection: tuple(connection.execute(text(count)).one()))
    assert rows == (race.COUNT, race.COUNT, race.COUNT)
    assert len(set(ran)) == len(ran) == race.COUNT
    assert len(queries.run_attempts(database, "etl", run.run_id)) == 1


_OTHER_WRITER = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"


def test_a_new_connection_of_a_process_keeps_the_locks_of_its_others(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/elastic.db")
    create(database)
    with database.begin():
        other_writer = [sys.executable, "-c", _OTHER_WRITER, str(tmp_path / "elastic.db")]
        for _ in range(2):
            told = subprocess.run(other_writer, capture_output=True, text=True, check=False).stderr
            assert "OperationalError: database is locked" in told
            assert database.query(lambda connection: connection.execute(text("SELECT 1")).scalar()) == 1
    database.close()


def _lose_next_commit(database: Database) -> Callable[[], int]:
    """Let the next commit succeed, but lose its reply with the connection."""
    lost: list[bool] = []

    def commit_and_vanish(connection: object) -> None:
        if not lost:
            lost.append(True)
            raw = connection.connection.dbapi_connection  # type: ignore[attr-defined]
            raw.commit()
            raw.close()

    event.listen(database.engine, "commit", commit_and_vanish)
    return lambda: len(lost)


CHANGES: dict[str, Callable[[Database, DagRun], object]] = {
    "queue": lambda database, run: queued(database, key_of(run, "new"), "n1"),
    "claim": lambda database, run: claimed(database, key_of(run, "queued"), "q1"),
    "finish": lambda database, run: finished(database, "r1", xcoms={"k": "1"}),
    "set": lambda database, run: transitions.set_state(
        database, key_of(run, "new"), TaskState.SKIPPED, expected=[None]
    ),
    "mark": lambda database, run: transitions.mark_success(database, [key_of(run, "new")]) == [key_of(run, "new")],
    "start": lambda database, run: transitions.start_run(database, "etl", run.run_id),
    "end": lambda database, run: transitions.set_run_state(database, "etl", run.run_id, RunState.FAILED),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_whose_commit_was_not_answered_is_known_to_be_ours(
    database: Database, metadata_url: str, change: str
) -> None:
    run = made_run(database, "new", "queued", "running")
    queued(database, key_of(run, "queued"), "q1")
    running(database, key_of(run, "running"), "r1")
    count = len(queries.events(database))
    unlucky = Database(metadata_url)
    database_time(unlucky)
    times_lost = _lose_next_commit(unlucky)
    assert CHANGES[change](unlucky, run) is True
    assert times_lost() == 1
    assert len(queries.events(database)) == count + 1
    unlucky.close()


@pytest.mark.parametrize("kind", [PostgresServer, MariaDbServer])
def test_a_change_waits_for_a_server_that_is_killed_and_started_again(
    kind: type[PostgresServer | MariaDbServer], request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("postgres_server" if kind is PostgresServer else "mariadb_server")  # skips without one
    with kind() as server:
        database = Database(server.url)
        create(database)
        key = key_of(made_run(database, "load"), "load")
        running(database, key, "a1")
        server.kill()
        answers: list[bool] = []
        waiting = threading.Thread(target=lambda: answers.append(finished(database, "a1")))
        waiting.start()
        server.start()
        waiting.join(60)
        assert answers == [True]
        row = queries.instance(database, key)
        assert row is not None
        assert row.state is TaskState.SUCCESS
        server.stop()
        impatient = Database(server.url, patience=0.0)
        with pytest.raises(DatabaseUnavailableError) as told:
            queries.instance(impatient, key)
        database.close()
    assert server.password not in str(told.value)
    assert str(told.value).count("\n") == 0


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_wrong_password_is_reported_at_once_and_not_shown(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server" if kind == "postgresql" else "mariadb_server")
    database = Database(server.url.replace(server.password, "hunter2-wrong"))
    with pytest.raises(DatabaseUnavailableError, match=r"elastic:\*\*\*@127.0.0.1") as told:
        database_time(database)
    assert "hunter2" not in str(told.value)
    assert "hunter2" not in repr(database)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hunter2", "cannot be read"),
        ("oracle://me:hunter2@host/db", "'oracle'"),
        ("sqlite:////proc/nothing/elastic.db", "cannot be opened"),
        ("postgresql://me:hunter2@127.0.0.1:1/db", "cannot be reached"),
        ("mysql://me:hunter2@127.0.0.1:1/db", "cannot be reached"),
    ],
)
def test_a_database_that_cannot_be_used_is_reported_in_one_sentence_without_the_password(url: str, words: str) -> None:
    with pytest.raises(ElasticError, match=words) as told:
        database_time(Database(url))
    assert "hunter2" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_connection_to_postgresql_notices_a_network_that_is_gone(postgres_server: PostgresServer) -> None:
    database = Database(postgres_server.url, timeout=3.0, statement_timeout=60.0)
    with database.read() as connection:
        raw: Any = connection.connection.dbapi_connection
        assert raw.info.get_parameters()["connect_timeout"] == "10"
        with socket.socket(fileno=os.dup(raw.fileno())) as used:
            assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "3s"
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "1min"
    with database.unlimited() as other, other.read() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "0"
    database.close()


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_the_url_may_set_the_time_limit_of_connections(scheme: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server" if scheme == "postgresql" else "mariadb_server")
    given: list[dict[str, Any]] = []
    database = Database(f"{server.url}{'&' if '?' in server.url else '?'}connect_timeout=7")
    event.listen(database.engine, "do_connect", lambda _, __, ___, values: given.append(dict(values)))
    database_time(database)
    assert int(given[0]["connect_timeout"]) == 7
    database.close()


def test_a_postgresql_statement_that_takes_too_long_is_reported(postgres_server: PostgresServer) -> None:
    database = Database(postgres_server.url, timeout=0.01, statement_timeout=0.05)
    with pytest.raises(DatabaseUnavailableError, match="took longer than its time limit"), database.read() as asked:
        asked.execute(text("SELECT pg_sleep(60)"))
    database.close()


def test_a_mariadb_server_that_stops_answering_is_noticed(mariadb_server: MariaDbServer) -> None:
    database = Database(mariadb_server.url, timeout=0.1, statement_timeout=1.0)
    with pytest.raises(DatabaseUnavailableError, match="cannot be reached"), database.read() as connection:
        connection.execute(text("SELECT SLEEP(60)"))
    database.close()


def test_a_server_that_accepts_connections_and_says_nothing_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"mysql://me:hunter2@127.0.0.1:{port}/db", timeout=0.1, statement_timeout=0.2)
        with pytest.raises(DatabaseUnavailableError, match="cannot be reached"):
            database_time(database)


def test_a_file_that_is_locked_for_too_long_is_reported(sqlite_database: Database) -> None:
    hasty = Database(f"sqlite:///{sqlite_database.path}", timeout=0.05)
    run = made_run(hasty, "load")
    with sqlite_database.begin(), pytest.raises(DatabaseBusyError, match=r"locked by other processes for 0.05 s"):
        queued(hasty, key_of(run, "load"), "a1")
    assert queued(hasty, key_of(run, "load"), "a1")
    hasty.close()


def test_a_statement_that_is_refused_leaves_nothing_of_its_transaction(database: Database) -> None:
    made_run(database, "load")

    def work(connection: object, _: bool) -> None:
        connection.execute(text("DELETE FROM task_instance"))  # type: ignore[attr-defined]
        connection.execute(text("SELECT nonsense FROM task_instance"))  # type: ignore[attr-defined]

    with pytest.raises(DatabaseError):
        database.write(work)
    (run,) = queries.runs(database)
    assert len(queries.instances(database, "etl", [run.run_id])) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 warns where there are threads
def test_processes_that_fork_use_the_database_at_the_same_time(database: Database) -> None:
    names = [f"{who}{number}" for who in ("parent", "child") for number in range(30)]
    run = made_run(database, *names)

    def work(who: str) -> bool:
        keys = [(key_of(run, name), f"u-{name}") for name in names if name.startswith(who)]
        return all(queued(database, key, uuid) and claimed(database, key, uuid) for key, uuid in keys)

    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        code = 1
        try:
            code = 0 if work("child") else 2
        finally:
            os._exit(code)
    assert work("parent")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert queries.state_counts(database, "etl", [run.run_id]) == {TaskState.RUNNING: 60}


def test_an_error_of_a_driver_is_reported_on_one_line_without_the_password() -> None:
    url = read_url("postgresql://me:hunter2@host/db")
    assert without_password("login\n  with hunter2 failed", url) == "login with *** failed"


def test_only_the_owner_may_read_the_file_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "made" / "elastic.db"
    before = os.umask(0)
    try:
        database = Database(f"sqlite:///{path}")
        create(database)
        made_run(database, "load")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    database.close()


@pytest.mark.parametrize(
    ("version", "mode"), [((3, 40, 1), "PERSIST"), ((3, 51, 2), "PERSIST"), ((3, 51, 3), "WAL"), ((4, 0, 0), "WAL")]
)
def test_wal_is_used_only_where_several_writers_cannot_damage_the_file(
    version: tuple[int, ...], mode: str, tmp_path: Path
) -> None:
    assert sqlite.journal_mode(tmp_path / "elastic.db", version) == mode


def test_a_file_that_others_hold_in_wal_mode_is_refused_where_that_is_not_safe(tmp_path: Path) -> None:
    path = tmp_path / "elastic.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (i)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM t").fetchall()
        database = Database(f"sqlite:///{path}", timeout=0.05)
        if sqlite.journal_mode(path) == "WAL":
            create(database)
        else:
            with pytest.raises(StoreError, match="WAL mode"):
                create(database)
    other.close()
    create(database)
    database.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "elastic.db"
    path.write_text("words, words, words\n" * 100)
    with pytest.raises(ElasticError, match=r"elastic.db is not a database"):
        database_time(Database(f"sqlite:///{path}"))
    assert path.read_text().startswith("words")


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.db.url.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"'psycopg', which .* `pip install 'elastic-dataflow\[postgres\]'`"):
        Database("postgresql://me:hunter2@host/db")
