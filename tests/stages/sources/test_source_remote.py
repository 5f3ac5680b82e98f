"""Files behind URLs, read through fsspec."""

import gzip
import importlib.util
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from source_samples import TEXTS, as_sent, assert_goes_on_anywhere, entries, entries_of, lines_of

import elastic
from elastic.core.errors import DecodingError, SourceChangedError, SourceError, SourceNotFoundError, UsageError
from elastic.stages.sources import CsvRecordFormat, FileSource, TextLines
from elastic.stages.sources.files.remote import masked

fsspec = pytest.importorskip("fsspec", reason="the extra `files` is not installed")


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system that fsspec keeps in memory, with nothing in it."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


@pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("ship", ["reference", "value"])
def test_a_remote_file_is_read_as_a_local_one(memory: Any, data: bytes, ship: str) -> None:
    memory.pipe("/folder/file.txt", data)
    for chunk_bytes in (1, 2, 3, 7, len(data) + 1):
        source = FileSource("memory://folder/file.txt", TextLines(), chunk_bytes=chunk_bytes, ship=ship)
        assert entries(source) == [line for _, line in lines_of(data)], chunk_bytes


def test_remote_globs_and_folders_are_read_in_order(memory: Any) -> None:
    for name in ("b.txt", "a.txt", "c.log", "sub/d.txt", ".hidden", "sub/.git/config"):
        memory.pipe(f"/tree/{name}", name.encode())
    memory.pipe("/tree/e.gz", gzip.compress(b"e.gz"))
    assert entries(FileSource("memory://tree", TextLines())) == ["a.txt", "b.txt", "c.log", "e.gz", "sub/d.txt"]
    assert entries(FileSource("memory://tree/*.txt", TextLines())) == ["a.txt", "b.txt"]
    assert entries(FileSource(["memory://tree/sub", "memory://tree/c.log"], TextLines())) == ["sub/d.txt", "c.log"]


def test_remote_globs_pass_over_what_remote_folders_do(memory: Any) -> None:
    for name in ("a.txt", "_b.txt", ".c.txt", "_SUCCESS", "sub/d.txt", "sub/_staging/e.txt", "sub/.f/g.txt"):
        memory.pipe(f"/tree/{name}", name.encode())
    for given in ("", "/", "/**", "/**/*"):
        assert entries(FileSource(f"memory://tree{given}", TextLines())) == ["_b.txt", "a.txt", "sub/d.txt"], given
    assert entries(FileSource("memory://tree/*", TextLines())) == ["_b.txt", "a.txt"]
    assert entries(FileSource("memory://tree/*/*", TextLines())) == ["sub/d.txt"]
    assert entries(FileSource("memory://tree/.*", TextLines())) == [".c.txt"]
    with pytest.raises(SourceNotFoundError, match="matches no file"):
        entries(FileSource("memory://tree/*.csv", TextLines()))


_PATTERNS = (
    "",
    "/**",
    "/*",
    "/*/*",
    "/s*/**/*.txt",
    "/**/d.txt",
    "/sub/[a-d].txt",
    "/.*",
    "/deep/**",
    "/out/part-*",
    "/o*/**",
)


@pytest.mark.parametrize("pattern", _PATTERNS)
def test_a_look_finds_the_files_of_a_run_in_their_order(memory: Any, pattern: str) -> None:
    files = (
        "sub.txt",
        "sub-a",
        "sub/d.txt",
        "sub/.f/g.txt",
        "sub/_staging/e.txt",
        "deep/a/b/c/d.txt",
        "a.txt",
        "z/a",
        "z.a",
    )
    for name in (*files, "out/part-0", "out/part-9", "out/key=1/part-1", "out/key=1/part-2"):
        memory.pipe(f"/tree/{name}", name.encode())
    named = [{"file": name, "bytes": len(f"out/{name}")} for name in ("part-0", "key=1/part-1")]
    memory.pipe("/tree/out/_manifest.json", json.dumps({"files": named}).encode())
    source = FileSource(f"memory://tree{pattern}", TextLines())
    try:
        expected = entries(source)
    except SourceNotFoundError as error:
        with pytest.raises(SourceNotFoundError, match="matches no file"):
            list(source.peek(whole_chunks=False))
        assert "matches no file" in str(error)
    else:
        assert _peeked(source) == expected


