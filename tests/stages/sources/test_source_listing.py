"""Paths, globs and folders become files in a fixed order, or an error that names what is not there."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_samples import entries, without_privileges

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.stages.sources import FileSource, JsonLinesRecordFormat, TextLines
from elastic.stages.sources.files.glob_pattern import is_path_match


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files that hold their own path below the folder."""
    names = ["b.txt", "a.txt", "c.log", ".hidden", "sub/z.txt", "sub/deep/y.txt", "sub/.git/config", ".cache/x.txt"]
    for name in [*names, "[odd]*.txt"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "void").mkdir()
    return tmp_path


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user of the machine can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def names(*paths: object) -> list[str]:
    """Return what the files that paths name hold, in the order in which they are read."""
    return entries(FileSource(list(paths), TextLines()))  # type: ignore[arg-type]


def assert_refused(path: object, error: type[SourceError], *words: str) -> None:
    """Check that using the source says in one sentence what is wrong with a path, before there is a piece."""
    for use in (FileSource.cut, FileSource.expected_chunks):
        with pytest.raises(error) as caught:
            use(FileSource(path, TextLines()))  # type: ignore[arg-type]
        message = str(caught.value)
        assert all(word in message for word in words), message
        assert "\n" not in message
        assert message.endswith(".")


def test_a_folder_stands_for_all_files_below_it_that_are_not_hidden(tree: Path) -> None:
    assert names(tree) == ["[odd]*.txt", "a.txt", "b.txt", "c.log", "sub/deep/y.txt", "sub/z.txt"]


