"""CSV: dicts by the names in the header, strict about what a row holds."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_samples import BOM, assert_goes_on_anywhere, chunks, entries

from elastic.core.errors import DecodingError, UsageError
from elastic.core.model.bad_record import BadRecord
from elastic.stages.sources import CsvRecordFormat, FileSource
from elastic.stages.sources.files.csv_columns import CsvColumns


def written(folder: Path, data: bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


PLAIN = [
    (b"", []),
    (b"a,b\n", []),
    (b"a,b", []),
    (b"a,b\n1,2\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
    (b"a,b\r\n1,2\r\n\r\n3,\r\n", [{"a": "1", "b": "2"}, {"a": "3", "b": ""}]),
    (BOM + b"a,b\n1,2", [{"a": "1", "b": "2"}]),
    (b'"a",b\n"1,5","say ""hi"""\n', [{"a": "1,5", "b": 'say "hi"'}]),
    (b"a\n\n\r\n1\n", [{"a": "1"}]),
    (b"a\n\r\r\r\n1\n", [{"a": "1"}]),
    ("n\u00e9,\u20ac\n\U0001f600,z\u0301\n".encode(), [{"n\u00e9": "\U0001f600", "\u20ac": "z\u0301"}]),
    (b"a,b\n" + b"x" * 40 + b",y\n1,2\n", [{"a": "x" * 40, "b": "y"}, {"a": "1", "b": "2"}]),
    (b"a, b\n 1 ,2 \n", [{"a": " 1 ", " b": "2 "}]),
]


@pytest.mark.parametrize(("data", "expected"), PLAIN)
def test_rows_are_the_same_wherever_the_file_is_cut(
    tmp_path: Path, data: bytes, expected: list[dict[str, str]]
) -> None:
    path = written(tmp_path, data)
    for chunk_bytes in range(1, len(data) + 3):
        for multiline in (False, True):
            source = FileSource(path, CsvRecordFormat(newlines_in_values=multiline), chunk_bytes=chunk_bytes)
            assert entries(source) == expected, (chunk_bytes, multiline)


MULTILINE = b'a,b\r\n"one\r\ntwo",2\r\n\r\n"\n\n",""\r\n3,"x""\n""y"\r\n'
MULTILINE_ROWS = [{"a": "one\r\ntwo", "b": "2"}, {"a": "\n\n", "b": ""}, {"a": "3", "b": 'x"\n"y'}]


def test_quoted_values_may_hold_line_ends_if_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, MULTILINE)
    for chunk_bytes in range(1, len(MULTILINE) + 3):
        source = FileSource(path, CsvRecordFormat(newlines_in_values=True), chunk_bytes=chunk_bytes)
        assert entries(source) == MULTILINE_ROWS, chunk_bytes
    assert len(chunks(FileSource(path, CsvRecordFormat(newlines_in_values=True), chunk_bytes=1))) > 3


def test_a_file_with_line_ends_in_values_can_be_cut_again_at_any_piece(tmp_path: Path) -> None:
    path = written(tmp_path, MULTILINE * 3, "a.csv")
    written(tmp_path, b"a,b\n5,6\n", "b.csv")
    for chunk_bytes in (1, 10, 20):
        rows = CsvRecordFormat(fields=["a", "b"], newlines_in_values=True)
        sources = [FileSource([tmp_path, path], rows, chunk_bytes=chunk_bytes) for _ in "ab"]
        assert_goes_on_anywhere(*sources)


def test_a_line_end_in_a_value_is_an_error_that_names_the_row_otherwise(tmp_path: Path) -> None:
    data = b'a,b\n1,2\n3,"x\ny"\n4,5\n'
    path = written(tmp_path, data)
    for chunk_bytes in range(1, len(data) + 1):
        with pytest.raises(DecodingError) as caught:
            entries(FileSource(path, CsvRecordFormat(), chunk_bytes=chunk_bytes))
        assert (caught.value.path, caught.value.byte) == (str(path), 8)
    assert "newlines_in_values=True" in str(caught.value)


def test_a_value_of_two_lines_whose_halves_look_like_rows_is_not_read_as_one_row(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n"x\ny",2\n')
    with pytest.raises(DecodingError, match="line end") as caught:
        entries(FileSource(path, CsvRecordFormat()))
    assert caught.value.byte == 4


@pytest.mark.parametrize("row", [b'"x,1\ny",2', b'"x\ny ""z"", w",2', b'"x\ny"",""z",2', b'"\ny"\r', b'"x\r\n\r\ny",2'])
@pytest.mark.parametrize("types", [(), (("b", str),)])
def test_the_rest_of_a_value_that_is_cut_at_its_line_end_is_not_a_row(
    tmp_path: Path, row: bytes, types: tuple[tuple[str, type], ...]
) -> None:
    path = written(tmp_path, b"a,b\n1,2\n" + row + b"\n3,4\n")
    form = CsvRecordFormat(selection=CsvColumns(types=types))
    for chunk_bytes in range(1, 30):
        source = FileSource(path, form, chunk_bytes=chunk_bytes)
        reader, found = source.reader(), []
        for piece in source.cut():
            found += reader.parse_each(piece.reference, reader.read_block(piece.reference))
            parsed = [entry for entry in found if not isinstance(entry, BadRecord)]
        assert parsed == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], chunk_bytes
        assert len(found) > len(parsed)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "]", "-", " "])
