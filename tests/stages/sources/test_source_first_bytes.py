"""Files that are not the text that a reader expects: one sentence says what they are and what to do."""

import bz2
import gzip
import io
import lzma
import os
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard
from source_samples import chunks, entries

import elastic
from elastic.core.errors import SourceError, StepFailedError
from elastic.stages.sources import CsvRecordFormat, FileSource, JsonLinesRecordFormat, TextLines

TEXT = b"one,two\n" * 200


def tar(format: int = tarfile.GNU_FORMAT) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=format) as archive:
        member = tarfile.TarInfo("inside.txt")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
    return data.getvalue()


def old_tar() -> bytes:
    """Return the archive of a program that is older than the signature."""
    data = bytearray(tar())
    data[257:265], data[148:156] = bytes(8), b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("inside.txt", TEXT)
    return data.getvalue()


def frame(write: str) -> bytes:
    data = io.BytesIO()
    getattr(pl.DataFrame({"a": [1, 2]}), write)(data)
    return data.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE a (b)")
        return connection.serialize()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"

#: What a file holds, what the message calls it, and what it advises.
FOREIGN: dict[str, tuple[bytes, str, str]] = {
    "gzip": (gzip.compress(TEXT), "gzip data", "the suffix .gz"),
    "bzip2": (bz2.compress(TEXT), "bzip2 data", "the suffix .bz2"),
    "zstd": (zstandard.ZstdCompressor().compress(TEXT), "Zstandard data", "the suffix .zst"),
    "xz": (lzma.compress(TEXT), "xz data", "the suffix .xz"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40\xa7" + TEXT, "LZ4 data", "decompress it"),
    "zip": (archive(), "a zip archive", "unpack it"),
    "tar": (tar(), "a tar archive", "unpack it"),
    "posix tar": (tar(tarfile.PAX_FORMAT), "a tar archive", "unpack it"),
    "old tar": (old_tar(), "a tar archive", "unpack it"),
    "parquet": (frame("write_parquet"), "a Parquet file", "read_parquet"),
    "arrow": (frame("write_ipc"), "an Arrow file", "from_iterable"),
    "avro": (frame("write_avro"), "an Avro file", "from_iterable"),
    "sqlite": (database(), "a SQLite database", "read_sql"),
    "png": (PNG, "a PNG image", "leave it out"),
    "pdf": (b"%PDF-1.7\n1 0 obj\n", "a PDF document", "leave it out"),
    "utf-16 with a mark": (TEXT.decode().encode("utf-16"), "text in UTF-16", "encoding='utf-16'"),
    "utf-32 with a mark": (TEXT.decode().encode("utf-32"), "text in UTF-32", "encoding='utf-32'"),
    "big-endian with a mark": (b"\xfe\xff" + TEXT.decode().encode("utf-16-be"), "text in UTF-16", "encoding='utf-16'"),
    "utf-16-le": (TEXT.decode().encode("utf-16-le"), "text in UTF-16-LE", "encoding='utf-16-le'"),
    "utf-16-be": (TEXT.decode().encode("utf-16-be"), "text in UTF-16-BE", "encoding='utf-16-be'"),
    "utf-32-le": (TEXT.decode().encode("utf-32-le"), "text in UTF-32-LE", "encoding='utf-32-le'"),
    "utf-32-be": (TEXT.decode().encode("utf-32-be"), "text in UTF-32-BE", "encoding='utf-32-be'"),
    "cyrillic": (
        "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440\n".encode("utf-16-le") * 9,
        "text in UTF-16-LE",
        "encoding=",
    ),
    "thai": ("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\n".encode("utf-16-be") * 9, "text in UTF-16-BE", "encoding="),
    "lzma": (lzma.compress(TEXT, format=lzma.FORMAT_ALONE), "LZMA data", "decompress it"),
    "wide text of some zeros": ("d\u00e9j\u00e0 \u4e2d vu\n".encode("utf-16-le"), "text in UTF-16-LE", "encoding="),
}
EVERY_KIND = pytest.mark.parametrize(("data", "what", "advice"), FOREIGN.values(), ids=FOREIGN)
READERS = [elastic.read_text, elastic.read_jsonl, elastic.read_csv]


def assert_named(flow: elastic.Flow, path: Path, *words: str) -> None:
    with pytest.raises(elastic.ElasticError) as caught:
        flow.aggregate("size").run(cluster="inline")
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, SourceError):
        error = error.__cause__
    message = str(error or caught.value)
    assert all(word in message for word in (repr(str(path)), *words)), message
    assert "\n" not in message