def test_a_glob_stands_for_the_files_that_it_matches(tree: Path) -> None:
    assert names(tree / "*.txt") == ["[odd]*.txt", "a.txt", "b.txt"]
    assert names(tree / "*") == ["[odd]*.txt", "a.txt", "b.txt", "c.log"]
    assert names(tree / "**/*.txt") == ["[odd]*.txt", "a.txt", "b.txt", "sub/deep/y.txt", "sub/z.txt"]
    assert names(tree / "[ab].txt") == ["a.txt", "b.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree: Path) -> None:
    assert names(tree / "[odd]*.txt") == ["[odd]*.txt"]


def test_a_hidden_file_is_read_if_it_is_named(tree: Path) -> None:
    assert names(tree / ".hidden", tree / "sub/.git") == [".hidden", "sub/.git/config"]


def test_a_list_is_read_in_its_order_and_no_file_twice(tree: Path) -> None:
    assert names(tree / "sub", str(tree / "c.log"), tree / "*.txt", tree / "c.log", tree / "sub/z.txt") == [
        *("sub/deep/y.txt", "sub/z.txt"),
        "c.log",
        *("[odd]*.txt", "a.txt", "b.txt"),
    ]


def test_paths_are_found_from_the_folder_and_the_home_of_the_user(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "sub")
    monkeypatch.setenv("HOME", str(tree))
    assert names("z.txt", "../a.txt", "~/b.txt") == ["sub/z.txt", "a.txt", "b.txt"]
    source = FileSource("z.txt", TextLines())
    (piece,) = source.cut()
    monkeypatch.chdir(tree)
    assert source.reader().read_block(piece.reference) == b"sub/z.txt"


def test_a_file_url_is_a_local_path(tree: Path) -> None:
    (tree / "with space.txt").write_text("spaced")
    assert names(f"file://{tree}/a.txt", f"file://{tree}/with%20space.txt") == ["a.txt", "spaced"]


def test_links_to_files_are_read_and_links_to_folders_are_not_entered(tree: Path) -> None:
    folder = tree / "links"
    folder.mkdir()
    (folder / "file").symlink_to(tree / "a.txt")
    (folder / "loop").symlink_to(folder)
    assert names(folder) == ["a.txt"]


FOLDER_AND_GLOBS = pytest.mark.parametrize("given", ["", "**", "**/*", "**/*.txt"])


@FOLDER_AND_GLOBS
def test_a_file_is_read_once_although_links_to_folders_lead_to_it_again(tmp_path: Path, given: str) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/one.txt").write_text("one")
    (tmp_path / "a/b/up").symlink_to("../..")
    (tmp_path / "b2").symlink_to("b")
    (tmp_path / "again").symlink_to(".")
    (tmp_path / "outside").symlink_to("/proc/self/cwd")
    (tmp_path / "b2").unlink()
    (tmp_path / "b2").symlink_to("a/b")
    assert names(f"{tmp_path}/{given}") == ["one"]


@FOLDER_AND_GLOBS
def test_a_file_and_the_links_to_it_are_read_once_and_hard_links_are_files_of_their_own(tree: Path, given: str) -> None:
    folder = tree / "links"
    folder.mkdir()
    (folder / "1.txt").symlink_to("2.txt")
    (folder / "2.txt").write_text("two")
    (folder / "3.txt").symlink_to(folder / "1.txt")
    (folder / "4.txt").symlink_to("../a.txt")
    (folder / "5.txt").symlink_to(tree / "void/../a.txt")
    (folder / "6.txt").hardlink_to(folder / "2.txt")
    assert names(f"{folder}/{given}") == ["two", "a.txt", "two"]


def test_links_are_followed_where_a_path_or_one_star_leads_through_them(tree: Path) -> None:
    (tree / "void/linked").symlink_to(tree / "sub")
    assert names(tree / "void/linked") == ["sub/deep/y.txt", "sub/z.txt"]
    assert names(tree / "void/linked/*.txt") == ["sub/z.txt"]
    assert names(tree / "void/*/*.txt") == ["sub/z.txt"]
    assert names(tree / "*/*/z.txt", tree / "sub/z.txt") == ["sub/z.txt"]
    assert_refused(tree / "void", SourceNotFoundError, "is a folder without files")


def test_a_path_that_is_named_twice_through_a_link_is_read_once(tree: Path) -> None:
    (tree / "void/linked").symlink_to(tree / "sub")
    assert names(tree / "sub", tree / "void/linked") == ["sub/deep/y.txt", "sub/z.txt"]


@FOLDER_AND_GLOBS
def test_hidden_names_and_marks_of_a_write_are_passed_over_and_other_underscores_are_data(
    tmp_path: Path, given: str
) -> None:
    kept = ["_SUCCESS.txt", "__init__.py.txt", "_a.txt", "_staging", "sub/_b.txt"]
    for name in [*kept, "_SUCCESS", "sub/_SUCCESS", "x/_staging/c.txt", ".d.txt", "x/.e/f.txt"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert names(f"{tmp_path}/{given}") == [name for name in kept if "*." not in given or name.endswith(".txt")]
    assert names(tmp_path / "_SUCCESS", tmp_path / "x/_staging") == ["_SUCCESS", "x/_staging/c.txt"]
    assert names(tmp_path / ".*.txt", tmp_path / "x/.*/*") == [".d.txt", "x/.e/f.txt"]


def manifest(folder: Path, **files: int) -> None:
    told = {"files": [{"file": name.replace("__", "/") + ".txt", "bytes": size} for name, size in files.items()]}
    (folder / "_manifest.json").write_text(json.dumps(told))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder that a write has left, with files of attempts that lost, beside a file that is no result."""
    folder = tmp_path / "out"
    for name in ("part-0.txt", "key=1/part-1.txt", "part-9.txt", "result-1-a.txt", "key=2/part-2.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    manifest(folder, **{"part-0": 10, "key=1__part-1": 16})
    (tmp_path / "beside.txt").write_text("beside.txt")
    return folder


def test_in_a_folder_with_a_manifest_exactly_what_it_names_is_read(written: Path) -> None:
    assert names(written) == names(written / "**") == names(written / "**/*.txt") == ["key=1/part-1.txt", "part-0.txt"]
    assert names(written / "*") == names(written / "part*.txt") == ["part-0.txt"]
    assert names(written.parent) == ["beside.txt", "key=1/part-1.txt", "part-0.txt"]
    assert names(written / "part-9.txt") == ["part-9.txt"]
    manifest(written)
    assert names(written) == []


def test_a_file_that_a_manifest_names_and_that_is_gone_or_another_is_named(written: Path) -> None:
    (written / "part-0.txt").write_text("longer than it was")
    part = repr(str(written / "part-0.txt"))
    assert_refused(written, SourceError, part, "has 18 bytes, but _manifest.json says 10")
    (written / "part-0.txt").unlink()
    for given in (written, written / "*.txt", written.parent):
        assert_refused(given, SourceError, part, "is missing, but _manifest.json in")
    assert names(written / "key*/*") == ["key=1/part-1.txt"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"files": 1}', '{"files": [{"file": "a"}]}', '{"files": [{"file": "../a", "bytes": 1}]}'),
        *('{"files": [{"file": "/etc/passwd", "bytes": 1}]}', '{"files": [{"file": "a", "bytes": true}]}'),
        *(
            "[" * 100_000,
            *(json.dumps({"files": [{"file": name, "bytes": 1}]}) for name in (".a", "_SUCCESS", "_staging/a")),
        ),
    ],
    ids=range(12),
)
def test_a_manifest_that_is_none_is_refused_rather_than_read_around(written: Path, text: str) -> None:
    (written / "_manifest.json").write_text(text)
    assert_refused(written, SourceError, repr(str(written)), "_manifest.json", "by name")


def test_a_manifest_that_cannot_be_read_is_named_and_not_waited_for(written: Path) -> None:
    manifest = written / "_manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    assert_refused(written, SourceError, repr(str(manifest)), "is a named pipe")
    manifest.unlink()
    manifest.symlink_to("nowhere")
    assert_refused(written, SourceError, repr(str(manifest)), "cannot be read")


def test_a_folder_that_is_called_like_a_manifest_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "_manifest.json").mkdir()
    (tmp_path / "_manifest.json/a").write_text("a")
    assert names(tmp_path) == ["a"]


def test_a_manifest_without_permission_is_named(public_folder: Path) -> None:
    (public_folder / "_manifest.json").write_text("{}")
    (public_folder / "_manifest.json").chmod(0)
    with without_privileges():
        assert_refused(public_folder, SourceError, "_manifest.json", "Permission denied", "check its permissions")


def test_the_time_of_a_glob_does_not_grow_with_the_number_of_ways_to_a_file(tmp_path: Path) -> None:
    # 60 folders and 8 wildcards in them: more than 10^9 ways.
    depth, pattern = 60, "**/*/" * 8 + "**/*.txt"
    deepest = tmp_path.joinpath(*["a"] * depth)
    deepest.mkdir(parents=True)
    (deepest / "x.txt").write_text("x")
    assert names(tmp_path / pattern) == ["x"]
    assert not is_path_match(["a"] * depth + ["x.csv"], pattern.split("/"))
    assert is_path_match(["a"] * depth + ["x.txt"], pattern.split("/"))


def test_a_folder_whose_write_has_not_ended_is_refused(written: Path) -> None:
    marker = written / "_unfinished.json"
    marker.write_text(json.dumps({"run_id": "r1", "step": 0, "epoch": 1}))
    assert names(written) == ["key=1/part-1.txt", "part-0.txt"]
    (written / "_manifest.json").unlink()
    for given in (written, written / "*.txt", written.parent):
        assert_refused(given, SourceError, repr(str(written)), "is incomplete", "elastic resume r1")
    for torn in ("", "\0" * 40):
        marker.write_text(torn)
        assert_refused(written, SourceError, repr(str(written)), "is incomplete", "remove _unfinished.json")
    marker.write_text("data of somebody")
    assert "data of somebody" in names(written)


def test_names_that_are_not_text_are_read(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")
    Path(path).write_text("odd")
    assert names(tmp_path) == ["odd"]


def test_a_missing_path_is_named_before_anything_is_cut(tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    assert_refused(missing, SourceNotFoundError, repr(str(missing)), "does not exist", "check the path")
    assert_refused([tmp_path / "missing.txt"], SourceNotFoundError, repr(str(missing)))


def test_a_path_below_a_file_does_not_exist(tree: Path) -> None:
    assert_refused(tree / "a.txt/b", SourceNotFoundError, repr(str(tree / "a.txt/b")), "does not exist")


def test_one_missing_path_of_several_is_named(tree: Path) -> None:
    assert_refused([tree / "a.txt", tree / "no.txt"], SourceNotFoundError, repr(str(tree / "no.txt")))


def test_a_glob_that_matches_nothing_is_named(tree: Path) -> None:
    assert_refused(tree / "*.csv", SourceNotFoundError, repr(str(tree / "*.csv")), "matches no file")
    assert_refused(tree / "vo*", SourceNotFoundError, repr(str(tree / "vo*")), "matches no file")
    assert_refused([tree, tree / "*.csv"], SourceNotFoundError, repr(str(tree / "*.csv")))


def test_a_folder_without_files_is_named_alone_and_in_a_list(tree: Path) -> None:
    void = str(tree / "void")
    assert_refused(void, SourceNotFoundError, repr(void), "is a folder without files")
    assert_refused([tree / "a.txt", void], SourceNotFoundError, repr(void), "is a folder without files")
    (tree / "void/.hidden").write_text("")
    assert_refused(void, SourceNotFoundError, "is a folder without files")


def test_a_file_without_permission_is_named(public_folder: Path) -> None:
    path = public_folder / "secret.txt"
    path.write_text("secret")
    path.chmod(0)
    with without_privileges():
        for given in (path, public_folder, public_folder / "*", [public_folder]):
            assert_refused(given, SourceError, repr(str(path)), "Permission denied", "check its permissions")


def test_a_folder_without_permission_is_named(public_folder: Path) -> None:
    folder = public_folder / "closed"
    folder.mkdir()
    (folder / "a.txt").write_text("")
    folder.chmod(0)
    with without_privileges():
        assert_refused(folder, SourceError, repr(str(folder)), "Permission denied")
        for given in (public_folder, public_folder / "*/*", public_folder / "**/*.txt"):
            assert_refused(given, SourceError, repr(str(folder)), "Permission denied")
        assert_refused(folder / "a.txt", SourceError, repr(str(folder / "a.txt")), "Permission denied")
    folder.chmod(0o755)


def test_a_link_that_leads_nowhere_is_named_rather_than_passed_over(tree: Path) -> None:
    link = tree / "sub/gone.txt"
    link.symlink_to(tree / "nothing")
    for given in (tree, tree / "sub/*.txt"):
        assert_refused(given, SourceError, repr(str(link)))


def test_what_is_not_a_regular_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for given in (tmp_path / "pipe", tmp_path, tmp_path / "*"):
        assert_refused(given, SourceError, repr(str(tmp_path / "pipe")), "is a named pipe", "from_iterable")
    assert_refused("/dev/null", SourceError, "'/dev/null' is a device")


def test_a_socket_among_files_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("one")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert names(tmp_path) == names(tmp_path / "*") == ["one"]
        assert_refused(tmp_path / "s", SourceError, "is a socket")


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    link = tmp_path / "a.txt"
    link.symlink_to("a.txt")
    for given in (tmp_path, tmp_path / "*.txt", tmp_path / "**/*.txt", link):
        assert_refused(given, SourceError, repr(str(link)), "Too many levels of symbolic links")


@pytest.mark.parametrize("paths", [None, 5, b"x", [], [b"x"], [None], "", [""], "a\0b"])
def test_what_is_no_path_is_refused_where_it_is_written(paths: object) -> None:
    with pytest.raises(UsageError, match="path"):
        FileSource(paths, TextLines())  # type: ignore[arg-type]


def test_a_source_of_files_that_do_not_exist_yet_can_be_described(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "later.txt", TextLines())
    assert source.describe()["paths"] == [str(tmp_path / "later.txt")]
    (tmp_path / "later.txt").write_text("now\n")
    assert entries(source) == ["now"]


def test_a_source_that_is_used_again_looks_for_its_files_again(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("[1]\n")
    source = FileSource(tmp_path, JsonLinesRecordFormat())
    assert entries(source) == [[1]]
    (tmp_path / "2").write_text("[2]\n")
    assert entries(source) == [[1], [2]]
    assert source.expected_chunks() == 2
