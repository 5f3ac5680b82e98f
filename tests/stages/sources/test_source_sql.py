"""Rows of a query, from real databases: SQLite, and PostgreSQL where it is installed."""

import datetime as dt
import sqlite3
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from source_samples import chunks, entries
from sqlalchemy import URL, Column, Date, Integer, MetaData, Numeric, Table, create_engine, make_url, select, text
from sqlalchemy.pool import NullPool

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.stages.sources import SqlSource
from elastic.testing import PostgresServer

ROWS = [(1, "one"), (2, None), (3, 'Bobby"; DROP TABLE words'), (4, "v\u00eder"), (5, "")]
DICTS = [{"id": number, "word": word} for number, word in ROWS]


@pytest.fixture
def words(tmp_path: Path) -> str:
    """The URL of a SQLite database with one table."""
    path = tmp_path / "words.db"
    connection = sqlite3.connect(path)
    connection.execute("create table words (id integer primary key, word text)")
    connection.executemany("insert into words values (?, ?)", ROWS)
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> URL:
    """The URL of a PostgreSQL database with the same table."""
    url = make_url(postgres_server.create_database())
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("create table words (id integer primary key, word text)"))
        connection.execute(text("insert into words values (:id, :word)"), DICTS)
    return url


QUERY = "select id, word from words order by id"


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 6])
def test_a_row_is_a_dict_and_chunks_hold_chunk_size_rows(words: str, chunk_size: int) -> None:
    expected = [DICTS[start : start + chunk_size] for start in range(0, 5, chunk_size)]
    assert chunks(SqlSource(QUERY, words, chunk_size=chunk_size)) == expected


def test_parameters_are_bound_and_not_pasted(words: str) -> None:
    query = "select id from words where word = :word or id > :least"
    parameters = {"word": 'Bobby"; DROP TABLE words', "least": 4}
    assert entries(SqlSource(query, words, parameters=parameters)) == [{"id": 3}, {"id": 5}]
    assert len(entries(SqlSource(QUERY, words))) == 5


def test_a_query_without_rows_has_no_chunks(words: str) -> None:
    assert chunks(SqlSource("select id from words where id > 9", words)) == []


def test_a_url_object_and_a_statement_are_taken_as_well(words: str) -> None:
    table = Table("words", MetaData(), Column("id", Integer), Column("word"))
    source = SqlSource(select(table.c.word).where(table.c.id == 4), make_url(words))
    assert entries(source) == [{"word": "v\u00eder"}]


def test_a_statement_with_types_gives_dates_and_decimals(tmp_path: Path) -> None:
    path = tmp_path / "typed.db"
    connection = sqlite3.connect(path)
    connection.execute("create table t (day date, amount numeric)")
    connection.execute("insert into t values ('2016-02-21', 12.5)")
    connection.commit()
    connection.close()
    plain = "select day, amount from t"
    typed = text(plain).columns(day=Date, amount=Numeric(10, 2))
    assert entries(SqlSource(plain, f"sqlite:///{path}")) == [{"day": "2016-02-21", "amount": 12.5}]
    (row,) = entries(SqlSource(typed, f"sqlite:///{path}"))
    assert row == {"day": dt.date(2016, 2, 21), "amount": Decimal("12.50")}
    assert isinstance(row["amount"], Decimal)


def test_rows_are_located_by_their_number(words: str) -> None:
    source = SqlSource(QUERY, words, chunk_size=3)
    assert source.reader().locate(list(source.cut())[1].reference, 1) == "entry 4"


def test_a_query_is_one_shot_and_goes_on_only_where_it_stands(words: str) -> None:
    source = SqlSource(QUERY, words, chunk_size=2)
    assert not source.replayable
    assert source.expected_chunks() is None
    first = next(source.cut())
    (following, last) = source.cut((2,))
    assert [first.entries, following.entries, last.entries] == [DICTS[:2], DICTS[2:4], DICTS[4:]]
    assert [piece.position for piece in (first, following, last)] == [(0,), (2,), (4,)]
    with pytest.raises(SourceError, match="is at row 5 and cannot continue at row 2; start a new run"):
        source.cut((2,))
    assert entries(source) == DICTS


def test_closing_a_cut_lets_go_of_the_database(words: str) -> None:
    pieces = SqlSource(QUERY, words, chunk_size=2).cut()
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    connection = sqlite3.connect(words.removeprefix("sqlite:///"), timeout=0)
    connection.execute("drop table words")
    connection.close()


def test_a_database_file_that_does_not_exist_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(SourceNotFoundError, match="does not exist") as caught:
        SqlSource("select 1", f"sqlite:///{path}").cut()
    assert str(path) in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("select other from words", r"failed after 0 rows \(no such column: other\)"),
        ("selec id", r"failed after 0 rows \(near \"selec\": syntax error\)"),
        ("select :missing", "failed after 0 rows .*missing"),
    ],
)
def test_a_query_that_the_database_refuses_is_told_in_one_sentence(words: str, query: str, problem: str) -> None:
    with pytest.raises(SourceError, match=problem) as caught:
        list(SqlSource(query, words).cut())
    message = str(caught.value)
    assert message.startswith(f"the query on {words} failed")
    assert message.endswith("check the query and the database.")
    assert "\n" not in message


