"""Records that a flow writes to a table of a database: each once, whatever happens, and nothing half-written."""

import datetime as dt
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import elastic
from elastic.aggregators import Collect
from elastic.core.contracts.record_sink import SinkOwner
from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.core.model.written import Written
from elastic.hooks import SqlHook
from elastic.persistence.written_tables.sql_sink import SqlSink
from elastic.testing import MariaDbServer, PostgresServer

WORDS = "create table words (n integer primary key, name varchar(40) not null, price double precision default 7)"

QUICK = {"collect_interval": 1e-9, "commit_interval": 1e-9, "target_call_seconds": 1e-9}


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return sqlite_at(tmp_path / "words.db")
    server: PostgresServer | MariaDbServer = request.getfixturevalue(
        "postgres_server" if request.param == "postgresql" else "mariadb_server"
    )
    return server.create_database()


def sqlite_at(path: Path) -> str:
    path.touch()
    return f"sqlite:///{path}"


def with_table(url: str, *statements: str) -> SqlHook:
    hook = SqlHook(url=url)
    hook.run(list(statements or (WORDS,)))
    return hook


def record(number: int) -> dict[str, Any]:
    return {"n": number, "name": f"number {number}"} | ({"price": number / 2} if number % 2 else {})


def records(count: int = 1000) -> elastic.Flow:
    return elastic.from_range(count, chunk_size=30).map(record)


def run(flow: elastic.Flow, **options: Any) -> elastic.Result:
    return flow.run(**{"cluster": "inline", **options})


def rows(hook: SqlHook, table: str = "words", order: str = "n") -> list[tuple[Any, ...]]:
    return hook.get_records(f"select * from {table} order by {order}")


def expected(count: int = 1000) -> list[tuple[Any, ...]]:
    return [(number, f"number {number}", number / 2 if number % 2 else 7) for number in range(count)]


