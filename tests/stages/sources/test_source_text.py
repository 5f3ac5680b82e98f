"""Text lines: wherever a file is cut, every line is read once, whole, by the chunk in which it begins."""

from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from source_samples import BOM, TEXTS, chunks, entries, lines_of

from elastic.core.errors import DecodingError, SourceError
from elastic.stages.sources import FileSource, TextLines
from elastic.stages.sources.files import reader as file_reader
from elastic.stages.sources.files.block import ByteRange
from elastic.stages.sources.files.file_type import check_text

NASTY = pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "file.txt"
    path.write_bytes(data)
    return path


@NASTY
@pytest.mark.parametrize("ship", ["reference", "value"])
@pytest.mark.parametrize("tail", [1, 3, 1 << 16])
def test_a_file_cut_at_any_byte_gives_the_same_lines(
    tmp_path: Path, data: bytes, ship: str, tail: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However far the end of a line lies behind a range, and however little is looked at for it at once.
    monkeypatch.setattr(file_reader, "_FIRST_TAIL_BYTES", tail)
    path = written(tmp_path, data)
    expected = [line for _, line in lines_of(data)]
    for chunk_bytes in range(1, len(data) + 3):
        source = FileSource(path, TextLines(), chunk_bytes=chunk_bytes, ship=ship)
        assert entries(source) == expected, chunk_bytes


@NASTY
def test_a_line_belongs_to_the_range_where_its_first_byte_lies(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    lines = lines_of(data)
    for chunk_bytes in range(1, len(data) + 3):
        source = FileSource(path, TextLines(), chunk_bytes=chunk_bytes)
        ranges = [ByteRange(*piece.reference) for piece in source.cut()]
        assert [(part.start, part.end) for part in ranges] == [
            (start, min(start + chunk_bytes, len(data))) for start in range(0, len(data), chunk_bytes)
        ]
        assert chunks(source) == [[line for at, line in lines if part.start <= at < part.end] for part in ranges]


@NASTY
def test_every_line_is_located_by_its_number_and_first_byte(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    lines = lines_of(data)
    for chunk_bytes in (1, 2, 5, 1000):
        source = FileSource(path, TextLines(), chunk_bytes=chunk_bytes)
        reader, located = source.reader(), []
        for piece in source.cut():
            count = len(reader.parse(piece.reference, reader.read_block(piece.reference)))
            located += [reader.locate(piece.reference, index) for index in range(count)]
        assert located == [f"line {number} of {str(path)!r} (byte {at})" for number, (at, _) in enumerate(lines, 1)]


def test_the_files_read_by_hand_are_as_the_rules_say() -> None:
    assert lines_of(b"on\re\ntwo\r\r\n\rthree\nfour\r") == [
        (0, "on\re"),
        (5, "two\r"),
        (11, "\rthree"),
        (18, "four\r"),
    ]
    assert lines_of(BOM + b"a\n\n") == [(0, "a"), (5, "")]


def is_text(data: bytes) -> bool:
    """Return False for bytes that a source refuses by name, such as `bcd` NUL twice, which is valid UTF-16 as well."""
    try:
        check_text("any", data)
    except SourceError:
        return False
    return True


FRAGMENTS = [b"\n", b"\r\n", b"\r", b"a", b"bcd", "\u00e9".encode(), "\U0001f600".encode(), b"\0", b"x" * 40, BOM]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join), st.integers(1, 70))
@example(b"a\r\n", 2)
def test_any_text_is_read_as_by_hand(tmp_path_factory: pytest.TempPathFactory, data: bytes, chunk_bytes: int) -> None:
    assume(is_text(data))
    path = written(tmp_path_factory.mktemp("any"), data)
    source = FileSource(path, TextLines(), chunk_bytes=chunk_bytes)
    assert entries(source) == [line for _, line in lines_of(data)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=6), max_size=12).map(b"\n".join), st.integers(1, 30))
def test_any_bytes_are_read_when_errors_are_replaced(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, chunk_bytes: int
) -> None:
    assume(not data.startswith((b"\xff", b"\xfe", b"\x1f")) and b"\0" not in data and is_text(data))
    path = written(tmp_path_factory.mktemp("bytes"), data)
    whole = data.removeprefix(BOM).decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    expected = whole if whole[-1] else whole[:-1]
    assert entries(FileSource(path, TextLines(errors="replace"), chunk_bytes=chunk_bytes)) == expected


