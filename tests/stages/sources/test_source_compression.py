"""Compressed files: one sequence of chunks each, read by the master; damage is named."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from source_samples import TEXTS, as_sent, assert_goes_on_anywhere, chunks, entries, lines_of

from elastic.core.errors import DecodingError
from elastic.stages.sources import CsvRecordFormat, FileSource, JsonLinesRecordFormat, TextLines

Compress = Callable[[bytes], bytes]

CODECS: dict[str, Compress] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
EVERY_CODEC = pytest.mark.parametrize(("suffix", "compress"), CODECS.items(), ids=CODECS)


@EVERY_CODEC
@pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)
def test_a_compressed_file_is_read_as_the_plain_one(
    tmp_path: Path, data: bytes, suffix: str, compress: Compress
) -> None:
    path = tmp_path / f"file.txt.{suffix}"
    path.write_bytes(compress(data))
    for chunk_bytes in range(1, len(data) + 3):
        source = FileSource(path, TextLines(), chunk_bytes=chunk_bytes)
        assert entries(source) == [line for _, line in lines_of(data)], chunk_bytes


@EVERY_CODEC
def test_several_members_behind_one_another_are_one_text(tmp_path: Path, suffix: str, compress: Compress) -> None:
    path = tmp_path / f"file.{suffix.upper()}"
    path.write_bytes(compress(b"one\ntw") + compress(b"") + compress(b"o\nthree") + compress(b"\nfour"))
    for chunk_bytes in (1, 5, 100):
        assert entries(FileSource(path, TextLines(), chunk_bytes=chunk_bytes)) == ["one", "two", "three", "four"]


def test_members_longer_than_what_is_read_at_a_time_are_one_text(tmp_path: Path) -> None:
    lines = [f"{number:x} {number**5}" for number in range(30_000)]
    for suffix, compress in CODECS.items():
        half = "\n".join(lines[:20_000]) + "\n"
        path = tmp_path / f"file.{suffix}"
        path.write_bytes(compress(half.encode()) + compress("\n".join(lines[20_000:]).encode()))
        assert path.stat().st_size > 100_000
        read = chunks(FileSource(path, TextLines(), chunk_bytes=50_000))
        assert [line for chunk in read for line in chunk] == lines
        sizes = [sum(len(line) + 1 for line in chunk) for chunk in read]
        assert all(50_000 <= size < 50_100 for size in sizes[:-1])


def test_zero_bytes_behind_a_gzip_member_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "tape.gz"
    path.write_bytes(gzip.compress(b"one\n") + bytes(50_000) + gzip.compress(b"two\n") + bytes(7))
    assert entries(FileSource(path, TextLines())) == ["one", "two"]


def test_frames_of_zstd_that_hold_no_data_are_passed_over(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    path = tmp_path / "file.zst"
    path.write_bytes(skippable + CODECS["zst"](b"one\ntwo") + skippable)
    assert entries(FileSource(path, TextLines())) == ["one", "two"]


@EVERY_CODEC
def test_a_file_that_ends_too_early_is_named_wherever_it_ends(tmp_path: Path, suffix: str, compress: Compress) -> None:
    path = tmp_path / f"file.{suffix}"
    stored = compress(b"one\ntwo\nthree\n" * 20)
    for size in range(1, len(stored)):
        path.write_bytes(stored[:size])
        with pytest.raises(DecodingError, match="ends too early") as caught:
            entries(FileSource(path, TextLines()))
        assert (caught.value.path, caught.value.byte) == (str(path), size)


@EVERY_CODEC
def test_a_file_of_no_bytes_has_no_entries(tmp_path: Path, suffix: str, compress: Compress) -> None:
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(b"")
    assert entries(FileSource(path, TextLines())) == []


@EVERY_CODEC
def test_a_file_that_only_calls_itself_compressed_is_named(tmp_path: Path, suffix: str, compress: Compress) -> None:
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(b"this is plain text, and more than a few bytes of it\n" * 3)
    with pytest.raises(DecodingError, match="rename it if it is not compressed") as caught:
        entries(FileSource(path, TextLines()))
    assert caught.value.path == str(path)


@pytest.mark.parametrize("suffix", ["gz", "bz2"])
def test_a_changed_byte_is_found_by_the_checksum_of_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file.{suffix}"
    stored = bytearray(CODECS[suffix](bytes(range(32, 120)) * 3))
    stored[-6] ^= 1
    path.write_bytes(stored)
    with pytest.raises(DecodingError) as caught:
        entries(FileSource(path, TextLines()))
    assert caught.value.path == str(path)


def test_bytes_that_are_not_text_are_named_by_their_place_in_the_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\nth\xffee\n"))
    for chunk_bytes in range(1, 20):
        with pytest.raises(DecodingError, match="not utf-8") as caught:
            entries(FileSource(path, TextLines(), chunk_bytes=chunk_bytes))
        assert (caught.value.path, caught.value.byte) == (str(path), 10)


@EVERY_CODEC
def test_entries_of_a_compressed_file_are_located(tmp_path: Path, suffix: str, compress: Compress) -> None:
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(compress(b"one\n\ntwo\nthree"))
    for chunk_bytes in (1, 5, 100):
        source = FileSource(path, TextLines(), chunk_bytes=chunk_bytes)
        reader, located = source.reader(), []
        for piece in source.cut():
            assert piece.block is not None
            count = len(reader.parse(piece.reference, piece.block))
            located += [reader.locate(as_sent(piece.reference), index) for index in range(count)]
        expected = [(1, 0), (2, 4), (3, 5), (4, 9)]
        assert located == [f"line {line} of {str(path)!r} (byte {byte})" for line, byte in expected]


@EVERY_CODEC
def test_a_block_cut_by_the_master_can_be_read_again_from_its_reference(
    tmp_path: Path, suffix: str, compress: Compress
) -> None:
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(compress(b"one\ntwo\r\nthree\nfour"))
    for chunk_bytes in range(1, 21):
        source = FileSource(path, TextLines(), chunk_bytes=chunk_bytes)
        for piece in source.cut():
            assert source.reader().read_block(as_sent(piece.reference)) == piece.block


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"\n", b"bc\n", b"\r\n", b"d" * 30]), max_size=20), st.integers(1, 40))
def test_a_compressed_file_can_be_cut_again_at_any_piece(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], chunk_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("resume")
    for name, compress in CODECS.items():
        (folder / f"{name}.{name}").write_bytes(b"".join(map(compress, parts)))
    assert_goes_on_anywhere(*(FileSource(folder, TextLines(), chunk_bytes=chunk_bytes) for _ in "ab"))


def test_formats_and_kinds_of_files_can_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "2.csv.gz").write_bytes(gzip.compress(b"a,b\n3,4\n"))
    rows = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    for chunk_bytes in (1, 5, 100):
        assert entries(FileSource(tmp_path, CsvRecordFormat(), chunk_bytes=chunk_bytes)) == rows
    (tmp_path / "2.csv.gz").write_bytes(gzip.compress(b"b,a\n3,4\n"))
    with pytest.raises(DecodingError, match="header is b, a"):
        entries(FileSource(tmp_path, CsvRecordFormat()))
    (tmp_path / "lines.jsonl.zst").write_bytes(CODECS["zst"](b'{"a": 1}\n\n[2]'))
    assert entries(FileSource(tmp_path / "lines.jsonl.zst", JsonLinesRecordFormat(), chunk_bytes=3)) == [{"a": 1}, [2]]


def test_how_many_chunks_a_compressed_file_gives_is_not_known_before(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"three\n"))
    (tmp_path / "c.gz").write_bytes(gzip.compress(b""))
    assert FileSource(tmp_path, TextLines()).expected_chunks() is None
    whole = FileSource(tmp_path, TextLines(), one_file_per_chunk=True)
    assert whole.expected_chunks() == 3
    assert chunks(whole) == [["one", "two"], ["three"], []]


def test_a_block_ends_with_the_record_that_fills_it(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\nthree\nfour\n"))
    for chunk_bytes, sizes in ((4, [4, 4, 6, 5]), (5, [8, 6, 5]), (8, [8, 11]), (14, [14, 5]), (15, [19])):
        pieces = FileSource(path, TextLines(), chunk_bytes=chunk_bytes).cut()
        assert [len(piece.block or b"") for piece in pieces] == sizes
