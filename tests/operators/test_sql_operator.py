"""Tasks that run SQL and move rows."""

import datetime as dt
import logging
from pathlib import Path
from typing import Any

import pytest

import elastic.operators
from elastic.core.errors import UsageError
from elastic.dag import DAG
from elastic.dag.errors import DefinitionError, TemplateError
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.execute import execute
from elastic.dag.operator import BaseOperator
from elastic.hooks import MySqlHook, PostgresHook, SqlHook
from elastic.hooks.errors import StatementError
from elastic.operators import (
    FileToTableOperator,
    MySqlOperator,
    PostgresOperator,
    SqliteOperator,
    SqlOperator,
    SqlToFileOperator,
    SqlToSqlOperator,
)


@pytest.fixture
def here(database_url: str, monkeypatch: pytest.MonkeyPatch) -> SqlHook:
    """The connection `here`, each kind of database in turn, with an empty table of words."""
    monkeypatch.setenv("ELASTIC_CONN_HERE", database_url)
    hook = SqlHook("here")
    hook.run("drop table if exists moved; create table moved (id integer primary key, word varchar(100), day date)")
    return hook


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlHook:
    """The connection `there`, a SQLite file with a table of words."""
    monkeypatch.setenv("ELASTIC_CONN_THERE", f"sqlite:///{tmp_path}/there.db")
    hook = SqlHook("there")
    hook.run("create table words (id integer, word text, day text)")
    days = ["2016-02-21", "2016-02-22"]
    hook.insert_rows(
        "words", ((number, f'"{number}"; drop', days[number % 2]) for number in range(20)), ["id", "word", "day"]
    )
    return hook


def test_every_name_of_the_operators_leads_somewhere() -> None:
    assert dir(elastic.operators) == sorted(elastic.operators.__all__)
    assert all(callable(getattr(elastic.operators, name)) for name in dir(elastic.operators))
    with pytest.raises(AttributeError, match="no attribute 'OracleOperator'"):
        elastic.operators.OracleOperator  # noqa: B018


