"""Import and export of CSV files, on SQLite, PostgreSQL, MariaDB and DuckDB."""

import csv
import datetime as dt
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest
from hook_samples import ROWS, WIDE, WORDS, all_words, hook_on, hook_on_words

from elastic.core.errors import UsageError
from elastic.hooks import CsvFormat, SqlHook
from elastic.hooks.errors import FileAccessError, RowError, StatementError


@pytest.fixture
def hook(database_url: str) -> SqlHook:
    """A hook on each kind of database in turn."""
    return hook_on(database_url)


@pytest.fixture
def words(database_url: str) -> SqlHook:
    """A hook on each kind of database in turn, with a table of unusual words."""
    return hook_on_words(database_url)


def test_to_csv_and_load_csv_make_a_round_trip(words: SqlHook, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    assert words.to_csv("select id, word from words order by id", path) == len(ROWS)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "id,word"
    words.run(WORDS.replace("words", "copied"))
    assert words.load_csv(path, "copied") == len(ROWS)
    assert all_words(words, "copied") == ROWS


@pytest.mark.parametrize(
    "form",
    [
        CsvFormat(delimiter="\t", null="\\N", header=False),
        CsvFormat(delimiter=";", null="null", encoding="utf-16"),
        CsvFormat(delimiter="'"),
    ],
    ids=["tabs", "semicolons", "apostrophes"],
)
def test_csv_files_of_other_forms_make_a_round_trip(words: SqlHook, tmp_path: Path, form: CsvFormat) -> None:
    path = tmp_path / "words.csv"
    words.to_csv("select id, word from words order by id", path, form=form)
    words.run(WORDS.replace("words", "copied"))
    columns = None if form.header else ["id", "word"]
    assert words.load_csv(path, "copied", columns=columns, form=form) == len(ROWS)
    assert all_words(words, "copied") == ROWS


def test_other_programs_read_the_csv_file(words: SqlHook, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    words.to_csv("select id, word from words where word is not null order by id", path)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["id", "word"], *([str(number), word] for number, word in ROWS[:-1])]


def test_dates_decimals_and_nulls_survive_a_csv_file(hook: SqlHook, tmp_path: Path) -> None:
    hook.run(WIDE)
    values = {
        "id": 1,
        "name": "Ada",
        "day": dt.date(2016, 2, 29),
        "amount": Decimal("12345678.90"),
        "moment": dt.datetime(2016, 2, 29, 7, 44, 46),  # noqa: DTZ001 - a column without time zone
    }
    hook.insert_rows("wide", [values, {**dict.fromkeys(values), "id": 2}])
    before = hook.get_records("select * from wide order by id")
    assert [row is None for row in before[1][1:4]] == [True] * 3
    path = tmp_path / "wide.csv"
    hook.to_csv("select * from wide order by id", path)
    assert "2016-02-29" in path.read_text() and "12345678.9" in path.read_text()
    hook.run("delete from wide")
    assert hook.load_csv(path, "wide") == 2
    assert hook.get_records("select * from wide order by id") == before


def test_a_big_file_is_loaded_in_one_transaction(hook: SqlHook, tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    count = 25_000
    with path.open("w", encoding="utf-8") as file:
        file.write("id,word\n")
        file.writelines(f'{number},"word\n{number}"\n' for number in range(count))
    hook.run(WORDS)
    assert hook.load_csv(path, "words") == count
    assert hook.get_first("select count(*), sum(id), count(distinct word) from words") == (
        count,
        count * (count - 1) // 2,
        count,
    )
    hook.run("delete from words")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{count},a,b\n")
    with pytest.raises(RowError, match=f"line {2 * count + 2}: 3 fields where 2 were expected") as caught:
        hook.load_csv(path, "words")
    assert str(path) in str(caught.value)
    assert hook.get_first("select count(*) from words") == (0,)


def test_a_file_larger_than_the_memory_it_may_take_goes_in_and_out(hook: SqlHook, tmp_path: Path) -> None:
    path, count, limit = tmp_path / "big.csv", 9_000, 12_000_000
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{number},{'x' * 2000}\n" for number in range(count))
    assert path.stat().st_size > 1.5 * limit
    hook.run(WORDS.replace("200", "2000"))
    form = CsvFormat(header=False)
    tracemalloc.start()
    try:
        assert hook.load_csv(path, "words", columns=["id", "word"], form=form) == count
        assert hook.to_csv("select id, word from words order by id", tmp_path / "out.csv", form=form) == count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes()
    assert peak < limit


def test_a_row_that_the_database_refuses_undoes_the_file(hook: SqlHook, tmp_path: Path) -> None:
    hook.run(WIDE)
    path = tmp_path / "wide.csv"
    path.write_text("id,day\n1,2016-02-29\n2,no day\n")
    if hook.connection.backend == "sqlite":
        assert hook.load_csv(path, "wide") == 2, "SQLite stores whatever it is given"
        return
    with pytest.raises(StatementError, match=r"inserting into wide on .* failed"):
        hook.load_csv(path, "wide")
    assert hook.get_first("select count(*) from wide") == (0,)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('id,word\n1,"a"b\n', "line 2: no CSV"),
        ('id,word\n1,"a\n', "line 2: no CSV"),
        ("id,word\n1\n", "line 2: 1 fields where 2 were expected"),
        ("", "line 1: the file has no header"),
        ("id,word\n1,a\n\n2,\udcff\n", "line .: not utf-8"),
    ],
)
def test_a_line_that_is_no_row_is_named(hook: SqlHook, tmp_path: Path, text: str, problem: str) -> None:
    hook.run(WORDS)
    path = tmp_path / "words.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RowError, match=problem):
        hook.load_csv(path, "words")
    assert all_words(hook) == []


