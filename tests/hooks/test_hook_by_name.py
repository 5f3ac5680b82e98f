"""Hooks by the names of their databases, and messages about missing parts."""

import socket
import subprocess
import sys
import traceback
import uuid
from pathlib import Path
from typing import Any

import pytest

import elastic.hooks
from elastic.core.errors import UsageError
from elastic.hooks import Connection, DuckDbHook, MySqlHook, PostgresHook, SqlHook, SqliteHook
from elastic.hooks.errors import MissingPackageError, StatementError, UnreachableError
from elastic.testing import MariaDbServer, PostgresServer


def test_every_name_of_the_package_leads_somewhere() -> None:
    assert dir(elastic.hooks) == sorted(elastic.hooks.__all__)
    assert all(callable(getattr(elastic.hooks, name)) for name in elastic.hooks.__all__)
    with pytest.raises(AttributeError, match="no attribute 'OracleHook'"):
        elastic.hooks.OracleHook  # noqa: B018


def test_importing_the_hooks_imports_no_driver() -> None:
    code = (
        "import sys\n"
        "from elastic.hooks import SqlHook, PostgresHook, MySqlHook, SqliteHook, DuckDbHook\n"
        "SqlHook('a'), PostgresHook('a'), MySqlHook(mysql_dbid='a'), SqliteHook(path='a'), DuckDbHook(path='a')\n"
        "heavy = {'sqlalchemy', 'psycopg', 'pymysql', 'duckdb', 'pandas', 'polars', 'ray'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_hooks_of_files_take_a_path(tmp_path: Path) -> None:
    for kind in (SqliteHook, DuckDbHook):
        if kind is DuckDbHook:
            pytest.importorskip("duckdb")
        path = tmp_path / f"words of {kind.__name__}.db"
        kind(path=str(path)).run("create table words (id integer); insert into words values (7)")
        assert path.exists()
        assert kind(path=str(path)).get_records("select id from words") == [(7,)]
        memory = kind(path=":memory:")
        memory.run("create table words (id integer)")
        assert memory.get_records("select id from words") == []


def test_the_mysql_hook_is_spelled_out_or_named(mariadb_server: MariaDbServer) -> None:
    server = mariadb_server
    spelled = MySqlHook(f"127.0.0.1:{server.port}", server.login, server.password, "elastic")
    named = MySqlHook(url=server.url)
    for hook in (spelled, named):
        assert hook.get_first("select database(), current_user()") == ("elastic", f"{server.login}@127.0.0.1")
        assert server.password not in repr(hook)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"mysql_dbid": "a", "host": "h"},
        {"mysql_dbid": "a", "url": "mysql://h"},
        {"host": "h", "url": "mysql://h"},
        {"login": "ada"},
        {"host": "h:x"},
    ],
)
def test_the_mysql_hook_wants_one_way_to_its_server(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"MySqlHook wants|the host 'h:x' cannot be read"):
        MySqlHook(**arguments)


def test_one_class_works_on_any_url(postgres_url: str) -> None:
    assert MySqlHook(url="sqlite://").get_first("select 1") == (1,)
    for hook in (
        SqlHook(url=postgres_url),
        PostgresHook(url=postgres_url),
        MySqlHook(mysql_dbid=Connection.of_url(postgres_url)),
    ):
        assert str(hook.get_first("select version()")).startswith("('PostgreSQL")


def test_the_postgres_hook_has_a_connection_of_its_own_name() -> None:
    assert repr(PostgresHook()) == "<PostgresHook: postgres_default>"


@pytest.mark.parametrize("arguments", [{}, {"conn_id": "a", "url": "sqlite://"}])
def test_a_hook_wants_one_of_id_and_url(arguments: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="SqlHook needs either the id of a connection or a url"):
        SqlHook(**arguments)


@pytest.mark.parametrize("conn_id", ["", 5])
def test_an_id_is_a_text(conn_id: Any) -> None:
    with pytest.raises(UsageError, match="a hook needs the id of a connection, not"):
        SqlHook(conn_id)


