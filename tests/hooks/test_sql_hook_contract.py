"""Contract of all SQL hooks, on SQLite, PostgreSQL, MariaDB and DuckDB."""

import copy
import datetime as dt
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hook_samples import DATA, ROWS, WIDE, WORDS, all_words, hook_on, hook_on_words
from sqlalchemy import column, select, table

from elastic.core.errors import UsageError
from elastic.hooks import SqlHook
from elastic.hooks.errors import HookError, StatementError

INJECTIONS = [
    "words; drop table words",
    'words"; drop table words; --',
    "words`; drop table words; #",
    "words) values (1, 'x'); --",
    "words --",
    "words/**/",
    "a.b.c.d",
    "words.",
    ".words",
    "",
    "1words",
    "words\n",
    "wor ds",
    "w" * 129,
    None,
    5,
]


@pytest.fixture
def hook(database_url: str) -> SqlHook:
    """A hook on each kind of database in turn."""
    return hook_on(database_url)


@pytest.fixture
def words(database_url: str) -> SqlHook:
    """A hook on each kind of database in turn, with a table of unusual words."""
    return hook_on_words(database_url)


def test_get_records_gives_a_list_of_rows(words: SqlHook) -> None:
    assert all_words(words) == ROWS
    assert words.get_records("select id from words where id = :id", {"id": 2}) == [(2,)]
    assert words.get_records("select id from words where id > 99") == []


def test_get_first_gives_one_row_or_none(words: SqlHook) -> None:
    assert words.get_first("select id, word from words order by id") == ROWS[0]
    assert words.get_first("select id from words where id > :least", {"least": 99}) is None


def test_run_commits_and_counts_rows(words: SqlHook) -> None:
    changed = words.run("update words set word = 'x' where id <= 2")
    assert changed in (0, 2), "DuckDB does not tell how many rows it changed"
    again = SqlHook(url=words.connection.url)
    assert again.get_records("select id from words where word = 'x' order by id") == [(1,), (2,)]


def test_run_takes_several_statements_as_one_transaction(hook: SqlHook) -> None:
    hook.run(f"{WORDS}; -- a comment; with a semicolon\ninsert into words values (1, 'a;b'); /* ; */ ;\n")
    hook.run(["insert into words values (2, 'c')", "delete from words where id = 1"])
    assert all_words(hook) == [(2, "c")]
    with pytest.raises(StatementError, match="insert into nowhere values"):
        hook.run("insert into words values (3, 'd'); insert into nowhere values (1)")
    assert all_words(hook) == [(2, "c")]


def test_a_table_that_was_made_in_a_failed_script_is_gone(hook: SqlHook) -> None:
    with pytest.raises(StatementError):
        hook.run(f"{WORDS}; insert into nowhere values (1)")
    if hook.connection.backend == "mysql":
        assert all_words(hook) == [], "MySQL commits by itself at every change of a table"
    else:
        with pytest.raises(StatementError):
            all_words(hook)


def test_parameters_are_bound_and_serve_all_statements(hook: SqlHook) -> None:
    hook.run(WORDS)
    script = "insert into words values (:id, :word); insert into words values (:id + 1, :word)"
    for number, word in enumerate(DATA):
        hook.run(script, {"id": number * 2, "word": word})
    assert [word for _, word in all_words(hook)] == [word for word in DATA for _ in range(2)]
    assert hook.get_records("select id from words where word = :word", {"word": DATA[0]}) == [(0,), (1,)]


def test_a_text_without_parameters_is_sent_as_it_stands(words: SqlHook) -> None:
    assert words.get_first("select '100 %', ' :it', '%s', '?', '10:30'") == ("100 %", " :it", "%s", "?", "10:30")
    assert words.get_records("select id from words where word like '%students%'") == [(1,)]


def test_a_statement_of_sqlalchemy_does_as_well(words: SqlHook) -> None:
    query = select(column("word")).select_from(table("words")).where(column("id") == 10)
    if words.connection.backend != "duckdb":  # its dialect expects strings
        assert words.get_records(query) == [(DATA[9],)]


def test_get_pandas_df_gives_a_frame_with_names(words: SqlHook) -> None:
    pandas = pytest.importorskip("pandas")
    frame = words.get_pandas_df("select id, word from words where id < :most order by id", {"most": 4})
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["id", "word"]
    assert list(frame.itertuples(index=False, name=None)) == ROWS[:3]
    assert list(words.get_pandas_df("select id, word from words where id > 99").columns) == ["id", "word"]


def test_get_polars_df_gives_a_frame_with_names(words: SqlHook) -> None:
    polars = pytest.importorskip("polars")
    frame = words.get_polars_df("select id, word from words order by id")
    assert isinstance(frame, polars.DataFrame)
    assert frame.columns == ["id", "word"]
    assert frame.rows() == ROWS
    assert words.get_polars_df("select id, word from words where id > 99").columns == ["id", "word"]