def test_a_query_that_fails_on_the_way_says_after_how_many_rows(words: str) -> None:
    query = "select case when id < 4 then id else abs(-9223372036854775807 - 1) end as id from words"
    pieces = SqlSource(query, words, chunk_size=2).cut()
    assert next(pieces).entries == [{"id": 1}, {"id": 2}]
    with pytest.raises(SourceError, match=r"failed after 2 rows \(integer overflow\)"):
        next(pieces)


def test_a_query_that_returns_no_rows_or_equal_names_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="returns no rows; pass a SELECT"):
        list(SqlSource("create table other (id integer)", words).cut())
    with pytest.raises(UsageError, match="has several columns named 'id'; rename them with AS"):
        list(SqlSource("select a.id, b.id from words a join words b on a.id = b.id", words).cut())


def test_the_manifest_of_a_query_does_not_hold_the_password(words: str) -> None:
    url = words.replace("sqlite:///", "sqlite:///file:")
    source = SqlSource(QUERY, f"{url}?password=secret&uri=true", parameters={"a": 1}, chunk_size=7)
    described = source.describe()
    assert described.pop("url").endswith("/words.db?password=%2A%2A%2A&uri=true")
    assert described == {"kind": "sql", "query": QUERY, "parameters": {"a": "1"}, "chunk_size": 7}
    assert entries(SqlSource(QUERY, f"{url}?password=secret&uri=true")) == DICTS


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("not a url", "'not a url' is not a database URL; write it like"),
        (None, "'None' is not a database URL"),
        ("postgresql://user:secret@host:port/name", r"'postgresql://user:\*\*\*@host:port/name' is not a database URL"),
        ("nosuch://user:secret@host/name", r"nosuch://user:\*\*\*@host/name names the database 'nosuch'"),
        ("redshift://user:secret@host/name", "or install the package sqlalchemy-redshift|needs the package"),
        ("sqlite+nosuch://user:secret@host/name", r"user:\*\*\*@host/name names the database 'sqlite\+nosuch'"),
        ("mysql+oursql://user:secret@h/n?ssl_password=secret", "which SQLAlchemy does not know|needs the package"),
    ],
)
def test_a_url_that_cannot_be_used_is_named_without_its_password(url: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        SqlSource("select 1", url)
    assert "secret" not in str(caught.value)
    assert "secret" not in str(caught.value.__context__ and caught.value.__cause__)


@pytest.mark.parametrize("query", ["", "  ", None, 5, b"select 1"])
def test_a_query_must_be_text_or_a_statement(query: Any) -> None:
    with pytest.raises(UsageError, match="query must be SQL text or a SQLAlchemy statement"):
        SqlSource(query, "sqlite://")


@pytest.mark.parametrize("parameters", ["id=1", [("id", 1)], 5])
def test_parameters_must_be_a_dict(parameters: Any) -> None:
    with pytest.raises(UsageError, match="parameters must be a dict from name to value, not"):
        SqlSource("select 1", "sqlite://", parameters=parameters)


def test_rows_of_postgresql_are_streamed_in_chunks(postgres: URL) -> None:
    assert chunks(SqlSource(QUERY, postgres, chunk_size=2)) == [DICTS[:2], DICTS[2:4], DICTS[4:]]
    large = SqlSource(
        "select generate_series(1, :count) as n", postgres, parameters={"count": 50_000}, chunk_size=20_000
    )
    read = chunks(large)
    assert [len(chunk) for chunk in read] == [20_000, 20_000, 10_000]
    assert sum(row["n"] for chunk in read for row in chunk) == 50_000 * 50_001 // 2


def test_a_large_result_of_postgresql_is_not_fetched_before_it_is_asked_for(postgres: URL) -> None:
    query = "select 1 / (100000 - n) as n from generate_series(1, 100000) as n"
    pieces = SqlSource(query, postgres, chunk_size=10).cut()
    assert len(next(pieces).entries or []) == 10
    pieces.close()  # type: ignore[attr-defined]


def test_types_of_postgresql_arrive_as_python_values(postgres: URL) -> None:
    query = """select date '2016-02-21' as day, timestamptz '2016-02-21 07:44:46+00' as at, 12.50::numeric as amount,
        '6a2f41a3-c54c-fce8-32d2-0324e1c32e22'::uuid as id, '\\x00ff'::bytea as raw, '{"a": [1]}'::jsonb as json,
        array[1, 2] as many, null as nothing, true as yes"""
    (row,) = entries(SqlSource(text(query.replace(":numeric", "\\:numeric").replace("::", "\\:\\:")), postgres))
    assert row == {
        "day": dt.date(2016, 2, 21),
        "at": dt.datetime(2016, 2, 21, 7, 44, 46, tzinfo=dt.UTC),
        "amount": Decimal("12.50"),
        "id": uuid.UUID("6a2f41a3-c54c-fce8-32d2-0324e1c32e22"),
        "raw": b"\x00\xff",
        "json": {"a": [1]},
        "many": [1, 2],
        "nothing": None,
        "yes": True,
    }


def test_a_postgresql_server_that_refuses_is_named_without_the_password(postgres: URL) -> None:
    wrong = postgres.set(password="wrong-password")
    with pytest.raises(SourceError, match=r"failed after 0 rows .*password authentication failed") as caught:
        list(SqlSource(QUERY, wrong).cut())
    assert "wrong-password" not in str(caught.value) + str(SqlSource(QUERY, wrong).describe())
    assert f"elastic:***@127.0.0.1:{postgres.port}/{postgres.database}" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match=r"relation \"nothing\" does not exist"):
        list(SqlSource("select * from nothing", postgres).cut())
