"""Paths, globs and folders become files in a fixed order, or an error that names what is not there."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_samples import entries, without_privileges

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.stages.sources import FileSource, JsonLines, TextLines


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
        assert_refused(public_folder, SourceError, repr(str(folder)), "Permission denied")
        assert_refused(folder / "a.txt", SourceError, repr(str(folder / "a.txt")), "Permission denied")
    folder.chmod(0o755)


def test_a_link_that_leads_nowhere_is_named_rather_than_passed_over(tree: Path) -> None:
    link = tree / "sub/gone.txt"
    link.symlink_to(tree / "nothing")
    for given in (tree, tree / "sub/*.txt"):
        assert_refused(given, SourceError, repr(str(link)))


def test_what_is_not_a_regular_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert_refused(tmp_path / "pipe", SourceError, repr(str(tmp_path / "pipe")), "from_iterable")


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
    source = FileSource(tmp_path, JsonLines())
    assert entries(source) == [[1]]
    (tmp_path / "2").write_text("[2]\n")
    assert entries(source) == [[1], [2]]
    assert source.expected_chunks() == 2