def test_a_look_lists_only_the_folders_that_it_needs(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in "abc":
        memory.pipe({f"/tree/{folder}/{number}.txt": b"x\n" for number in range(3)})
    listed = list[str]()
    find, listing = memory.find, memory.ls
    monkeypatch.setattr(memory, "find", lambda path, **options: listed.append(f"{path}/**") or find(path, **options))
    monkeypatch.setattr(memory, "ls", lambda path, **options: listed.append(path) or listing(path, **options))
    assert elastic.read_text("memory://tree").take(2) == ["x", "x"]
    assert listed == ["/tree", "/tree/a"]


def test_the_mark_of_an_empty_folder_hides_no_file_from_a_look(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/tree/a/b.txt", b"b")
    memory.pipe("/tree/c.txt", b"c")
    listing = memory.ls

    def marked(path: str, **options: Any) -> Any:
        return [{"name": path, "size": 0, "type": "directory"}, *listing(path, **options)]

    # As stores of objects do where a client has created a folder.
    monkeypatch.setattr(memory, "ls", marked)
    assert _peeked(FileSource("memory://tree", TextLines())) == ["b", "c"]


def _peeked(source: FileSource) -> list[Any]:
    pieces = source.peek(whole_chunks=False)
    reader = source.reader()
    return [entry for _, piece in pieces for entry in entries_of(reader, piece)]


def test_in_a_remote_folder_with_a_manifest_exactly_what_it_names_is_read(memory: Any) -> None:
    files = [{"file": "part-0", "bytes": 6}, {"file": "key=1/part-1", "bytes": 12}]
    memory.pipe("/t/out/_manifest.json", json.dumps({"files": files}).encode())
    for name in ("part-0", "part-9", "key=1/part-1", "key=2/part-2"):
        memory.pipe(f"/t/out/{name}", name.encode())
    memory.pipe("/t/beside", b"beside")
    for given in ("out", "out/**", "o*/**"):
        assert entries(FileSource(f"memory://t/{given}", TextLines())) == ["key=1/part-1", "part-0"], given
    assert entries(FileSource("memory://t", TextLines())) == ["beside", "key=1/part-1", "part-0"]
    assert entries(FileSource("memory://t/out/part-*", TextLines())) == ["part-0"]
    assert entries(FileSource("memory://t/out/part-9", TextLines())) == ["part-9"]
    memory.pipe("/t/out/part-0", b"changed")
    with pytest.raises(SourceError, match=r"has 7 bytes, but _manifest\.json says 6"):
        entries(FileSource("memory://t/out", TextLines()))
    memory.rm("/t/out/part-0")
    with pytest.raises(SourceError, match="'/t/out/part-0' is missing"):
        entries(FileSource("memory://t", TextLines()))
    memory.rm("/t/out/_manifest.json")
    memory.pipe("/t/out/_unfinished.json", b'{"run_id": "r1", "epoch": 1}')
    with pytest.raises(SourceError, match="is incomplete: run r1"):
        entries(FileSource("memory://t/**", TextLines()))


def test_local_and_remote_files_can_be_mixed(memory: Any, tmp_path: Path) -> None:
    (tmp_path / "local").write_text("one\n")
    memory.pipe("/remote", b"two\n")
    assert entries(FileSource(["memory://remote", tmp_path / "local"], TextLines())) == ["two", "one"]


def test_remote_tables_have_the_header_of_the_first(memory: Any) -> None:
    memory.pipe("/t/1.csv", b"a,b\n1,2\n3,4\n")
    memory.pipe("/t/2.csv", b"a,b\n5,6\n")
    assert [row["b"] for row in entries(FileSource("memory://t", CsvRecordFormat(), chunk_bytes=5))] == ["2", "4", "6"]
    memory.pipe("/t/3.csv", b"b,a\n7,8\n")
    with pytest.raises(DecodingError, match="header is b, a") as caught:
        entries(FileSource("memory://t", CsvRecordFormat(), chunk_bytes=5))
    assert caught.value.path == "memory:///t/3.csv"


def test_remote_files_can_be_cut_again_at_any_piece(memory: Any) -> None:
    memory.pipe("/t/1", b"one\ntwo\nthree\n")
    memory.pipe("/t/2.gz", gzip.compress(b"four\nfive\nsix"))
    for chunk_bytes in (1, 6, 100):
        assert_goes_on_anywhere(*(FileSource("memory://t", TextLines(), chunk_bytes=chunk_bytes) for _ in "ab"))


def test_files_that_only_this_process_sees_are_read_by_it_unless_asked_otherwise(memory: Any) -> None:
    memory.pipe("/file", b"one\n")
    shipped = {ship: list(FileSource("memory://file", TextLines(), ship=ship).cut()) for ship in ("auto", "reference")}
    assert [piece.block for piece in shipped["auto"]] == [b"one\n"]
    assert [piece.block for piece in shipped["reference"]] == [None]


def test_no_node_is_asked_for_the_path_of_a_remote_file(memory: Any) -> None:
    memory.pipe("/file", b"one\n")
    source = FileSource("memory://file", TextLines())
    (piece,) = source.cut()
    assert source.reader().probes(as_sent(piece.reference)) is None


def test_entries_of_a_remote_file_are_located_by_their_byte(memory: Any) -> None:
    memory.pipe("/file", b"one\ntwo\nthree\n")
    source = FileSource("memory://file", TextLines(), chunk_bytes=5)
    pieces = list(source.cut())
    assert source.reader().locate(as_sent(pieces[1].reference), 0) == "byte 8 of 'memory:///file'"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory://none", "does not exist"),
        ("memory://tree/*.csv", "matches no file"),
        ("memory://tree/void", "is a folder without files"),
    ],
)
def test_a_url_that_names_nothing_is_named(memory: Any, url: str, reason: str) -> None:
    memory.pipe("/tree/a.txt", b"")
    memory.makedirs("/tree/void")
    with pytest.raises(SourceNotFoundError, match=reason) as caught:
        FileSource(url, TextLines()).cut()
    assert repr(url) in str(caught.value)


