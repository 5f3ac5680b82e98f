"""Options of CSV files: typed and selected columns, comments, lines before the header, escaped characters."""

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from source_samples import BOM, assert_goes_on_anywhere, entries

import elastic
from elastic.core.encoding import unpack
from elastic.core.errors import StepFailedError, UsageError
from elastic.stages.sources import CsvColumns, CsvRecordFormat, FileSource


def written(folder: Path, data: bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(
    path: Path, chunk_bytes: int = 1 << 20, *, types: Any = None, columns: Any = None, **options: Any
) -> list[Any]:
    form = CsvRecordFormat(selection=CsvColumns.of(columns, types), **options)
    source = FileSource(path, form, chunk_bytes=chunk_bytes)
    assert_goes_on_anywhere(source, FileSource(path, form, chunk_bytes=chunk_bytes))
    return entries(source)


CONTENTS = [
    (b"a,b\n1,2\n", {}, [("1", "2")]),
    (b"# one\n#two,\n\na,b\n", {"comment": "#", "skip_rows": 3}, []),
    (b"# one\n# two\na,b\n1,2\n#3,4\n5,6\n", {"comment": "#"}, [("1", "2"), ("5", "6")]),
    (BOM + b"# one\na,b\n1,#2\n", {"comment": "# "}, [("1", "#2")]),
    (BOM + b'say "hi\n\xff\na,b\n1,2\n', {"skip_rows": 2}, [("1", "2")]),
    (b"x\n//\na,b\n//1,2\n3,4", {"skip_rows": 1, "comment": "//"}, [("3", "4")]),
    (b"#x\n#y\n", {"comment": "#"}, []),
    (b"x\ny\n", {"skip_rows": 5}, []),
    (b"x\ny\n", {"skip_rows": 2}, []),
    (b"#\xff\na,b\n#\xff\n1,2\n", {"comment": "#"}, [("1", "2")]),
]


@pytest.mark.parametrize(("data", "options", "expected"), CONTENTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_lines_before_the_header_and_comments_are_skipped_wherever_the_file_is_cut(
    tmp_path: Path, data: bytes, options: dict[str, Any], expected: list[tuple[str, str]], encoding: str
) -> None:
    if encoding != "utf-8":
        data = data.replace(b"\xff", b"").decode().encode(encoding)
    path = written(tmp_path, data)
    rows = [{"a": a, "b": b} for a, b in expected]
    for chunk_bytes in (*range(1, len(data) + 2), 1000):
        assert read(path, chunk_bytes, encoding=encoding, **options) == rows, chunk_bytes


@pytest.mark.parametrize("chunk_bytes", [1, 4, 9, 1000])
def test_files_without_a_header_skip_lines_too(tmp_path: Path, chunk_bytes: int) -> None:
    path = written(tmp_path, b"total 2\n#\n1,2\n#\n3,4\n")
    options: dict[str, Any] = {"fields": ["a", "b"], "skip_rows": 1}
    assert [row["a"] for row in read(path, chunk_bytes, comment="#", **options)] == ["1", "3"]
    path = written(tmp_path, b'"total\n1,"2\n3"\n')
    assert read(path, chunk_bytes, newlines_in_values=True, **options) == [{"a": "1", "b": "2\n3"}]


def test_places_and_names_count_the_skipped_lines(tmp_path: Path) -> None:
    path = written(tmp_path, b"x\n# y\na,b\n1,2\n# z\n3\n4,5\n")
    flow = elastic.read_csv(path, skip_rows=1, comment="#").map(lambda row: int(row["b"])).aggregate("sum")
    result = flow.run(cluster="inline", on_error="dead-letter")
    assert (result.value, result.entries, result.errors) == (7, 3, 1)
    (letter,) = elastic.dead_letters(result.run_id)
    assert (letter.failure.place, letter.failure.index) == (f"line 6 of {str(path)!r} (byte 18)", 1)
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok


def test_each_file_skips_its_own_lines_and_headers_must_agree(tmp_path: Path) -> None:
    for number in range(3):
        written(tmp_path, b"# file\n" * number + b"a,b\n%d,x\n" % number, f"{number}.csv")
    assert [row["a"] for row in read(tmp_path, 3, comment="#")] == ["0", "1", "2"]
    written(tmp_path, b"# file\nb,a\n", "9.csv")
    with pytest.raises(ValueError, match="header is b, a where that of the first file is a, b"):
        read(tmp_path, 3, comment="#")


@pytest.mark.parametrize("multiline", [False, True])
def test_an_escape_character_removes_the_meaning_of_the_next_one(tmp_path: Path, multiline: bool) -> None:
    path = written(tmp_path, b'a,b\n1\\,2,"say \\"hi\\""\n\\\\,3\n')
    rows = read(path, 5, escapechar="\\", newlines_in_values=multiline)
    assert rows == [{"a": "1,2", "b": 'say "hi"'}, {"a": "\\", "b": "3"}]


def test_an_escaped_line_end_is_a_bad_record_unless_line_ends_are_expected(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n1,2\\\n3\n4,5\n")
    flow = elastic.read_csv(path, escapechar="\\").map(lambda row: int(row["b"])).aggregate("sum")
    result = flow.run(cluster="inline", on_error="dead-letter")
    assert (result.value, result.errors) == (5, 1)
    (letter,) = elastic.dead_letters(result.run_id)
    assert unpack(letter.entry).data == b"1,2\\\n3"
    rows = read(path, 5, escapechar="\\", newlines_in_values=True)
    assert rows == [{"a": "1", "b": "2\n3"}, {"a": "4", "b": "5"}]


TYPED = [
    (int, "12", 12),
    (int, " -7 ", -7),
    (float, "1e3", 1000.0),
    (float, "-inf", float("-inf")),
    (Decimal, "1.10", Decimal("1.10")),
    (bool, "True", True),
    (bool, "0", False),
    (str, "", ""),
    (dt.date, "2026-02-28", dt.date(2026, 2, 28)),
    (dt.datetime, "2026-02-28T12:00:00+01:00", dt.datetime(2026, 2, 28, 11, tzinfo=dt.UTC)),
    (dt.time, "23:59", dt.time(23, 59)),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    (len, "four", 4),
    (len, "", 0),
]


@pytest.mark.parametrize(("kind", "value", "expected"), TYPED)
def test_values_get_the_type_of_their_column(tmp_path: Path, kind: Any, value: str, expected: Any) -> None:
    path = written(tmp_path, f"a,b\n1,{value}\n".encode())
    assert read(path, types={"b": kind}) == [{"a": "1", "b": expected}]
    assert type(read(path, types={"b": kind})[0]["b"]) is type(expected)


@pytest.mark.parametrize("kind", [int, float, bool, Decimal, dt.date, dt.datetime, dt.time, uuid.UUID])
def test_an_empty_value_of_a_type_is_none(tmp_path: Path, kind: Any) -> None:
    assert read(written(tmp_path, b"a,b\n,x\n"), types={"a": kind}) == [{"a": None, "b": "x"}]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "1.0"),
        (int, "1_000"),
        (int, "\u0663"),
        (int, "9" * 5000),
        (float, "1,5"),
        (float, "1_0.5"),
        (Decimal, "x"),
        (Decimal, "1_0"),
        (bool, "yes"),
        (bool, "2"),
        (dt.date, "2026-02-30"),
        (dt.datetime, "today"),
        (dt.datetime, "2020-01-02 03:04:05.123456789"),
        (dt.time, "03:04:05.0000001+01:00"),
        (uuid.UUID, "1"),
    ],
)
def test_a_value_that_does_not_convert_is_a_failed_record(tmp_path: Path, kind: Any, value: str) -> None:
    path = written(tmp_path, f'a,b\n"{value}",1\n,2\n'.encode())
    flow = elastic.read_csv(path, types={"a": kind, "b": int}).map(lambda row: row["b"]).aggregate("sum")
    result = flow.run(cluster="inline", on_error="dead-letter")
    assert (result.value, result.entries, result.errors) == (2, 2, 1)
    (letter,) = elastic.dead_letters(result.run_id)
    assert letter.failure.place == f"line 2 of {str(path)!r} (byte 4)"
    assert letter.failure.message.startswith(f"the value {value[:50]!r}"[:20])
    assert (
        f"of the column 'a' cannot be converted by {kind.__module__}".removesuffix("builtins") in letter.failure.message
    )
    redriven = elastic.read_csv(path, types={"a": len, "b": int}).map(lambda row: row["b"]).aggregate("sum")
    assert elastic.redrive(result.run_id, redriven, cluster="inline").value == 3


