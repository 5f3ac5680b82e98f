"""JSON lines: one value a line, blank lines passed over, bad lines named."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_samples import BOM, chunks, entries

from elastic.core.errors import DecodingError
from elastic.stages.sources import FileSource, JsonLinesRecordFormat


def written(folder: Path, data: bytes) -> Path:
    path = folder / "file.jsonl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n \n\t\r\n", []),
        (b'{"a": 1}\n{"a": [2, null]}\n', [{"a": 1}, {"a": [2, None]}]),
        (b'1\n"two"\nnull\ntrue\n[3.5]', [1, "two", None, True, [3.5]]),
        (b'\n{"a": 1}\r\n\r\n  {"b": 2} \n \n', [{"a": 1}, {"b": 2}]),
        (BOM + b'"one"\n"two"\n', ["one", "two"]),
        ('"\u00e9\u2028"\n"\U0001f600"\n"\\u20ac\\n"\n'.encode(), ["\u00e9\u2028", "\U0001f600", "\u20ac\n"]),
        (b'{"a": "' + b"x" * 50 + b'"}\n2\n', [{"a": "x" * 50}, 2]),
        (b"123456789012345678901234567890\n", [123456789012345678901234567890]),
    ],
)
def test_values_are_the_same_wherever_the_file_is_cut(tmp_path: Path, data: bytes, expected: list[object]) -> None:
    path = written(tmp_path, data)
    for chunk_bytes in range(1, len(data) + 3):
        assert entries(FileSource(path, JsonLinesRecordFormat(), chunk_bytes=chunk_bytes)) == expected, chunk_bytes


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(values, max_size=8), st.integers(1, 50), st.booleans())
def test_any_values_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[object], chunk_bytes: int, plain: bool
) -> None:
    text = "\n".join(json.dumps(record, ensure_ascii=plain) for record in records)
    path = written(tmp_path_factory.mktemp("any"), text.encode("utf-8", "surrogatepass"))
    assert entries(FileSource(path, JsonLinesRecordFormat(), chunk_bytes=chunk_bytes)) == records


@pytest.mark.parametrize(
    ("data", "byte", "problem"),
    [
        (b'{"a": 1}\n{"a": }\n3\n', 9, "not JSON"),
        (b'1\n\n  \n{"a": 1} 2\n', 6, "not JSON"),
        (b"1\n2\n[1,", 4, "not JSON"),
        (b"1,\n2\n", 0, "not JSON"),
        (b"[1\n2]\n", 0, "not JSON"),
        (b"1\n" + b"[" * 100_000 + b"\n", 2, "RecursionError"),
        (b"1\n" + b"9" * 5000 + b"\n", 2, "ValueError"),
        (BOM + b"1\nx\n", 5, "not JSON"),
        (b'1\n"\xff"\n', 3, "not utf-8 text"),
    ],
)
def test_a_line_that_is_not_json_is_named_by_its_byte(tmp_path: Path, data: bytes, byte: int, problem: str) -> None:
    path = written(tmp_path, data)
    for chunk_bytes in (1, 2, 3, 7, len(data)):
        with pytest.raises(DecodingError, match=problem) as caught:
            list(chunks(FileSource(path, JsonLinesRecordFormat(), chunk_bytes=chunk_bytes * (1 + len(data) // 100))))
        assert (caught.value.path, caught.value.byte) == (str(path), byte)


def test_the_message_says_what_to_do_with_bad_lines(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"a" 1}\n')
    with pytest.raises(DecodingError) as caught:
        entries(FileSource(path, JsonLinesRecordFormat()))
    assert str(caught.value) == (
        f"{str(path)!r}, byte 0: the line that begins here is not JSON (Expecting ':' delimiter at its character 5); "
        'correct the line, or pass on_error="dead-letter" to keep bad lines apart.'
    )


def test_values_are_located_past_blank_lines(tmp_path: Path) -> None:
    path = written(tmp_path, b'"one"\n\n \n"two"\n')
    for chunk_bytes in (1, 4, 100):
        source = FileSource(path, JsonLinesRecordFormat(), chunk_bytes=chunk_bytes)
        reader, located = source.reader(), []
        for piece in source.cut():
            count = len(reader.parse(piece.reference, reader.read_block(piece.reference)))
            located += [reader.locate(piece.reference, index) for index in range(count)]
        assert located == [f"line 1 of {str(path)!r} (byte 0)", f"line 4 of {str(path)!r} (byte 9)"]


def test_characters_that_are_not_text_are_replaced_if_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, b'"a\xff"\n')
    assert entries(FileSource(path, JsonLinesRecordFormat(errors="replace"))) == ["a\ufffd"]