def test_to_csv_leaves_nothing_half_written(words: SqlHook, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("before")
    with pytest.raises(StatementError):
        words.to_csv("select id, word from nowhere", path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("words.csv", "before")]


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    hook = SqlHook(url="sqlite://")
    hook.run("create table words (id integer, word text)")
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(FileAccessError, match="cannot be read") as caught:
            hook.load_csv(path, "words")
        assert str(path) in str(caught.value)
    for path in (tmp_path / "none" / "a.csv", tmp_path):
        with pytest.raises(FileAccessError, match="cannot be written"):
            hook.to_csv("select * from words", path)
    for url in ("s3://bucket/a.csv", "file:///a.csv"):
        with pytest.raises(UsageError, match="is a URL"):
            hook.to_csv("select * from words", url)
        with pytest.raises(UsageError, match="is a URL"):
            hook.load_csv(url, "words")
    with pytest.raises(FileAccessError, match="ascii has no '\u00e9'"):
        hook.to_csv("select '\u00e9' as e", tmp_path / "a.csv", form=CsvFormat(encoding="ascii"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [1000, 1 << 31])
def test_long_fields_are_loaded_and_the_limit_of_the_csv_module_stays_what_it_was(tmp_path: Path, limit: int) -> None:
    hook = SqlHook(url="sqlite://")
    hook.run("create table words (id integer, word text)")
    (tmp_path / "words.csv").write_text(f"id,word\n1,{'x' * 200_000}\n")
    before = csv.field_size_limit(limit)
    try:
        assert hook.load_csv(tmp_path / "words.csv", "words") == 1
        assert csv.field_size_limit() == limit
    finally:
        csv.field_size_limit(before)
    assert hook.get_records("select length(word) from words") == [(200_000,)]


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(tmp_path: Path) -> None:
    hook = SqlHook(url="sqlite://")
    hook.run("create table words (id integer, word text)")
    path = tmp_path / "words.csv"
    path.write_bytes(b'\xef\xbb\xbf"id",word\r\n1,a\r\n\r\n2,"b\r\n"\r\n')
    assert hook.load_csv(path, "words") == 2
    assert hook.get_records("select * from words") == [(1, "a"), (2, "b\r\n")]


def test_a_column_alone_may_be_null(tmp_path: Path) -> None:
    hook = SqlHook(url="sqlite://")
    hook.run("create table words (word text); insert into words values (null), (''), ('a')")
    assert hook.to_csv("select word from words", tmp_path / "a.csv") == 3
    assert (tmp_path / "a.csv").read_text() == 'word\n\n""\na\n'
    assert hook.load_csv(tmp_path / "a.csv", "words", before="delete from words") == 3
    assert hook.get_records("select word from words") == [(None,), ("",), ("a",)]


@pytest.mark.parametrize(
    "wrong",
    [{"delimiter": ""}, {"delimiter": '"'}, {"delimiter": ",,"}, {"null": '"'}, {"null": ","}, {"encoding": "utf-9"}],
)
def test_a_form_that_cannot_be_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"delimiter|null|encoding"):
        CsvFormat(**wrong)
