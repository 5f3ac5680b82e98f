"""Encodings: the same text comes out of all of them, wherever the file is cut."""

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from source_samples import assert_goes_on_anywhere, entries

import elastic
from elastic.core.errors import DecodingError
from elastic.stages.sources import CsvRecordFormat, FileSource, JsonLinesRecordFormat, RecordFormat, TextLines

#: Encodings, and text that each of them has: two-byte characters whose bytes are line ends in the wide ones, among it.
ENCODINGS = {
    "latin-1": "caf\u00e9,b\r\n\u00fc,\u00df\n\n",
    "cp1251": "\u0446,b\n\u044f,2",
    "koi8-r": "\u0446,b\n\u044f,2\n",
    "shift_jis": "\u8868,b\n\u65e5\u672c,\uff8a\n",
    "gb18030": "\u4e2d,b\n\u0416,\U0001f600\n",
    "utf-8-sig": "\u20ac,b\n\U0001f600,2\n",
    "utf-16": "\u0a0a,b\n\u0d0a\U0001f600,\u0a0d\r\n\n\u010a,\u0b0a",
    "utf-16-le": "\u0a0a,b\n\u0d0a\U0001f600,\u0a0d\r\n\n\u010a,\u0b0a\n",
    "utf-16-be": "\u0a0a,b\n\u0d0a\U0001f600,\u0a0d\n",
    "utf-32": "\u0a0a,b\n\u0d0a\U0001f600,\u0a0d\n",
    "utf-32-be": "\u0a0a,b\n\u0d0a\U0001f600,\u0a0d\n",
    "utf-7": "\u00e9+,b\n\u20ac,2\n",
    "iso2022_jp": "\u65e5\u672c,b\n\u8a9e,2\n",
    "cp037": "\u00e9,b\n\u00df,2\n",
}
EVERY_ENCODING = pytest.mark.parametrize("encoding", ENCODINGS)


def lines(text: str) -> list[str]:
    found = text.replace("\r\n", "\n").split("\n")
    return found if found[-1] else found[:-1]


def written(folder: Path, data: bytes, name: str = "file.txt") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@EVERY_ENCODING
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_lines_are_the_same_in_every_encoding_wherever_the_file_is_cut(
    tmp_path: Path, encoding: str, suffix: str
) -> None:
    text = ENCODINGS[encoding]
    data = text.encode(encoding)
    path = written(tmp_path, gzip.compress(data) if suffix else data, f"file.txt{suffix}")
    for chunk_bytes in range(1, len(data) + 2):
        source = FileSource(path, TextLines(encoding=encoding), chunk_bytes=chunk_bytes)
        assert entries(source) == lines(text), chunk_bytes
        assert list(map(str, source.reader().columnar().parse(*_whole(source)))) == lines(text)


def _whole(source: FileSource) -> tuple[Any, bytes]:
    pieces = list(source.cut())
    reader = source.reader()
    blocks = [reader.read_block(piece.reference) for piece in pieces]
    if len(pieces) == 1 or pieces[0].block is not None:
        return pieces[0].reference, b"".join(blocks)
    path, _, _, size, version = pieces[0].reference
    reference = (path, 0, size, size, version)
    return reference, reader.read_block(reference)


@EVERY_ENCODING
@pytest.mark.parametrize("multiline", [False, True])
def test_rows_are_the_same_in_every_encoding(tmp_path: Path, encoding: str, multiline: bool) -> None:
    header, *rows = [line.split(",") for line in lines(ENCODINGS[encoding]) if line]
    path = written(tmp_path, ENCODINGS[encoding].encode(encoding))
    for chunk_bytes in (1, 5, 1000):
        form = CsvRecordFormat(encoding=encoding, newlines_in_values=multiline)
        source = FileSource(path, form, chunk_bytes=chunk_bytes)
        assert entries(source) == [dict(zip(header, row, strict=True)) for row in rows]