@pytest.mark.parametrize("quote", ['"', "'", "^", "]", "\\"])
@pytest.mark.parametrize("escape", [None, "\\", "-"])
def test_quotes_of_any_kind_are_read_as_the_csv_module_wrote_them(
    tmp_path: Path, delimiter: str, quote: str, escape: str | None
) -> None:
    if len({delimiter, quote, escape}) < 3:
        pytest.skip("the characters must differ")
    values = ["", quote, quote * 2, f"a{quote}b", f"{quote}a{delimiter}{quote}", "a", delimiter, f"{quote}{delimiter}"]
    rows = [(a, b) for a in values for b in values if a or b]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator="\n").writerows(rows)
    path = written(tmp_path, text.getvalue().encode())
    form = CsvRecordFormat(fields=["a", "b"], delimiter=delimiter, quotechar=quote)
    assert entries(FileSource(path, form, chunk_bytes=9)) == [{"a": a, "b": b} for a, b in rows]
    if escape is not None:
        form = CsvRecordFormat(fields=["a", "b"], delimiter=delimiter, quotechar=quote, escapechar=escape)
        path.write_text(f"x{escape}{quote}y{delimiter}{quote}z{escape}{quote}{delimiter}{quote}\n")
        assert entries(FileSource(path, form)) == [{"a": f"x{quote}y", "b": f"z{quote}{delimiter}"}]


@pytest.mark.parametrize("data", [b'a"b,c\n1,2\n', b'a"b,c\n1,""""\n'])
def test_a_header_may_have_a_quote(tmp_path: Path, data: bytes) -> None:
    for chunk_bytes in (1, 100):
        source = FileSource(written(tmp_path, data), CsvRecordFormat(), chunk_bytes=chunk_bytes)
        first = next(iter(entries(source)[0].items()))
        assert first == ('a"b', "1")


@pytest.mark.parametrize(
    ("data", "byte", "problem"),
    [
        (b"a,b\n1,2\n3\n", 8, "has 1 values for 2 fields"),
        (b"a,b\n1,2,3\n", 4, "has 3 values for 2 fields"),
        (b"a,b\n\n1,2\n,\n ,,\n", 11, "has 3 values for 2 fields"),
        (b'a,b\n1,"2" x\n', 4, "not CSV"),
        (b'a,b\n1,2\n1,"2', 8, "not CSV"),
        (b"a,b\n1\r1,2\n", 4, r"not CSV \(a carriage return without a line feed\); convert its line ends"),
        (b"a,b\n1,\xff\n", 6, "not utf-8 text"),
        (b"a,a\n1,2\n", 0, "names 'a' twice"),
        (b"\n1,2\n", 0, "header row is empty"),
        (b'"a,b\n1,2\n', 0, "not CSV"),
    ],
)
@pytest.mark.parametrize("multiline", [False, True])
def test_a_bad_row_is_named_by_its_byte(tmp_path: Path, data: bytes, byte: int, problem: str, multiline: bool) -> None:
    path = written(tmp_path, data)
    for chunk_bytes in (1, 3, 100):
        with pytest.raises(DecodingError, match=problem) as caught:
            entries(FileSource(path, CsvRecordFormat(newlines_in_values=multiline), chunk_bytes=chunk_bytes))
        assert (caught.value.path, caught.value.byte) == (str(path), byte)


def test_every_file_has_a_header_which_must_be_that_of_the_first(tmp_path: Path) -> None:
    written(tmp_path, b"", "0.csv")
    written(tmp_path, b"a,b\n1,2\n", "1.csv")
    written(tmp_path, b"a,b\n3,4\n", "2.csv")
    source = FileSource(tmp_path, CsvRecordFormat(), chunk_bytes=3)
    assert entries(source) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    other = written(tmp_path, b"b,a\n5,6\n", "3.csv")
    with pytest.raises(DecodingError, match="header is b, a where that of the first file is a, b") as caught:
        entries(source)
    assert caught.value.path == str(other)


def test_a_header_that_changes_after_the_names_were_read_is_noticed_by_the_reader(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n1,2\n")
    reader = FileSource(path, CsvRecordFormat()).reader()
    path.write_bytes(b"b,a\n1,2\n")
    (piece,) = FileSource(path, CsvRecordFormat()).cut()
    with pytest.raises(DecodingError, match="header is b, a"):
        reader.parse(piece.reference, reader.read_block(piece.reference))


def test_names_can_be_given_when_files_have_no_header(tmp_path: Path) -> None:
    path = written(tmp_path, b"1;2\n3;4\n")
    for chunk_bytes in (1, 2, 100):
        source = FileSource(path, CsvRecordFormat(fields=["x", "y"], delimiter=";"), chunk_bytes=chunk_bytes)
        assert entries(source) == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]