def test_a_remote_file_that_is_written_again_or_removed_is_noticed(memory: Any) -> None:
    memory.pipe("/file", b"one\n")
    source = FileSource("memory://file", TextLines(), ship="reference")
    reader, (piece,) = source.reader(), list(source.cut())
    memory.pipe("/file", b"two\n")
    with pytest.raises(SourceChangedError, match=r"'memory:///file' changed .*it was rewritten"):
        reader.read_block(piece.reference)
    with pytest.raises(SourceChangedError, match="memory://file"):
        source.cut(piece.position)
    memory.pipe("/file", b"three\n")
    with pytest.raises(SourceChangedError, match="it had 4 bytes and has 6"):
        reader.read_block(piece.reference)
    memory.rm("/file")
    with pytest.raises(SourceNotFoundError, match="'memory:///file' is gone"):
        reader.read_block(piece.reference)


def test_a_file_system_on_disk_is_opened_by_another_process(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inside/b.txt", "three\n")
        archive.writestr("inside/a.txt", "one\ntwo\n")
    source = FileSource(
        "zip://inside/*.txt", TextLines(), chunk_bytes=4, storage_options={"fo": str(tmp_path / "a.zip")}
    )
    pieces = [(piece.reference, piece.block) for piece in source.cut()]
    assert [block for _, block in pieces] == [None] * 4
    work = pickle.dumps((source.reader(), [reference for reference, _ in pieces]))
    code = (
        "import pickle, sys\n"
        "reader, references = pickle.loads(sys.stdin.buffer.read())\n"
        "print([reader.parse(each, reader.read_block(each)) for each in references])\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], input=work, capture_output=True, check=False)
    assert (done.stdout.decode(), done.stderr.decode()) == ("[['one'], ['two'], ['three'], []]\n", "")


def test_without_the_extra_a_url_is_refused_and_local_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one\n")
    code = (
        "import sys\n"
        "sys.modules['fsspec'] = None\n"
        "from elastic.stages.sources import FileSource, TextLines\n"
        f"assert len(list(FileSource({str(tmp_path / 'file')!r}, TextLines()).cut())) == 1\n"
        "try:\n"
        "    FileSource('s3://bucket/key', TextLines()).cut()\n"
        "except ValueError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("UsageError reading 's3://bucket/key' needs the package 'fsspec'"), done.stderr
    assert "elastic-dataflow[files]" in done.stdout


def test_reading_local_files_does_not_import_fsspec(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one\n")
    code = (
        "import sys\n"
        "from elastic.stages.sources import FileSource, TextLines\n"
        f"list(FileSource({str(tmp_path)!r}, TextLines()).cut())\n"
        "print(sorted({'fsspec', 'sqlalchemy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_protocol_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'nosuch://a/b' cannot be read \(.*nosuch.*check the protocol"):
        FileSource("nosuch://a/b", TextLines()).cut()


@pytest.mark.skipif(importlib.util.find_spec("dropboxdrivefs") is not None, reason="this package is installed")
def test_a_protocol_whose_package_is_missing_is_refused() -> None:
    with pytest.raises(UsageError, match="reading 'dropbox://a/b' needs another package on every node"):
        FileSource("dropbox://a/b", TextLines()).cut()


def test_a_store_that_fails_is_named_without_the_password(tmp_path: Path) -> None:
    url = "zip://user:secret@inside"
    with pytest.raises(SourceError) as caught:
        FileSource(url, TextLines(), storage_options={"fo": str(tmp_path / "none.zip")}).cut()
    assert "secret" not in str(caught.value)
    assert "none.zip" in str(caught.value)
    assert FileSource(url, TextLines()).describe()["paths"] == ["zip://user:***@inside"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://user:secret@host/a@b:c", "ftp://user:***@host/a@b:c"),
        ("ftp://user:se@cret@host/a", "ftp://user:***@host/a"),
        ("ftp://user@host/a", "ftp://user@host/a"),
        ("s3://bucket/key:with@signs", "s3://bucket/key:with@signs"),
        ("s3://bucket", "s3://bucket"),
    ],
)
def test_a_password_in_a_url_is_not_shown(url: str, shown: str) -> None:
    assert masked(url) == shown