@pytest.mark.parametrize(
    ("data", "byte"),
    [
        (b"one\ntw\xffo\nthree\n", 6),
        (b"\xc3(\n", 0),
        (b"one\ntwo\n\xe2\x82", 8),
        (BOM + b"one\n\x80\n", 7),
        (b"a\r\nb\r\n\xed\xa0\x80\n", 6),
    ],
)
def test_bytes_that_are_not_text_are_named_wherever_the_file_is_cut(tmp_path: Path, data: bytes, byte: int) -> None:
    path = written(tmp_path, data)
    for chunk_bytes in range(1, len(data) + 2):
        with pytest.raises(DecodingError) as caught:
            entries(FileSource(path, TextLines(), chunk_bytes=chunk_bytes))
        assert (caught.value.path, caught.value.byte) == (str(path), byte)
    text = str(caught.value)
    assert text.startswith(f"{str(path)!r}, byte {byte}: not utf-8 text (")
    assert 'errors="replace"' in text
    assert "\n" not in text


def test_bytes_that_are_not_text_are_replaced_if_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, b"one\ntw\xffo\n\xe2\x82")
    assert entries(FileSource(path, TextLines(errors="replace"), chunk_bytes=3)) == ["one", "tw\ufffdo", "\ufffd"]


def test_other_encodings_that_keep_line_ends_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "caf\u00e9\nbar\n".encode("latin-1"))
    assert entries(FileSource(path, TextLines(encoding="latin-1"), chunk_bytes=2)) == ["caf\u00e9", "bar"]
    path.write_bytes("\u65e5\u672c\n\u8a9e\n".encode("shift_jis"))
    assert entries(FileSource(path, TextLines(encoding="SJIS"), chunk_bytes=2)) == ["\u65e5\u672c", "\u8a9e"]


def test_a_byte_order_mark_is_dropped_once_also_when_the_encoding_asks_for_it(tmp_path: Path) -> None:
    path = written(tmp_path, BOM + b"one\n" + BOM + b"two\n")
    for chunk_bytes in range(1, 16):
        source = FileSource(path, TextLines(encoding="utf-8-sig"), chunk_bytes=chunk_bytes)
        assert entries(source) == ["one", "\ufefftwo"]


def test_a_line_much_longer_than_what_is_read_at_a_time_arrives_whole(tmp_path: Path) -> None:
    lines = [b"a" * 300_000, b"b" * 9_000_000, b"c"]
    path = written(tmp_path, b"\n".join(lines))
    read = chunks(FileSource(path, TextLines(), chunk_bytes=100_000))
    assert [line for chunk in read for line in chunk] == [line.decode() for line in lines]
    assert [number for number, chunk in enumerate(read) if chunk] == [0, 3, 93]


def test_one_file_a_chunk_keeps_files_whole_and_counts_empty_ones(tmp_path: Path) -> None:
    for name, data in {"a": b"1\n2\n", "b": b"", "c": b"3"}.items():
        (tmp_path / name).write_bytes(data)
    source = FileSource(tmp_path, TextLines(), chunk_bytes=1, one_file_per_chunk=True)
    assert chunks(source) == [["1", "2"], [], ["3"]]
    assert source.expected_chunks() == 3


def test_the_number_of_chunks_is_known_before_they_are_cut(tmp_path: Path) -> None:
    for size in range(6):
        (tmp_path / str(size)).write_bytes(b"x" * size)
    for chunk_bytes in range(1, 8):
        source = FileSource(tmp_path, TextLines(), chunk_bytes=chunk_bytes)
        assert source.expected_chunks() == len(list(source.cut()))


def test_the_manifest_says_what_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"")
    assert FileSource([path], TextLines(errors="replace"), chunk_bytes=7).describe() == {
        "kind": "files",
        "paths": [str(path)],
        "format": "text",
        "encoding": "utf-8",
        "errors": "replace",
        "chunk_bytes": 7,
    }
    assert FileSource(path, TextLines(), one_file_per_chunk=True).describe()["chunk_bytes"] is None


def test_nothing_is_sent_of_a_range_in_which_no_line_begins(tmp_path: Path) -> None:
    path = written(tmp_path, b"a line of many bytes\nb\n")
    source = FileSource(path, TextLines(), chunk_bytes=7, ship="value")
    # The third range ends with the line end of the long line: what follows begins in the fourth.
    assert [piece.block for piece in source.cut()] == [b"a line of many bytes\n", b"", b"", b"\nb\n"]