def test_to_json_gives_an_array_of_objects_with_iso_dates(words: SqlHook) -> None:
    assert json.loads(words.to_json("select id, word from words order by id")) == [
        {"id": number, "word": word} for number, word in ROWS
    ]
    assert json.loads(words.to_json("select id from words where id > 99")) == []
    words.run(WIDE)
    words.insert_rows("wide", [(1, dt.date(2016, 2, 29), Decimal("0.10"))], ["id", "day", "amount"])
    (wide,) = json.loads(words.to_json("select id, day, amount, moment from wide"))
    assert (wide["id"], wide["day"], wide["amount"]) == (1, "2016-02-29", 0.1)


def test_insert_rows_takes_dicts_and_sequences_as_they_come(hook: SqlHook) -> None:
    hook.run(WORDS)
    assert hook.insert_rows("words", ({"word": str(number), "id": number} for number in range(2500))) == 2500
    assert hook.insert_rows("words", [[2500, "x"], (2501, None)], columns=("id", "word")) == 2
    assert hook.insert_rows("words", []) == 0
    assert hook.get_first("select count(*), max(id) from words") == (2502, 2501)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"id": 3, "word": "a"}, {"id": 4}], "row 2 differs from the columns in word"),
        ([{"id": 3, "word": "a"}, {"id": 4, "word": "b", "more": 1}], "row 2 differs from the columns in more"),
        ([[3, "a"]], "need `columns`"),
        ([{"id": 3, "word": "a"}, [4]], "row 2 has 1 values for 2 columns"),
        ([{"id": 3, "word": "a"}, 4], "row 2 is int; a row is a dict or a list"),
    ],
)
def test_rows_of_a_wrong_shape_are_named_and_none_is_kept(hook: SqlHook, rows: Any, problem: str) -> None:
    hook.run(WORDS)
    for keep in (lambda: hook.insert_rows("words", rows), lambda: hook.upsert_rows("words", rows, "id")):
        with pytest.raises(UsageError, match=problem):
            keep()
    assert all_words(hook) == []


def test_a_row_that_is_there_twice_undoes_the_insert(hook: SqlHook) -> None:
    hook.run(WORDS)
    with pytest.raises(StatementError, match="inserting into words on"):
        hook.insert_rows("words", [(1, "a"), (2, "b"), (1, "c")], ["id", "word"])
    assert all_words(hook) == []


def test_upsert_rows_twice_is_the_same_as_once(hook: SqlHook) -> None:
    hook.run(WORDS)
    rows = [{"id": number % 700, "word": f"{DATA[0]} {number}"} for number in range(2100)]
    for _ in range(2):
        assert hook.upsert_rows("words", rows, key="id") == 2100
        assert all_words(hook) == [(number, f"{DATA[0]} {number + 1400}") for number in range(700)]
    hook.upsert_rows("words", [(0, None), (700, "new")], key=("id",), columns=("id", "word"))
    assert all_words(hook)[0] == (0, None)
    assert all_words(hook)[-1] == (700, "new")
    hook.upsert_rows("words", [{"id": 700}, {"id": 701}], key="id")
    assert all_words(hook)[-2:] == [(700, "new"), (701, None)]
    assert hook.upsert_rows("words", [], key="id") == 0


def test_upsert_rows_wants_a_unique_key(hook: SqlHook) -> None:
    hook.run("create table wide (id integer, part varchar(20), word varchar(20), unique (id, part))")
    rows = [{"id": 1, "part": "a", "word": "x"}, {"id": 1, "part": "b", "word": "y"}]
    for _ in range(2):
        hook.upsert_rows("wide", rows, key=["part", "id"])
    assert hook.get_records("select id, part, word from wide order by part") == [(1, "a", "x"), (1, "b", "y")]
    with pytest.raises((StatementError, UsageError)):
        hook.upsert_rows("wide", rows, key=["word"])
    with pytest.raises(UsageError, match="the key 'other' is not among the columns id, part, word"):
        hook.upsert_rows("wide", rows, key=["other"])
    assert hook.get_first("select count(*) from wide") == (2,)


def test_words_of_the_language_may_name_tables_and_columns(hook: SqlHook, tmp_path: Path) -> None:
    quote = "`" if hook.connection.backend == "mysql" else '"'
    hook.run(f"drop table if exists {quote}order{quote}")
    hook.run(f"create table {quote}order{quote} ({quote}select{quote} integer primary key, {quote}From{quote} text)")
    hook.insert_rows("order", [{"select": 1, "From": "a"}])
    hook.upsert_rows("order", [{"select": 1, "From": "b"}, {"select": 2, "From": "c"}], key="select")
    path = tmp_path / "order.csv"
    path.write_text("select,From\n3,d\n")
    hook.load_csv(path, "order")
    assert hook.get_records(f"select * from {quote}order{quote} order by 1") == [(1, "b"), (2, "c"), (3, "d")]
    hook.run(f"drop table {quote}order{quote}")