def tables(hook: SqlHook) -> set[str]:
    from sqlalchemy import create_engine, inspect

    engine = create_engine(hook.connection.url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


@pytest.mark.parametrize("key", [None, "n"])
def test_every_record_is_a_row_once(url: str, key: str | None, cluster: str) -> None:
    hook = with_table(url)
    result = run(records().write_sql(url, "words", key=key), cluster=cluster, workers=2)
    assert rows(hook) == expected()
    written = result.value
    assert isinstance(written, Written)
    assert (len(written), written.records, written.table, written.paths) == (1000, 1000, "words", [])
    assert tables(hook) == {"words", "elastic_commit"}
    claim = hook.get_records("select run_id, step, records from elastic_commit where part = ''")
    assert claim == [(result.run_id, 0, 1000)]
    verified = elastic.verify(result.run_id)
    assert verified.ok
    assert "the rows in table 'words'" in verified.steps[0].notes[0]
    kept = elastic.result_of(result.run_id, records().write_sql(url, "words", key=key))
    assert set(kept.value.files) == set(written.files)


@pytest.mark.parametrize("key", [None, "n"])
def test_verify_compares_the_commit_table_with_the_run(url: str, key: str | None) -> None:
    hook = with_table(url)
    flow = records().write_sql(url, "words", key=key)
    result = run(flow)
    assert elastic.verify(result.run_id, flow).ok
    for change, said in (
        ("update elastic_commit set records = records + 1 where part = ''", "has 1,001 records for the run instead"),
        ("update elastic_commit set committed_at = null", "does not say that the run has published its rows"),
        ("delete from elastic_commit", "does not say that the run has published its rows"),
        ("drop table elastic_commit", "does not say that the run has published its rows"),
    ):
        hook.run(change)
        verified = elastic.verify(result.run_id, flow)
        assert not verified.ok
        assert said in str(verified)


def test_verify_finds_a_part_that_the_commit_table_does_not_have(url: str) -> None:
    hook = with_table(url)
    flow = records().write_sql(url, "words")
    result = run(flow)
    assert isinstance(result.value, Written)
    name = result.value.files[0].name
    hook.run(f"update elastic_commit set part = 'other' where part = '{name}'")
    verified = str(elastic.verify(result.run_id, flow))
    assert f"has no row for the part {name}" in verified
    assert "has a part other that the run has not committed" in verified


def test_a_write_and_a_result_come_of_one_pass(url: str) -> None:
    hook = with_table(url)
    result = run(records(50).write_sql(url, "words").aggregate(Collect()))
    assert (len(result.value), rows(hook)) == (50, expected(50))
    assert result.written is not None
    assert str(result.written).startswith("50 records in table 'words' of ")


def test_a_second_write_with_the_same_keys_replaces_rows_and_keeps_other_columns(url: str) -> None:
    hook = with_table(url)
    run(records(10).write_sql(url, "words", key="n"))
    flow = elastic.from_iterable([{"n": 1, "name": "first"}, {"n": 1, "name": "one"}, {"n": 99, "name": "new"}])
    run(flow.write_sql(url, "words", key=["n"]))
    assert rows(hook) == [
        (0, "number 0", 7),
        (1, "one", 0.5),
        *expected(10)[2:],
        (99, "new", 7),
    ]


def test_a_write_without_a_key_adds_to_the_rows_that_are_there(url: str) -> None:
    hook = with_table(url, WORDS, "insert into words values (-1, 'mine', 1)")
    run(records(10).write_sql(url, "words"))
    assert rows(hook) == [(-1, "mine", 1), *expected(10)]


def test_one_row_that_the_table_refuses_keeps_out_all_until_it_is_gone(url: str) -> None:
    hook = with_table(url, WORDS, "insert into words values (500, 'mine', 1)")
    flow = records().write_sql(url, "words")
    with pytest.raises(ElasticError, match=r"table 'words' of .* cannot be used \(.*resume the run"):
        run(flow)
    assert rows(hook) == [(500, "mine", 1)]
    hook.run("delete from words")
    elastic.resume("last", flow, cluster="inline")
    assert rows(hook) == expected()
    assert tables(hook) == {"words", "elastic_commit"}


def test_an_upsert_of_a_column_that_is_no_key_is_refused(url: str) -> None:
    with_table(url)
    with pytest.raises(UsageError, match="no primary key and no unique index over name"):
        run(records().write_sql(url, "words", key="name"))
    with pytest.raises(UsageError, match="has no column 'nam' for key; did you mean 'name'"):
        run(records().write_sql(url, "words", key="nam"))


def test_a_view_that_takes_no_rows_is_refused_before_the_run(url: str, home: Path) -> None:
    with_table(url, WORDS, "create view total as select count(*) as n from words")
    for key in (None, "n"):
        with pytest.raises(UsageError, match=r"table 'total' of .* is a view that takes no rows \(.*\); name a table"):
            run(records(3).write_sql(url, "total", key=key))
    assert not list(home.glob("runs/*"))


def test_a_view_that_takes_rows_is_written(url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite inserts no rows into views")
    hook = with_table(url, WORDS, "create view those as select n, name from words")
    run(elastic.from_range(3).map(lambda n: {"n": n, "name": "x"}).write_sql(url, "those"))
    assert hook.get_records("select count(*) from words") == [(3,)]


def test_nanoseconds_of_frames_are_not_cut_off(tmp_path: Path) -> None:
    url = sqlite_at(tmp_path / "times.db")
    with_table(url, "create table times (at timestamp)")
    frame = pl.DataFrame({"at": pl.Series([1], dtype=pl.Datetime("ns"))})
    with pytest.raises(ElasticError, match=r"the column 'at' of type .* has nanoseconds"):
        run(elastic.from_range(1).map_frames(lambda _: frame).write_sql(url, "times"))


def test_mariadb_updates_no_row_by_another_key(mariadb_server: MariaDbServer) -> None:
    url = mariadb_server.create_database()
    hook = with_table(
        url,
        "create table two (a integer primary key, b integer unique)",
        "create table counted (id integer auto_increment primary key, name varchar(10) unique, x integer)",
        "create table old (n integer primary key) engine=MyISAM",
    )
    flow = elastic.from_iterable([{"a": 1, "b": 2}])
    with pytest.raises(UsageError, match="has another unique key, b, by which the database would update"):
        run(flow.write_sql(url, "two", key="a"))
    run(elastic.from_iterable([{"name": "a", "x": 1}, {"name": "a", "x": 2}]).write_sql(url, "counted", key="name"))
    assert hook.get_records("select name, x from counted") == [("a", 2)]
    with pytest.raises(ElasticError, match="'id' of table 'counted': the database counts it"):
        run(elastic.from_iterable([{"id": 1, "name": "b"}]).write_sql(url, "counted", key="name"))
    with pytest.raises(UsageError, match="has the engine MyISAM, which has no transactions"):
        run(elastic.from_range(2).map(lambda n: {"n": n}).write_sql(url, "old"))


def test_odd_names_are_quoted(url: str) -> None:
    mark = "`" if url.startswith("mysql") else '"'
    odd = [f"a{mark}b", "50 % of :it", "%s", "select", "Größe ?", "a'b", "two\\three"]
    quoted = [mark + name.replace(mark, mark * 2) + mark for name in odd]
    from sqlalchemy import create_engine

    engine = create_engine(url)
    with engine.begin() as connection:
        for table in (quoted[0], quoted[1]):
            columns = ", ".join(f"{name} integer" for name in quoted[1:])
            connection.exec_driver_sql(
                f"create table {table} ({columns}, primary key ({quoted[2]}))",
                execution_options={"no_parameters": True},
            )
    flow = elastic.from_range(3).map(lambda n: dict.fromkeys(odd[1:], n))
    for key in (None, "%s"):
        for table, name in zip(odd[:2], quoted, strict=False):
            run(flow.write_sql(url, (table,), key=key))
            with engine.connect() as connection:
                text = f"select * from {name} order by 1"
                found = connection.exec_driver_sql(text, execution_options={"no_parameters": True}).fetchall()
            assert [tuple(row) for row in found] == [(n,) * len(odd[1:]) for n in range(3)]
    engine.dispose()


def test_a_table_of_a_schema_is_written(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    hook = with_table(url, 'create schema "my.own"', WORDS.replace("words", '"my.own".words'), "create schema other")
    run(records(5).write_sql(url, ("my.own", "words")))
    assert rows(hook, '"my.own".words') == expected(5)
    assert hook.get_first("select records from \"my.own\".elastic_commit where part = ''") == (5,)
    with pytest.raises(UsageError, match=r"table 'other.words' of .* does not exist; create it"):
        run(records(5).write_sql(url, "other.words"))


def wrong_records() -> Iterator[tuple[Any, str]]:
    yield {"n": 1, "nam": "a"}, "table 'words' has no column 'nam'; did you mean 'name'"
    yield {"n": 1, 7: "a"}, "table 'words' has no column 7; use n, name, price"
    yield {"n": 1}, "a record has no 'name', which table 'words' requires"
    yield {}, "an empty dict is no row"
    yield {"n": 1, "name": None}, "None does not fit column 'name' of table 'words': it takes no NULL"
    yield {"n": "1", "name": "a"}, "str '1' does not fit column 'n' of table 'words': it takes whole numbers"
    yield {"n": 1.5, "name": "a"}, "float 1.5 does not fit"
    yield {"n": 2**70, "name": "a"}, "it takes numbers from -"
    yield {"n": 1, "name": 5}, "int 5 does not fit column 'name' of table 'words': it takes strings"
    yield {"n": 1, "name": "\ud800"}, "half of a surrogate pair has no UTF-8"
    yield {"n": 1, "name": "a", "price": "7"}, "it takes floats"
    yield {"n": 1, "name": "a", "price": 10**400}, "it takes floats of 64 bits"
    yield 7, "write_sql takes dicts from column to value, got int 7"
    yield ["n", 1], "write_sql takes dicts"


@pytest.mark.parametrize("key", [None, "n"])
def test_a_record_that_does_not_fit_is_a_failed_record(url: str, key: str | None) -> None:
    hook = with_table(url)
    wrong = list(wrong_records())
    good = [{"n": 100, "name": "é\u2028'\\"}, {"n": True, "name": ""}, {"n": 3.0, "name": "\U0001f409", "price": None}]
    flow = elastic.from_iterable([*good, *(each for each, _ in wrong)], chunk_size=4).map(lambda each: each)
    result = run(flow.write_sql(url, "words", key=key), on_error="dead-letter")
    assert result.errors == len(wrong)
    assert rows(hook) == [(1, "", 7), (3, "\U0001f409", None), (100, "é\u2028'\\", 7)]
    said = " ".join(str(letter) for letter in elastic.dead_letters(result.run_id))
    for _, text in wrong:
        assert text in said or re.search(text, said), text
    with pytest.raises(ElasticError, match="has no column 'nam'"):
        run(elastic.from_iterable([wrong[0][0]]).write_sql(url, "words", key=key))


def test_frames_are_written_row_by_row(url: str) -> None:
    hook = with_table(url)
    flow = records(100).map_frames(lambda frame: frame.filter(pl.col("n") % 2 == 1))
    assert len(run(flow.write_sql(url, "words")).value) == 50
    assert rows(hook) == expected(100)[1::2]


KINDS = {
    "sqlite": "create table kinds (n integer primary key, yes boolean, small smallint, amount numeric, ratio real, "
    "word text, data blob, day date, moment timestamp, clock time, made json, odd)",
    "postgresql": "create table kinds (n integer primary key, yes boolean, small smallint, amount numeric(30, 2), "
    "ratio double precision, word text, data bytea, day date, moment timestamp, clock time, made jsonb, odd uuid, "
    "zoned timestamptz, short varchar(3), tiny real, many integer[])",
    "mariadb": "create table kinds (n integer primary key, yes boolean, small smallint unsigned, amount numeric(30, 2),"
    " ratio double, word longtext, data blob, day date, moment datetime(6), clock time, made json, "
    "zoned timestamp(6) null, short varchar(3), kind enum('a', 'b'))",
}

PARIS = dt.timezone(dt.timedelta(hours=2))
NOON = dt.datetime(2026, 7, 1, 12, 0, 0, 5)  # noqa: DTZ001  # most columns have no zone


def kind_of(url: str) -> str:
    name = url.partition(":")[0].partition("+")[0]
    return "mariadb" if name == "mysql" else name


def fitting(kind: str) -> dict[str, Any]:
    """Return values for most columns, each with its value in the database afterwards."""
    text = kind == "sqlite"
    return {
        "yes": (True, 1 if kind != "postgresql" else True),
        "small": (Decimal(7), 7),
        "amount": (Decimal("12345678901.25"), 12345678901.25 if text else Decimal("12345678901.25")),
        "ratio": (3, 3.0),
        "word": (dt.datetime(2026, 1, 2, tzinfo=PARIS), "2026-01-02T00:00:00+02:00"),
        "data": (bytearray(b"\0\xff"), b"\0\xff"),
        "day": ("2026-07-01", "2026-07-01" if text else dt.date(2026, 7, 1)),
        "moment": (NOON.replace(tzinfo=PARIS), "2026-07-01 10:00:00.000005" if text else NOON.replace(hour=10)),
        "clock": (dt.time(7, 8, 9), {"sqlite": "07:08:09", "mariadb": dt.timedelta(hours=7, minutes=8, seconds=9)}),
        "made": ({"é": [1, None]}, {"é": [1, None]} if kind == "postgresql" else '{"é": [1, null]}'),
    }


@pytest.mark.parametrize("key", [None, "n"])
def test_values_of_many_types_arrive_as_they_are(url: str, key: str | None) -> None:
    kind = kind_of(url)
    hook = with_table(url, KINDS[kind])
    given = {name: values[0] for name, values in fitting(kind).items()}
    wanted = {name: values[1] for name, values in fitting(kind).items()}
    wanted["clock"] = wanted["clock"].get(kind, dt.time(7, 8, 9))
    extra = {
        "sqlite": {"odd": (float("inf"), float("inf"))},
        "postgresql": {
            "odd": ("12345678-1234-5678-1234-567812345678", uuid.UUID(int=0x12345678123456781234567812345678)),
            "zoned": (NOON.replace(tzinfo=PARIS), NOON.replace(tzinfo=PARIS)),
            "ratio": (float("-inf"), float("-inf")),
            "many": ([1, 2], [1, 2]),
        },
        "mariadb": {"zoned": (NOON.replace(tzinfo=PARIS), NOON.replace(hour=10)), "kind": ("b", "b")},
    }[kind]
    for name, (value, found) in extra.items():
        given[name], wanted[name] = value, found
    flow = elastic.from_iterable([{"n": 1, **given}, {"n": 2, **dict.fromkeys(given)}])
    run(flow.write_sql(url, "kinds", key=key))
    names = list(wanted)
    first, second = hook.get_records(f"select {', '.join(names)} from kinds order by n")
    if kind == "mariadb" and "zoned" in names:  # the session of the hook shows it in the server's zone
        [(zoned,)] = hook.get_records(
            "select cast(convert_tz(zoned, @@session.time_zone, '+00:00') as char) from kinds where n = 1"
        )
        first = tuple(
            NOON.replace(hour=10) if name == "zoned" else value for name, value in zip(names, first, strict=True)
        )
        assert zoned == "2026-07-01 10:00:00.000005"
    assert dict(zip(names, first, strict=True)) == wanted
    assert set(second) == {None}


def misfits(kind: str) -> Iterator[tuple[str, Any]]:
    yield from [("yes", "yes"), ("small", 2**64), ("small", float("nan")), ("ratio", "x"), ("data", "text")]
    yield from [("day", NOON), ("day", "tomorrow"), ("moment", dt.date(2026, 1, 1)), ("clock", NOON), ("made", {1, 2})]
    yield from [("made", {1: "a", "1": "b"}), ("made", [{"a": {None: 1}}])]
    yield from [("word", b"bytes"), ("amount", Decimal("nan") if kind != "postgresql" else "1"), ("word", "\udc00")]
    if kind == "sqlite":
        yield from [("ratio", float("nan")), ("odd", float("nan")), ("odd", 2**63)]
        yield from [("amount", Decimal("1234567890.1234567")), ("amount", 2**63)]
    if kind == "postgresql":
        yield from [("word", "a\0b"), ("made", "a\0b"), ("zoned", NOON), ("short", "four"), ("tiny", 1e39)]
        yield from [("amount", Decimal(10) ** 28), ("odd", "no uuid"), ("small", 32768)]
    if kind == "mariadb":
        yield from [("ratio", float("inf")), ("ratio", float("nan")), ("zoned", NOON), ("short", "four"), ("kind", "c")]
        yield from [("small", -1), ("data", b"x" * 65536), ("amount", 10**28)]


def test_a_value_that_would_be_changed_silently_is_a_failed_record(url: str) -> None:
    kind = kind_of(url)
    hook = with_table(url, KINDS[kind])
    bad = [{"n": number, name: value} for number, (name, value) in enumerate(misfits(kind))]
    flow = elastic.from_iterable([{"n": -1}, *bad], chunk_size=5).map(lambda each: each)
    result = run(flow.write_sql(url, "kinds"), on_error="skip")
    assert result.errors == len(bad)
    assert hook.get_records("select n from kinds") == [(-1,)]


KILLS = """
import json, os, signal, sys
import sqlalchemy.dialects.sqlite, psycopg, pymysql
from sqlalchemy import event
from sqlalchemy.engine import Engine
import elastic
from test_written_tables import QUICK, records

url, home, key = sys.argv[1], sys.argv[2], sys.argv[3] or None

def in_child(work):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def flow():
    return records(100).write_sql(url, "words", key=key)

def killed(number, folder):
    left = [number]
    def count(*arguments):
        # Statements of the write, and commits, which have no statement.
        left[0] -= len(arguments) == 1 or "elastic_" in arguments[2]
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
    flow().run(cluster="inline", home=folder, **QUICK)

def resumed(folder):
    try:
        elastic.resume("last", flow(), cluster="inline", home=folder)
    except elastic.ElasticError as error:
        if "no run" not in str(error) and "before its first" not in str(error) and "is complete" not in str(error):
            raise
        if "is complete" not in str(error):
            flow().run(cluster="inline", home=folder)

def empty():
    from elastic.hooks import SqlHook
    SqlHook(url=url).run("delete from words")

def check():
    from test_written_tables import expected, rows, tables
    from elastic.hooks import SqlHook
    hook = SqlHook(url=url)
    assert rows(hook) == expected(100), len(rows(hook))
    left = {name for name in tables(hook)} - {"words", "elastic_commit"}
    assert not left or in_doubt, left

moments = 0
number = int(sys.argv[4])
while True:
    folder = f"{home}/{number}"
    code = in_child(lambda: killed(number, folder))
    if code != -signal.SIGKILL:
        assert code == 0, code
        break
    moments += 1
    in_doubt = False
    assert in_child(lambda: resumed(folder)) == 0, number
    assert in_child(check) == 0, number
    assert in_child(empty) == 0
    number += int(sys.argv[5])
print(json.dumps(moments))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("key", ["", "n"])
def test_a_master_killed_at_any_statement_loses_and_doubles_no_row(url: str, key: str, tmp_path: Path) -> None:
    with_table(url)
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here.parents[1]}{os.pathsep}{here}"}
    # A write with a key has fewer statements.
    moments = ("2", "4") if key else ("3", "7")
    command = [sys.executable, "-c", KILLS, url, str(tmp_path / "homes"), key, *moments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.splitlines()[-1]) >= 3


def claimed(url: str, epoch: int = 1, run_id: str = "20260101-000000-aa") -> Any:
    publication = SqlSink(url, "words").publication(SinkOwner(run_id, 0, epoch))
    publication.prepare([])
    publication.begin([])
    return publication


def parts_of(publication: Any, *numbers: int) -> list[Any]:
    buffer = publication.writer.buffer()
    buffer.chunks.append((0, 1))
    buffer.add_many([{"n": number, "name": str(number)} for number in numbers])
    return list(publication.writer.output().write(buffer))


def test_rows_of_lost_attempts_never_reach_the_table_and_a_second_publication_changes_nothing(url: str) -> None:
    hook = with_table(url)
    publication = claimed(url)
    lost, kept = parts_of(publication, 1, 2), parts_of(publication, 3, 4)
    assert lost != kept
    assert rows(hook) == []
    for _ in range(2):
        publication.publish(kept)
        assert rows(hook) == [(3, "3", 7), (4, "4", 7)]
    again = claimed(url, epoch=2)
    again.publish(kept)
    assert [row[0] for row in rows(hook)] == [3, 4]
    more = claimed(url, epoch=3)
    added = parts_of(more, 5)
    more.publish([*kept, *added])
    assert [row[0] for row in rows(hook)] == [3, 4, 5]
    assert tables(hook) == {"words", "elastic_commit"}


def test_an_earlier_master_can_neither_write_nor_publish(url: str) -> None:
    hook = with_table(url)
    first = claimed(url)
    parts = parts_of(first, 1)
    second = claimed(url, epoch=2)
    for use in (lambda: parts_of(first, 2), lambda: first.publish(parts), lambda: first.prepare(parts)):
        with pytest.raises(StoreError, match="belongs to a later master"):
            use()
    second.publish(parts)
    assert [row[0] for row in rows(hook)] == [1]


def test_staged_rows_that_are_gone_stop_the_publication(url: str) -> None:
    hook = with_table(url)
    publication = claimed(url)
    parts = parts_of(publication, 1, 2)
    [staging] = tables(hook) - {"words", "elastic_commit"}
    hook.run(f"delete from {staging} where n = 1")
    with pytest.raises(StoreError, match="would get 1 of 2 rows"):
        publication.publish(parts)
    assert rows(hook) == []
    hook.run(f"drop table {staging}")
    with pytest.raises(StoreError, match="are missing; start a new run"):
        again = SqlSink(url, "words").publication(SinkOwner("20260101-000000-aa", 0, 2))
        again.prepare(parts)
        again.begin(parts)


def fragile(each: dict[str, Any]) -> dict[str, Any]:
    if each["n"] == 507:
        raise ValueError("bad 507")
    return each


@pytest.mark.parametrize("key", [None, "n"])
def test_a_failed_run_is_resumed_and_redriven(url: str, key: str | None) -> None:
    hook = with_table(url)
    with pytest.raises(ElasticError, match="bad 507"):
        run(records().map(fragile).write_sql(url, "words", key=key), **QUICK)
    if key is None:
        assert rows(hook) == []
    elastic.resume("last", records().write_sql(url, "words", key=key), allow_code_change=True, cluster="inline")
    assert rows(hook) == expected()
    hook.run("delete from words")
    failed = run(records().map(fragile).write_sql(url, "words", key=key), on_error="dead-letter")
    assert len(rows(hook)) == 999
    elastic.redrive(failed.run_id, records().write_sql(url, "words", key=key), cluster="inline")
    assert rows(hook) == expected()
    assert tables(hook) == {"words", "elastic_commit"}


def test_a_run_that_fails_without_a_folder_leaves_no_staging_table(url: str) -> None:
    hook = with_table(url)
    with pytest.raises(ElasticError, match="bad 507"):
        run(records().map(fragile).write_sql(url, "words"), persist=False, **QUICK)
    assert tables(hook) == {"words", "elastic_commit"}
    assert hook.get_records("select * from elastic_commit") == []


@pytest.mark.parametrize("which", ["postgres_server", "mariadb_server"])
def test_no_password_is_shown(which: str, request: pytest.FixtureRequest, home: Path) -> None:
    server: PostgresServer | MariaDbServer = request.getfixturevalue(which)
    url = server.create_database()
    with_table(url)
    flow = records(10).write_sql(url, "words")
    result = run(flow)
    shown = f"{result} {result!r} {result.value} {flow!r} {flow.step()!r} {elastic.runs()}"
    wrong = url.replace(server.password, "canary-wrong")
    refused = [
        (wrong, r"cannot be used \(.*; check the URL"),
        (url.replace(f":{server.port}", ":1"), r"cannot be used \(.*; check the URL"),
    ]
    for each, said in refused:
        with pytest.raises(UsageError, match=said) as caught:
            run(records(10).write_sql(each, "words"))
        shown += f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert server.password not in shown
    assert "canary-wrong" not in shown
    for path in home.rglob("*"):
        if path.is_file():
            assert server.password.encode() not in path.read_bytes()
    assert len(list((home / "runs").iterdir())) == 1


def test_a_connection_is_named_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sqlite_at(tmp_path / "words.db")
    hook = with_table(url)
    monkeypatch.setenv("ELASTIC_CONN_WAREHOUSE", url)
    run(records(10).write_sql("warehouse", "words"))
    assert rows(hook) == expected(10)
    with pytest.raises(ElasticError, match="ELASTIC_CONN_STOREHOUSE"):
        run(records(10).write_sql("storehouse", "words"))


def test_a_sqlite_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.db does not exist on this host; create"):
        run(records().write_sql(f"sqlite:///{tmp_path}/no.db", "words"))
    assert list(tmp_path.glob("no.db")) == []
    (tmp_path / "text.db").write_text("no database" * 1000)
    with pytest.raises(UsageError, match="file is not a database"):
        run(records().write_sql(f"sqlite:///{tmp_path}/text.db", "words"))
    url = sqlite_at(tmp_path / "words.db")
    with pytest.raises(UsageError, match=r"table 'words' of sqlite:///.* does not exist; create it"):
        run(records().write_sql(url, "words"))
    with_table(url)
    with pytest.raises(UsageError, match="reads and writes"):
        run(elastic.read_sql("select 1 as n", url).write_sql(url, "words"))
    if os.geteuid() != 0:
        (tmp_path / "words.db").chmod(0o400)
        with pytest.raises(UsageError, match="readonly"):
            run(records().write_sql(url, "words"))


def test_a_full_disk_suspends_the_run_which_goes_on_when_there_is_room(tmp_path: Path) -> None:
    import resource

    url = sqlite_at(tmp_path / "words.db")
    hook = with_table(url, "create table words (n integer, name text)")
    flow = elastic.from_range(100, chunk_size=10).map(lambda n: {"n": n, "name": "x" * 100_000}).write_sql(url, "words")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(ElasticError, match=r"cannot be used \((disk I/O error|database or disk is full)\)"):
            run(flow)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert rows(hook) == []
    elastic.resume("last", flow, cluster="inline")
    assert [row[0] for row in rows(hook)] == list(range(100))


def wrong_calls() -> Iterator[tuple[Callable[[elastic.Flow], object], str]]:
    url = "sqlite:////tmp/x.db"
    yield lambda flow: flow.write_sql(7, "words"), "expected the URL of a database"  # type: ignore[arg-type]
    yield lambda flow: flow.write_sql("", "words"), "expected the URL of a database"
    yield lambda flow: flow.write_sql(url, ""), "expected 'table', 'schema.table'"
    yield lambda flow: flow.write_sql(url, "a.b.c"), "expected 'table', 'schema.table'"
    yield lambda flow: flow.write_sql(url, "a\0"), "expected 'table', 'schema.table'"
    yield lambda flow: flow.write_sql(url, "elastic_commit"), "Elastic keeps its own rows"
    yield lambda flow: flow.write_sql(url, "t", key=[]), "expected the name of a column"
    yield lambda flow: flow.write_sql(url, "t", key=["n", "n"]), "expected the name of a column"
    yield lambda flow: flow.write_sql("oracle://u:canary@h/d", "t"), "the URL names 'oracle'"
    yield lambda flow: flow.write_sql("postgresql://u:can@ary@h/d", "t"), "may be read in more than one way"
    yield lambda flow: flow.write_sql("://u:canary@h/d", "t"), "is not a database URL"
    yield lambda flow: flow.write_sql("sqlite://", "t"), "needs the path of a file"
    yield lambda flow: flow.write_sql("sqlite:///:memory:", "t"), "needs the path of a file"
    yield lambda flow: flow.write_sql("mysql+nodriver://u:canary@h/d", "t").run(cluster="inline"), "nodriver"
    yield lambda flow: flow.write_sql("mysql+mysqlconnector://u:canary@h/d", "t").run(cluster="inline"), "pip install"
    yield lambda flow: flow.aggregate("sum").write_sql(url, "t"), "cannot follow aggregate"
    yield lambda flow: flow.write_sql(url, "t").map(len), "map cannot follow write_sql"
    yield lambda flow: flow.write_sql(url, "t").write_sql(url, "t"), "writes already by write_sql"


@pytest.mark.parametrize(("use", "said"), [*wrong_calls()])
def test_a_wrong_call_is_refused_in_one_sentence(use: Callable[[elastic.Flow], object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        use(elastic.from_iterable([{"n": 1}]))
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)
