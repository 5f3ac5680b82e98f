"""Rows of a query in ranges of a column: workers read them, each row once, also those without a value."""

import datetime as dt
import math
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from source_samples import as_sent, assert_goes_on_anywhere, chunks, entries
from sqlalchemy import Column, Date, Integer, MetaData, String, Table, create_engine, select, text
from sqlalchemy.pool import NullPool

import elastic
from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.stages.sources import PartitionedSqlSource

ROWS: list[tuple[Any, ...]] = [(n, n / 8, f"w{n}") for n in range(-50, 50)] + [
    (None, None, "nobody"),
    (None, 1.0, "null"),
]


def made(folder: Path, *statements: str, rows: Any = ()) -> str:
    path = folder / "rows.db"
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.executemany("insert into t values (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return made(tmp_path, "create table t (id integer, x real, word text)", rows=ROWS)


def source(url: str, query: Any = "select * from t", **options: Any) -> PartitionedSqlSource:
    return PartitionedSqlSource(query, url, **{"column": "id", "partitions": 7, **options})


def words(found: list[dict[str, Any]]) -> list[str]:
    return sorted(row["word"] for row in found)


@pytest.mark.parametrize(
    ("column", "partitions"), [*(("id", count) for count in (1, 2, 3, 7, 99, 100, 101, 300)), ("x", 3), ("x", 101)]
)
def test_each_row_is_in_one_range(url: str, column: str, partitions: int) -> None:
    found = chunks(source(url, column=column, partitions=partitions))
    assert words([row for chunk in found for row in chunk]) == sorted(word for *_, word in ROWS)
    assert len(found) <= partitions
    if partitions <= 10:
        assert len(found) == partitions
        assert max(map(len, found)) - min(map(len, found)) < 20


def test_a_run_reads_the_ranges_and_can_be_verified(url: str) -> None:
    flow = elastic.read_sql("select * from t", url, partition_on="id", partitions=5)
    result = flow.map(lambda row: row["id"] or 0).aggregate("sum").run(cluster="inline")
    assert (result.value, result.entries, result.chunks) == (-50, len(ROWS), 5)
    assert elastic.verify(result.run_id, flow.map(lambda row: row["id"] or 0).aggregate("sum"), recompute=1.0).ok


def test_ranges_are_cut_again_by_the_limits_of_the_first_time(url: str) -> None:
    assert_goes_on_anywhere(source(url), source(url))
    pieces = list(source(url).cut())
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("insert into t values (1000000, 0, 'late')"))
    assert list(source(url).cut(as_sent(pieces[3].position))) == pieces[3:]
    assert list(source(url).cut()) != pieces


def test_a_query_may_have_parameters_a_comment_and_a_semicolon(url: str) -> None:
    query = "select id, word from t where x > :least -- all\n;"
    found = entries(source(url, query, parameters={"least": 5}))
    assert words(found) == sorted(word for _, x, word in ROWS if x is not None and x > 5)


def test_statements_are_typed_and_strings_are_bound(tmp_path: Path) -> None:
    days = [(n, f"2026-01-{n:02}", "it's") for n in range(1, 31)]
    url = made(tmp_path, "create table t (id integer, day date, word text)", rows=days)
    table = Table("t", MetaData(), Column("id", Integer), Column("day", Date), Column("word", String))
    statement = select(table.c.day, table.c.word).where(table.c.word == "it's").order_by(table.c.day)
    found = entries(source(url, statement, column="day", partitions=4))
    assert sorted(row["day"] for row in found) == [dt.date(2026, 1, n) for n in range(1, 31)]
    typed = text("select day, word from t").columns(day=Date, word=String)
    assert len(entries(source(url, typed, column="day"))) == 30
    with pytest.raises(UsageError, match="'2026-01-01' of type str; name a column of finite numbers or of times"):
        list(source(url, column="day").cut())


def test_a_column_without_values_and_an_empty_table_are_one_chunk(tmp_path: Path) -> None:
    url = made(tmp_path, "create table t (id integer, x real, word text)", rows=[(None, 1, "a"), (None, 2, "b")])
    assert [len(chunk) for chunk in chunks(source(url))] == [2]
    assert chunks(source(url, "select * from t where x > 5")) == [[]]


@pytest.mark.parametrize("low", [-(2**62), 0])
def test_wide_and_narrow_numbers_are_divided(tmp_path: Path, low: int) -> None:
    rows = [(low, 0, "low"), (2**62, 0, "high"), (2**62 - 1, 0, "next")]
    url = made(tmp_path, "create table t (id integer, x real, word text)", rows=rows)
    assert words(entries(source(url, partitions=3))) == ["high", "low", "next"]


def test_infinity_cannot_be_divided(tmp_path: Path) -> None:
    url = made(tmp_path, "create table t (id real, x real, word text)", rows=[(math.inf, 0, "a"), (1, 0, "b")])
    with pytest.raises(UsageError, match="has the value inf of type float"):
        list(source(url).cut())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"partition_on": "id"}, "partition_on= and partitions= together"),
        ({"partitions": 2}, "partition_on= and partitions= together"),
        ({"partition_on": "id", "partitions": 2, "chunk_size": 5}, "no chunk_size="),
        ({"partition_on": "id", "partitions": 0}, "partitions must be a positive integer, not 0"),
        ({"partition_on": "", "partitions": 2}, "partition_on must be the name of a column"),
        ({"partition_on": 1, "partitions": 2}, "partition_on must be the name of a column"),
        ({"partition_on": "id", "partitions": 2, "url": "sqlite://"}, "database in memory"),
        ({"partition_on": "id", "partitions": 2, "query": " "}, "query must be SQL text"),
        ({"partition_on": "no", "partitions": 2, "query": select(Column("id"))}, "no column 'no'; its columns are id"),
        ({"partition_on": "id", "partitions": 2, "parameters": [1]}, "parameters must be a dict"),
    ],
)
def test_arguments_that_cannot_be_are_named(url: str, arguments: dict[str, Any], problem: str) -> None:
    given = {"query": "select * from t", "url": url, **arguments}
    with pytest.raises(UsageError, match=problem):
        elastic.read_sql(**given)


def test_errors_of_the_database_are_one_sentence(url: str, tmp_path: Path) -> None:
    with pytest.raises((SourceError, UsageError), match="nope"):
        list(source(url, column="nope").cut())
    with pytest.raises(SourceNotFoundError):
        list(source(f"sqlite:///{tmp_path}/no.db").cut())


@pytest.mark.parametrize("server", ["postgres_url", "mariadb_url"])
def test_servers_read_each_row_once(server: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(server)
    rows = [
        {"id": n, "at": dt.datetime(2026, 1, 1 + n % 28), "amount": Decimal(n) / 4, "x": n / 3}  # noqa: DTZ001
        for n in range(50)
    ]
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("drop table if exists ranges"))
        connection.execute(
            text("create table ranges (id integer, at timestamp null, amount decimal(10, 2), x double precision)")
        )
        connection.execute(text("insert into ranges values (:id, :at, :amount, :x)"), rows)
        connection.execute(text("insert into ranges values (99, null, null, null)"))
    for column in ("id", "at", "amount", "x"):
        flow = elastic.read_sql("select * from ranges", url, partition_on=column, partitions=4)
        result = flow.map(lambda row: row["id"]).aggregate("collect").run(cluster="inline")
        assert sorted(result.value) == [*range(50), 99], column
        assert result.chunks == 4
