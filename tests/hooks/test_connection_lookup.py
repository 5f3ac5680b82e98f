"""Lookup of a connection by its id."""

import pickle
import sys
import types

import pytest

from elastic.config.secret_mask import masked
from elastic.hooks import Connection, ConnectionNotDefinedError, MySqlHook, SqlHook
from elastic.hooks import connection_lookup as lookup


class Database(types.ModuleType):
    """Stands for the connections of the metadata database."""

    def connection(self, conn_id: str) -> Connection | None:
        return Connection(conn_id=conn_id, kind="sqlite") if conn_id == "kept" else None


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metadata database with the connection `kept`."""
    monkeypatch.setitem(sys.modules, "elastic.db.lookup", Database("elastic.db.lookup"))


@pytest.mark.usefixtures("database")
def test_the_environment_comes_before_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lookup.connection("kept").kind == "sqlite"
    monkeypatch.setenv("ELASTIC_CONN_KEPT", "mysql://ada:pw@h/d")
    assert lookup.connection("kept") == Connection.of_url("mysql://ada:pw@h/d", "kept")
    assert lookup.connection("kept").conn_id == "kept"


@pytest.mark.parametrize(
    ("conn_id", "variable"),
    [("a", "ELASTIC_CONN_A"), ("my-db.one", "ELASTIC_CONN_MY_DB_ONE"), ("\u00e9", "ELASTIC_CONN__")],
)
def test_an_id_has_a_variable(conn_id: str, variable: str) -> None:
    assert lookup.variable_of(conn_id) == variable


@pytest.mark.usefixtures("database")
def test_an_unknown_id_is_not_defined() -> None:
    with pytest.raises(
        ConnectionNotDefinedError, match="connection 'other' isn't defined; set ELASTIC_CONN_OTHER"
    ) as caught:
        lookup.connection("other")
    assert isinstance(caught.value, LookupError)


def test_a_hook_is_made_without_its_connection_and_asks_for_it_when_used() -> None:
    hook = MySqlHook(mysql_dbid="nobody_knows")
    assert repr(hook) == "<MySqlHook: nobody_knows>"
    with pytest.raises(ConnectionNotDefinedError, match="isn't defined"):
        hook.get_records("select 1")
    answer = hook.test_connection()
    assert not answer
    assert "connection 'nobody_knows' isn't defined" in answer.message


def test_a_hook_by_id_carries_no_password_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_CONN_HERE", "sqlite:///file::memory:?uri=true&password=canary")
    hook = SqlHook("here")
    assert hook.test_connection()
    assert hook.connection.extra["password"] == "canary"
    assert b"canary" not in pickle.dumps(hook)
    monkeypatch.setenv("ELASTIC_CONN_HERE", "sqlite:///other")
    assert pickle.loads(pickle.dumps(hook)).connection.schema == "other"


def test_what_was_looked_up_is_taken_out_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_CONN_HERE", "mysql://ada:not-for-logs-1@h/d")
    lookup.connection("here")
    SqlHook(url="mysql://ada:not-for-logs-2@h/d")
    assert masked("with not-for-logs-1 and not-for-logs-2 and not-for-logs-3") == "with *** and *** and not-for-logs-3"


def test_a_hook_finds_its_connection_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_CONN_HERE", "sqlite://")
    hook = SqlHook("here")
    hook.run("create table words (id integer)")
    assert hook.get_records("select count(*) from words") == [(0,)], "a database in memory lives as long as its hook"
    assert repr(hook) == "<SqlHook: here (sqlite:///)>"