def test_quotes_are_data_if_nothing_is_quoted(tmp_path: Path) -> None:
    path = written(tmp_path, b'a\tb\n"1\t2"\n')
    assert entries(FileSource(path, CsvRecordFormat(delimiter="\t", quotechar=None))) == [{"a": '"1', "b": '2"'}]


@pytest.mark.parametrize("limit", [1000, 131_072, 1 << 31])
@pytest.mark.parametrize("multiline", [False, True])
def test_long_fields_are_read_and_the_limit_of_the_csv_module_stays_what_it_was(
    tmp_path: Path, limit: int, multiline: bool
) -> None:
    path = written(tmp_path, b"a" * 200_000 + b"\n" + b"x" * 200_000 + b"\n")
    before = csv.field_size_limit(limit)
    try:
        source = FileSource(path, CsvRecordFormat(newlines_in_values=multiline))
        assert entries(source) == [{"a" * 200_000: "x" * 200_000}]
        assert source.reader().locate(next(source.cut()).reference, 0).startswith("line 2 of ")
        assert csv.field_size_limit() == limit
    finally:
        csv.field_size_limit(before)


def test_a_limit_that_the_program_sets_while_a_file_is_read_stays(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\n" + b"1\n" * 100)
    before = csv.field_size_limit()
    try:
        pieces = FileSource(path, CsvRecordFormat(newlines_in_values=True), chunk_bytes=20).cut()
        next(pieces)
        csv.field_size_limit(5000)
        assert len(list(pieces)) > 3
        assert csv.field_size_limit() == 5000
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize("multiline", [False, True])
def test_rows_are_located_by_line_and_byte(tmp_path: Path, multiline: bool) -> None:
    data = b'a,b\n"1",2\n\n3,4\n'
    path = written(tmp_path, data)
    for chunk_bytes in (1, 6, 100):
        source = FileSource(path, CsvRecordFormat(newlines_in_values=multiline), chunk_bytes=chunk_bytes)
        reader, located = source.reader(), []
        for piece in source.cut():
            count = len(reader.parse(piece.reference, reader.read_block(piece.reference)))
            located += [reader.locate(piece.reference, index) for index in range(count)]
        assert located == [f"line 2 of {str(path)!r} (byte 4)", f"line 4 of {str(path)!r} (byte 11)"]


def test_rows_behind_values_of_several_lines_are_located(tmp_path: Path) -> None:
    path = written(tmp_path, b'a\n"x\n\ny"\nz\n')
    for chunk_bytes in (1, 100):
        source = FileSource(path, CsvRecordFormat(newlines_in_values=True), chunk_bytes=chunk_bytes)
        last = list(source.cut())[-1]
        reader = source.reader()
        rows = reader.parse(last.reference, reader.read_block(last.reference))
        assert reader.locate(last.reference, len(rows) - 1) == f"line 5 of {str(path)!r} (byte 9)"


fields = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(fields, fields), max_size=8), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_any_rows_come_back_as_the_csv_module_wrote_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], chunk_bytes: int, end: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    path = written(tmp_path_factory.mktemp("any"), text.getvalue().encode())
    source = FileSource(path, CsvRecordFormat(newlines_in_values=True), chunk_bytes=chunk_bytes)
    assert entries(source) == [{"a": a, "b": b} for a, b in rows]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"delimiter": ""}, "delimiter must be one ASCII character"),
        ({"delimiter": ",,"}, "delimiter must be one ASCII character that is not a line end, not ',,'"),
        ({"delimiter": "\n"}, "delimiter must be"),
        ({"delimiter": "\u00e9"}, "delimiter must be"),
        ({"delimiter": 1}, "delimiter must be"),
        ({"quotechar": "''"}, "quotechar must be"),
        ({"delimiter": '"'}, "delimiter and quotechar must differ"),
        ({"fields": "abc"}, "fields must be a list of names, not 'abc'"),
        ({"fields": []}, "fields must be a list of names"),
        ({"fields": ["a", 1]}, "fields must be names, not 1"),
        ({"fields": ["a", "b", "a"]}, "fields names 'a' twice"),
        ({"encoding": "klingon"}, "'klingon' is not a known text encoding"),
        ({"errors": "ignore"}, "errors must be one of 'strict', 'replace', not 'ignore'"),
    ],
)
def test_parameters_that_cannot_be_are_named(arguments: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        CsvRecordFormat(**arguments)  # type: ignore[arg-type]


def test_no_range_of_a_file_with_another_header_is_given_to_a_worker(tmp_path: Path) -> None:
    written(tmp_path, b"a,b\n1,2\n", "1.csv")
    written(tmp_path, b"b,a\n3,4\n5,6\n", "2.csv")
    pieces = FileSource(tmp_path, CsvRecordFormat(), chunk_bytes=1000).cut()
    assert next(pieces).reference[0] == str(tmp_path / "1.csv")
    with pytest.raises(DecodingError, match="header is b, a"):
        next(pieces)