def test_a_function_of_ones_own_may_fail_in_any_way(tmp_path: Path) -> None:
    def convert(text: str) -> int:
        return {"1": 1}[text]

    path = written(tmp_path, b"a\n1\n2\n")
    with pytest.raises(StepFailedError, match=r"the value '2' of the column 'a' .*convert.*KeyError: '2'"):
        elastic.read_csv(path, types={"a": convert}).run(cluster="inline")


def test_columns_are_selected_in_the_given_order(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b,c\n1,2,3\n4,5\n")
    flow = elastic.read_csv(path, columns=["c", "a"], types={"c": int})
    result = flow.aggregate("collect").run(cluster="inline", on_error="skip")
    assert (result.value, result.errors) == ([{"c": 3, "a": "1"}], 1)
    assert list(result.value[0]) == ["c", "a"]
    assert read(path, fields=["x", "y", "z"], columns=["z"], skip_rows=3) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"columns": "a"}, "columns must be a list of names, not 'a'"),
        ({"columns": []}, "columns must be a list of names"),
        ({"columns": [1]}, "columns must be names, not 1"),
        ({"columns": ["a", "a"]}, "columns names 'a' twice"),
        ({"types": ["a"]}, "types must be a dict from column name to type"),
        ({"types": {"a": "int"}}, "types has 'a': 'int', which must be a column name and a type"),
        ({"types": {1: int}}, "types has 1: "),
        ({"types": {"b": int}, "columns": ["a"]}, "types names the column 'b', which columns leaves out"),
        ({"types": {"z": int}, "fields": ["a"], "hive_partitioning": False}, "has no column 'z'; its columns are a"),
        ({"comment": ""}, "comment must be an ASCII string"),
        ({"comment": "\n"}, "comment must be an ASCII string"),
        ({"comment": "\u20ac"}, "comment must be an ASCII string"),
        ({"comment": "#", "newlines_in_values": True}, "comment and newlines_in_values cannot be combined"),
        ({"skip_rows": -1}, "skip_rows must be a whole number from 0, not -1"),
        ({"skip_rows": True}, "skip_rows must be a whole number from 0, not True"),
        ({"escapechar": "ab"}, "escapechar must be one ASCII character"),
        ({"escapechar": '"'}, "escapechar must differ from delimiter and quotechar"),
        ({"skip_row": 1}, "did you mean 'skip_rows'"),
    ],
)
def test_arguments_that_cannot_be_are_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        elastic.read_csv("nowhere.csv", **options)


@pytest.mark.parametrize("options", [{"columns": ["A"]}, {"types": {"A": int}}])
def test_a_column_that_the_file_does_not_have_is_named_when_the_flow_runs(tmp_path: Path, options: Any) -> None:
    path = written(tmp_path, b"a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"file\.csv' has no column 'A'"):
        elastic.read_csv(path, **options).run(cluster="inline")