@EVERY_KIND
@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_no_text_is_named(
    tmp_path: Path, read: Callable[..., elastic.Flow], data: bytes, what: str, advice: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert_named(read(tmp_path), path, f"is {what}", advice)
    assert_named(read(tmp_path, errors="replace", encoding="latin-1"), path, f"is {what}", advice)


@EVERY_KIND
def test_a_large_file_that_is_no_text_is_named_before_a_piece_of_it_is_cut(
    tmp_path: Path, data: bytes, what: str, advice: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data * (200_000 // len(data)))
    with pytest.raises(SourceError, match=f"is {what} "):
        next(FileSource(path, TextLines(), chunk_bytes=1 << 16).cut())


def test_the_error_of_a_run_names_a_small_archive_without_blaming_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_bytes(tar())
    with pytest.raises(StepFailedError) as caught:
        elastic.read_text(path).aggregate("size").run(cluster="inline")
    advice = "is a tar archive and cannot be read as lines; unpack it and read the files in it."
    assert caught.value.reason == f"the source cannot be read (chunk 0): {str(path)!r} {advice}"


@EVERY_KIND
def test_a_compressed_file_that_holds_no_text_is_named(tmp_path: Path, data: bytes, what: str, advice: str) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(data))
    advice = "decompress it" if "suffix" in advice else advice
    for form in (TextLines(), JsonLinesRecordFormat(), CsvRecordFormat(), CsvRecordFormat(newlines_in_values=True)):
        with pytest.raises(SourceError, match=f"is gzip data that contains {what} ") as caught:
            entries(FileSource(path, form))
        assert advice in str(caught.value)


@EVERY_KIND
def test_a_remote_file_that_is_no_text_is_named(tmp_path: Path, data: bytes, what: str, advice: str) -> None:
    fsspec = pytest.importorskip("fsspec", reason="the extra `files` is not installed")
    fsspec.filesystem("memory").pipe("/foreign/file", data)
    with pytest.raises(SourceError, match=f"is {what} "):
        entries(FileSource("memory://foreign", TextLines()))


@pytest.mark.parametrize("name", ["logs.tgz", "logs.TBZ2", "logs.txz"])
def test_the_suffix_gz_is_not_advised_for_an_archive(tmp_path: Path, name: str) -> None:
    compress = {"g": gzip.compress, "B": bz2.compress, "x": lzma.compress}[name[6]]
    (tmp_path / name).write_bytes(compress(tar()))
    with pytest.raises(SourceError, match="; unpack it and read the files in it"):
        entries(FileSource(tmp_path, TextLines()))


def test_xz_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file.xz"
    path.write_bytes(lzma.compress(b"one\ntw") + lzma.compress(b"") + bytes(8) + lzma.compress(b"o\nthree"))
    for chunk_bytes in (1, 5, 100):
        assert entries(FileSource(path, TextLines(), chunk_bytes=chunk_bytes)) == ["one", "two", "three"]
    path.write_bytes(lzma.compress(TEXT)[:-20])
    with pytest.raises(SourceError, match="the xz data ends too early"):
        entries(FileSource(path, TextLines()))


@pytest.mark.parametrize(
    "text",
    [
        b"ORCA\n",
        b"PAR1 is a word\n",
        b"BZh\n",
        b"GIF89a\n",
        b"FEA1,2\n",
        b"PK\n",
        b"\0\n\0\n\0\n\0\n\0\n",
        bytes(600),
        b"a\tb\tc\nd\te\0f",
    ],
)
def test_text_that_only_resembles_another_kind_of_file_is_read(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "file").write_bytes(text)
    assert entries(FileSource(tmp_path, TextLines())) == text.decode().removesuffix("\n").split("\n")


def test_files_of_the_system_that_say_that_they_are_empty_are_not_counted_as_empty(tmp_path: Path) -> None:
    assert Path("/proc/cpuinfo").stat().st_size == 0
    (tmp_path / "link").symlink_to("/proc/cpuinfo")
    (tmp_path / "empty").touch()
    for read in READERS:
        assert_named(read("/proc/cpuinfo"), Path("/proc/cpuinfo"), "reports 0 bytes but has content")
        assert_named(read(tmp_path), tmp_path / "link", "has content", "from_iterable")
    with pytest.raises(SourceError, match="has content"):
        FileSource("/proc/cpuinfo", TextLines()).expected_chunks()
    (tmp_path / "link").unlink()
    assert chunks(FileSource(tmp_path, TextLines(), one_file_per_chunk=True)) == [[]]


def test_a_file_is_opened_once_for_each_of_its_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_bytes(TEXT)
    seen: list[str] = []
    counted = open

    def opening(path: str, *rest: str) -> object:
        seen.append(os.fspath(path))
        return counted(path, *rest)

    monkeypatch.setattr("builtins.open", opening)
    assert len(entries(FileSource(tmp_path, TextLines()))) == 1000
    assert seen == [str(tmp_path / str(number)) for number in range(5)]