def test_vacuum_and_its_kind_run_outside_a_transaction(postgres_url: str, tmp_path: Path) -> None:
    for hook in (PostgresHook(url=postgres_url), SqliteHook(path=str(tmp_path / "a.db"))):
        hook.run("create table vacuumed (id integer)")
        hook.run("vacuum", autocommit=True)
        hook.run("drop table vacuumed")


def test_a_large_result_of_postgresql_is_not_fetched_before_it_is_asked_for(postgres_url: str) -> None:
    query = "select 1 / (100000 - n) as n from generate_series(1, 100000) as n"
    with PostgresHook(url=postgres_url).stream(query) as result:
        assert next(result.rows()) == (0,)
    with pytest.raises(StatementError, match="division by zero"):
        PostgresHook(url=postgres_url).to_json(query)


def test_values_of_other_types_are_stored(postgres_url: str, mariadb_url: str) -> None:
    number = uuid.UUID("6a2f41a3-c54c-fce8-32d2-0324e1c32e22")
    for url in ("sqlite://", postgres_url, mariadb_url):
        hook = SqlHook(url=url)
        hook.run("drop table if exists typed; create table typed (id char(36), data varchar(99), yes boolean)")
        hook.insert_rows("typed", [(number, {"a": [1, None]}, True)], ["id", "data", "yes"])
        hook.run(
            "insert into typed values (:id, :data, :yes)", {"id": str(number), "data": {"a": [1, None]}, "yes": True}
        )
        assert hook.get_records("select * from typed") == [(str(number), '{"a": [1, null]}', True)] * 2


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules makes Python refuse the import.
    for name in ("pandas", "polars", "psycopg", "pymysql", "duckdb"):
        monkeypatch.setitem(sys.modules, name, None)
    hook = SqlHook(url="sqlite://")
    for name, method in (("pandas", hook.get_pandas_df), ("polars", hook.get_polars_df)):
        with pytest.raises(MissingPackageError, match=rf"needs the package '{name}'.* 'elastic-dataflow\[{name}\]'"):
            method("select 1 as one")
    drivers = {"postgresql": ("psycopg", "postgres"), "mysql": ("pymysql", "mysql"), "duckdb": ("duckdb", "duckdb")}
    for kind, (package, extra) in drivers.items():
        with pytest.raises(MissingPackageError, match=rf"'{package}', .*\[{extra}\]") as caught:
            SqlHook(url=f"{kind}://ada:canary@h/d").get_first("select 1")
        assert isinstance(caught.value, ImportError)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nosuch://ada:canary@h/d", "is of kind 'nosuch', which is not a database that SQLAlchemy knows"),
        ("sqlite+nosuch://ada:canary@h/d", "is of kind 'sqlite\\+nosuch', which is not a database"),
        ("sqlite://ada:canary@h/d", "cannot be used"),
    ],
)
def test_a_connection_that_leads_to_no_database_is_refused(url: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        SqlHook(url=url).get_first("select 1")
    assert "canary" not in str(caught.value)


def test_a_server_that_is_away_or_refuses_is_named_without_the_password(
    postgres_server: PostgresServer, mariadb_server: MariaDbServer
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        for server in (postgres_server, mariadb_server):
            wrong = SqlHook(url=server.url.replace(server.password, "canary"))
            away = SqlHook(url=server.url.replace(str(server.port), str(nobody.getsockname()[1])))
            with pytest.raises(UnreachableError, match=r"authentication failed|Access denied") as caught:
                wrong.run("select 1")
            assert "canary" not in "".join(traceback.format_exception(caught.value)) + repr(wrong)
            for hook in (wrong, away):
                answer = hook.test_connection()
                assert not answer
                assert "canary" not in answer.message and server.password not in answer.message
                assert hook.connection.masked_url in answer.message and "\n" not in answer.message