@EVERY_ENCODING
def test_values_of_json_lines_are_the_same_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    values = [{"v": line} for line in lines(ENCODINGS[encoding])]
    text = "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values)
    path = written(tmp_path, text.encode(encoding))
    for chunk_bytes in (1, 7, 1000):
        source = FileSource(path, JsonLinesRecordFormat(encoding=encoding), chunk_bytes=chunk_bytes)
        assert entries(source) == values
        assert_goes_on_anywhere(
            source, FileSource(path, JsonLinesRecordFormat(encoding=encoding), chunk_bytes=chunk_bytes)
        )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_mark_of_the_order_that_is_named_is_dropped_once(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "\ufeffone\n\ufefftwo\n".encode(encoding))
    for chunk_bytes in (1, 6, 100):
        assert entries(FileSource(path, TextLines(encoding=encoding), chunk_bytes=chunk_bytes)) == ["one", "\ufefftwo"]


@pytest.mark.parametrize(
    ("encoding", "data", "byte", "replaced"),
    [
        ("utf-16", codecs.BOM_UTF16_LE + b"a\0\n\0b\0\x00\xd8c\0", 3, ["a", "b\ufffdc"]),
        ("utf-16-be", b"\0a\0\n\0", 2, ["a", "\ufffd"]),
        ("utf-32-le", b"a\0\0\0\n\0\0\0\0\0\x11\0", 2, ["a", "\ufffd"]),
        ("cp1252", b"a\n\x81\n", 2, ["a", "\ufffd"]),
        ("shift_jis", b"a\n\x81", 2, ["a", "\ufffd"]),
    ],
)
def test_bytes_that_are_not_in_the_encoding_are_named_or_replaced(
    tmp_path: Path, encoding: str, data: bytes, byte: int, replaced: list[str]
) -> None:
    path = written(tmp_path, data)
    for chunk_bytes in (1, 4, 100):
        with pytest.raises(DecodingError, match="text") as caught:
            entries(FileSource(path, TextLines(encoding=encoding), chunk_bytes=chunk_bytes))
        assert (caught.value.path, caught.value.byte) == (str(path), byte)
        source = FileSource(path, TextLines(encoding=encoding, errors="replace"), chunk_bytes=chunk_bytes)
        assert entries(source) == replaced


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_the_order_of_bytes_is_not_guessed(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "one\n".encode(f"{encoding}-le"))
    with pytest.raises(DecodingError, match=f"encoding='{encoding}-le' or '{encoding}-be'"):
        entries(FileSource(path, TextLines(encoding=encoding)))


def test_a_bad_row_behind_recoded_text_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n\u20ac,2\n3\n".encode("utf-16"))
    with pytest.raises(DecodingError, match="has 1 values for 2 fields") as caught:
        entries(FileSource(path, CsvRecordFormat(encoding="utf-16")))
    assert caught.value.byte == len("a,b\n\u20ac,2\n".encode())
    reader = FileSource(path, TextLines(encoding="utf-16")).reader()
    (piece,) = FileSource(path, TextLines(encoding="utf-16")).cut()
    assert reader.locate(piece.reference, 2) == f"line 3 of {str(path)!r} (byte 10)"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_every_reader_takes_the_encoding_that_its_error_names(tmp_path: Path, encoding: str) -> None:
    written(tmp_path, '"caf\u00e9"\n"\u20ac"\n'.encode(encoding))
    readers = {elastic.read_text: ['"caf\u00e9"', '"\u20ac"'], elastic.read_jsonl: ["caf\u00e9", "\u20ac"]}
    for read, expected in readers.items():
        flow = read(tmp_path, encoding=encoding, chunk_bytes=9)
        assert flow.aggregate("collect").run(cluster="inline").value == expected
    rows = elastic.read_csv(tmp_path, encoding=encoding, errors="replace").aggregate("collect")
    assert rows.run(cluster="inline").value == [{"caf\u00e9": "\u20ac"}]


def test_a_format_of_ones_own_gets_the_bytes_as_they_are(tmp_path: Path) -> None:
    class Lengths(RecordFormat):
        def parse(self, block: Any) -> list[Any]:
            return [len(line) for line in bytes(block.data).splitlines()]

        def starts(self, block: Any) -> Any:
            return iter(())

        def describe(self) -> dict[str, Any]:
            return {}

    path = written(tmp_path, b"\xff\xfe\0\nPK\3\4\n")
    assert [entry for piece in FileSource(path, Lengths()).cut() for entry in _parsed(path, Lengths(), piece)] == [3, 4]


def _parsed(path: Path, form: RecordFormat, piece: Any) -> list[Any]:
    reader = FileSource(path, form).reader()
    return list(reader.parse(piece.reference, reader.read_block(piece.reference)))