def test_a_sql_operator_runs_its_statements(here: SqlHook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    task = SqlOperator(
        task_id="fill",
        conn_id="here",
        sql="insert into moved (id, word) values (1, :word); update moved set id = 2",
        parameters={"word": "a; b"},
    )
    task.execute()
    assert here.get_records("select id, word from moved") == [(2, "a; b")]
    assert "Executing: insert into moved (id, word) values (1, :word); update moved set id = 2" in caplog.messages
    with pytest.raises(StatementError, match="insert into nowhere"):
        SqlOperator(task_id="fail", conn_id="here", sql="delete from moved; insert into nowhere values (1)").execute()
    assert here.get_records("select id from moved") == [(2,)]


def test_the_log_of_a_statement_does_not_hold_the_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELASTIC_CONN_HERE", f"sqlite:///file:{tmp_path}/a.db?uri=true&password=canary")
    caplog.set_level(logging.INFO)
    SqlOperator(task_id="a", conn_id="here", sql="select 'canary'").execute()
    assert "Executing: select '***'" in caplog.messages
    assert "canary" not in caplog.text


def test_operators_are_named_after_databases() -> None:
    assert SqliteOperator(task_id="a", sql="select 1").conn_id == "sqlite_default"
    assert PostgresOperator(task_id="a", sql="select 1").conn_id == "postgres_default"
    assert isinstance(PostgresOperator(task_id="a", sql="select 1").hook, PostgresHook)
    task = MySqlOperator(task_id="a", sql="select 1", mysql_dbid="local_mysql")
    assert repr(task.hook) == "<MySqlHook: local_mysql>"
    assert MySqlOperator(task_id="a", sql="select 1").conn_id == "mysql_default"
    assert MySqlOperator(task_id="a", sql="select 1", conn_id="other").conn_id == "other"
    assert str(task) == "<Task(MySqlOperator): a>"
    assert "sql" in task.template_fields and ".sql" in task.template_ext


@pytest.mark.parametrize("conn_id", [None, "", 5])
def test_a_task_without_a_connection_is_refused(conn_id: Any) -> None:
    with pytest.raises(DefinitionError, match="SqlOperator 'a' needs conn_id, the id of a connection"):
        SqlOperator(task_id="a", sql="select 1", conn_id=conn_id)


def test_a_task_made_as_in_the_tutorial_of_flux(mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_CONN_LOCAL_MYSQL", mariadb_url)

    class OwnMySqlOperator(BaseOperator):
        template_fields = ("sql",)

        def __init__(self, sql: str, mysql_dbid: str, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.hook = MySqlHook(mysql_dbid=mysql_dbid)
            self.sql = sql

        def execute(self, execution_date: Any) -> None:
            self.hook.run(self.sql)

    hook = MySqlHook(mysql_dbid="local_mysql")
    assert hook.get_records("select table_name from information_schema.tables where table_name = 'tutorial'") == []
    hook.run("create table tutorial (day date)")
    task = OwnMySqlOperator("insert into tutorial values ('{{ ds }}')", "local_mysql", task_id="test_task3")
    for day in ("2014-09-15", "2014-09-16"):
        attempt(task, day)
    assert hook.get_records("select * from tutorial order by day") == [(dt.date(2014, 9, 15),), (dt.date(2014, 9, 16),)]
    hook.run("drop table tutorial")


def test_statements_and_parameters_are_templates(here: SqlHook, tmp_path: Path) -> None:
    script = tmp_path / "fill.sql"
    script.write_text(
        "delete from moved where day = '{{ ds }}';\ninsert into moved (id, word, day) values (1, :word, :day)"
    )
    with DAG("sql", start_date=dt.datetime(2016, 2, 1, tzinfo=dt.UTC), template_searchpath=[str(tmp_path)]):
        task = SqlOperator(
            task_id="fill",
            conn_id="here",
            sql="fill.sql",
            parameters={"word": "{{ params.word }}", "day": "{{ ds }}"},
            params={"word": "'); drop table moved; --"},
        )
    for _ in range(2):
        attempt(task, "2016-02-21")
        assert here.get_records("select id, word from moved") == [(1, "'); drop table moved; --")]
    assert task.sql == "fill.sql", "an attempt works on a copy"
    with pytest.raises(TemplateError, match="sql"):
        attempt(SqlOperator(task_id="bad", conn_id="here", sql="delete from moved; {{ nothing }}"), "2016-02-21")
    assert here.get_records("select id from moved") == [(1,)], "nothing was executed"


def test_a_dag_names_the_connection_of_its_tasks() -> None:
    defaults = {"conn_id": "warehouse", "mysql_dbid": "local_mysql"}
    with DAG("sql", start_date=dt.datetime(2016, 2, 1, tzinfo=dt.UTC), default_args=defaults):
        assert SqlOperator(task_id="a", sql="select 1").conn_id == "warehouse"
        assert SqlOperator(task_id="b", sql="select 1", conn_id="other").conn_id == "other"
        assert MySqlOperator(task_id="c", sql="select 1").conn_id == "local_mysql"
        assert MySqlOperator(task_id="d", sql="select 1", mysql_dbid="other").conn_id == "other"
        assert MySqlOperator(task_id="e", sql="select 1", conn_id="other").conn_id == "other"


def attempt(task: BaseOperator, day: str) -> Any:
    return execute(task, build_context(task, task.attempt_info(day))).result


@pytest.mark.usefixtures("there")
def test_rows_of_a_query_are_copied_and_may_be_copied_again(here: SqlHook) -> None:
    def copied(**how: Any) -> int:
        sql = "select id, word, day from words where day = '2016-02-21'"
        connections = {"source_conn_id": "there", "target_conn_id": "here"}
        return SqlToSqlOperator(task_id="copy", sql=sql, table="moved", **connections, **how).execute()

    expected = [(number, f'"{number}"; drop') for number in range(0, 20, 2)]
    for _ in range(2):
        assert copied(key="id") == 10
        assert here.get_records("select id, word from moved order by id") == expected
    here.run("insert into moved (id) values (99)")
    for _ in range(2):
        assert copied(before="delete from moved where id < 50") == 10
        assert here.get_records("select id, word from moved order by id") == [*expected, (99, None)]
    with pytest.raises(StatementError, match="inserting into moved"):
        copied(before="delete from moved where id > 50")
    assert here.get_first("select count(*), max(id) from moved") == (11, 99), "the delete was undone"
    with pytest.raises(UsageError, match="has both key and before"):
        copied(key="id", before="delete from moved")


@pytest.mark.usefixtures("there")
def test_before_runs_also_where_there_are_no_rows(here: SqlHook) -> None:
    here.run("insert into moved (id) values (99)")
    sql = "select id, word, day from words where id > 99"
    task = SqlToSqlOperator(
        task_id="copy",
        sql=sql,
        table="moved",
        source_conn_id="there",
        target_conn_id="here",
        before="delete from moved",
    )
    assert task.execute() == 0
    assert here.get_records("select * from moved") == []


@pytest.mark.usefixtures("there")
def test_rows_go_into_a_file_and_from_a_file_into_a_table(here: SqlHook, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    out = SqlToFileOperator(task_id="out", sql="select id, word, day from words", path=path, conn_id="there")
    assert out.execute() == 20
    load = FileToTableOperator(task_id="in", path=path, table="moved", conn_id="here", before="delete from moved")
    for _ in range(2):
        assert load.execute() == 20
    assert here.get_first("select count(*), min(word) from moved") == (20, '"0"; drop')


@pytest.mark.usefixtures("there")
def test_a_query_that_fails_on_the_way_leaves_the_target_as_it_was(here: SqlHook) -> None:
    sql = "select case when id < 15 then id else abs(-9223372036854775807 - 1) end as id from words"
    task = SqlToSqlOperator(task_id="copy", sql=sql, table="moved", source_conn_id="there", target_conn_id="here")
    with pytest.raises(StatementError, match=r"the query .* on there .* failed \(integer overflow\)"):
        task.execute()
    assert here.get_records("select * from moved") == []


def test_rows_are_copied_within_one_database(here: SqlHook) -> None:
    here.insert_rows("moved", [(number, "x") for number in range(12_000)], ["id", "word"])
    sql = "select id + 12000 as id, word from moved where id < 12000 order by id"
    task = SqlToSqlOperator(
        task_id="copy", sql=sql, table="moved", key="id", source_conn_id="here", target_conn_id="here"
    )
    for _ in range(2):
        assert task.execute() == 12_000
        assert here.get_first("select count(*), max(id) from moved") == (24_000, 23_999)