def test_a_name_that_is_no_name_is_refused_by_every_helper(words: SqlHook, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("id,word\n99,x\n")
    for name in INJECTIONS:
        attempts = uses_of(words, name, path, tmp_path / "header.csv")
        assert len(attempts) == 9
        for number, attempt in enumerate(attempts):
            with pytest.raises(UsageError):
                attempt()
                pytest.fail(f"{name!r} was taken by helper {number}")
    assert all_words(words) == ROWS


def uses_of(hook: SqlHook, name: Any, good: Path, bad: Path) -> list[Callable[[], int]]:
    """Return every way to use a name."""
    quoted = str(name or "").replace('"', '""')
    bad.write_text(f'id,"{quoted}"\n99,x\n')
    row = [(99, "x")]
    return [
        lambda: hook.insert_rows(name, row, ["id", "word"]),
        lambda: hook.upsert_rows(name, row, "id", ["id", "word"]),
        lambda: hook.load_csv(good, name),
        lambda: hook.insert_rows("words", row, ["id", name]),
        lambda: hook.insert_rows("words", [{"id": 99, name: "x"}]),
        lambda: hook.upsert_rows("words", row, name, ["id", "word"]),
        lambda: hook.upsert_rows("words", row, ["id", name], ["id", "word"]),
        lambda: hook.load_csv(good, "words", columns=["id", name]),
        lambda: hook.load_csv(bad, "words"),
    ]


def test_a_name_may_have_at_most_three_parts(words: SqlHook) -> None:
    schema = {"sqlite": "main", "postgresql": "public", "duckdb": "main"}.get(words.connection.backend)
    words.insert_rows(f"{schema or words.connection.schema}.words", [(99, "x")], ["id", "word"])
    words.upsert_rows(f"{schema or words.connection.schema}.words", [(99, "y")], "id", ["id", "word"])
    assert all_words(words)[-1] == (99, "y")
    if words.connection.backend == "postgresql":
        words.insert_rows(f"{words.connection.schema}.public.words", [(100, "x")], ["id", "word"])
        assert all_words(words)[-1] == (100, "x")


def test_rows_are_streamed_and_the_database_is_let_go(words: SqlHook) -> None:
    with words.stream("select id, word from words order by id") as result:
        assert result.columns == ("id", "word")
        assert next(result.rows()) == ROWS[0]
    words.run("drop table words")


def test_a_hook_answers_whether_the_database_is_there(hook: SqlHook) -> None:
    answer = hook.test_connection()
    assert answer and answer.ok
    assert answer.message == f"{hook.connection.masked_url} answers."


def test_get_conn_gives_a_connection_of_the_driver(words: SqlHook) -> None:
    connection = words.get_conn()
    try:
        cursor = connection.cursor()
        cursor.execute("select count(*) from words")
        assert cursor.fetchone()[0] == len(ROWS)
        cursor.close()
    finally:
        connection.close()


def test_a_hook_may_be_copied_and_pickled(words: SqlHook) -> None:
    for twin in (copy.deepcopy(words), pickle.loads(pickle.dumps(words))):
        assert all_words(twin) == ROWS


def test_a_statement_that_is_refused_is_reported_in_one_sentence(hook: SqlHook) -> None:
    password = hook.connection.password
    tries = {
        "selec 1": lambda: hook.run("selec 1"),
        "select 1 from nowhere": lambda: hook.get_records("select 1 from nowhere"),
    }
    if hook.connection.backend != "duckdb":  # each statement returns rows there
        tries["it returns no rows; use `run`"] = lambda: hook.get_records(WORDS)
    for part, attempt in tries.items():
        with pytest.raises(HookError) as caught:
            attempt()
        message = str(caught.value)
        assert part in message and hook.connection.masked_url in message
        assert message.endswith("nothing of it was kept.") and "\n" not in message
        assert password is None or password not in message
        assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_a_value_that_is_no_statement_is_refused(hook: SqlHook) -> None:
    for sql in ("", " ; ;\n-- nothing", None, 5, [], [""]):
        with pytest.raises(UsageError, match="statement"):
            hook.run(sql)  # type: ignore[arg-type]


def test_parameters_must_be_a_dict(hook: SqlHook) -> None:
    with pytest.raises(UsageError, match="parameters must be a dict from name to value, not list"):
        hook.get_records("select 1", [1])  # type: ignore[arg-type]
    with pytest.raises(StatementError, match="missing"):
        hook.get_records("select :missing", {"other": 1})
