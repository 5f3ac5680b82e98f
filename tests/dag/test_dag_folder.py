"""Modules of a DAG folder, and the files that exclude some of them."""

from pathlib import Path

import pytest

from elastic.dag.files.dag_bag import DagBag
from elastic.dag.files.dag_folder import DagFolder, dag_files

DAG_FILE = "from elastic.dag import DAG\ndag = DAG({name!r})\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("a.py", "lib/b.py", "lib/c.py", "lib/deep/d.py", "old/e.py", ".hidden/f.py", "__pycache__/g.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(DAG_FILE.format(name=Path(path).stem))
    return tmp_path


def shown(folder: Path) -> list[str]:
    paths, failures = dag_files(folder)
    assert not failures
    return [str(path.relative_to(folder)) for path in paths]


def test_all_modules_count_without_an_ignore_file(folder: Path) -> None:
    assert shown(folder) == ["a.py", "lib/b.py", "lib/c.py", "lib/deep/d.py", "old/e.py"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ["a.py", "lib/b.py", "lib/c.py", "lib/deep/d.py", "old/e.py"]),
        ("# b.py\n\nold/\n", ["a.py", "lib/b.py", "lib/c.py", "lib/deep/d.py"]),
        ("/a.py\nd*\n", ["lib/b.py", "lib/c.py", "old/e.py"]),
        ("lib/**\n!lib/c.py\r\n", ["a.py", "lib/c.py", "old/e.py"]),
        ("*\n", []),
    ],
)
def test_patterns_exclude_modules_as_in_gitignore(folder: Path, text: str, left: list[str]) -> None:
    (folder / ".airflowignore").write_text(text)
    assert shown(folder) == left
    assert sorted(DagBag(folder).dags) == [Path(path).stem for path in left]


def test_an_ignore_file_counts_below_its_folder_and_the_inner_one_decides(folder: Path) -> None:
    (folder / ".airflowignore").write_text("c.py\nd.py\n")
    (folder / "lib" / ".airflowignore").write_text("/b.py\n!c.py\n")
    assert shown(folder) == ["a.py", "lib/c.py", "old/e.py"]
    assert [Path(path).name for path in DagFolder.of(folder).ignored] == ["b.py", "d.py"]


def test_a_line_that_is_no_pattern_is_named_and_the_others_count(folder: Path) -> None:
    path = folder / ".airflowignore"
    path.write_text("old/\n!\nlib/[z-a]\nlib/\n")
    bag = DagBag(folder)
    assert list(bag.dags) == ["a"]
    assert "line 2 is no pattern as in .gitignore: '!'" in str(dag_files(folder)[1][0])
    assert "line 3 is no pattern" in bag.import_errors[str(path)].reason


def test_an_ignore_file_that_cannot_be_read_is_named(folder: Path) -> None:
    path = folder / "old" / ".airflowignore"
    path.write_bytes(b"\xff\xfe")
    bag = DagBag(folder)
    assert "it cannot be read, so it excludes nothing" in bag.import_errors[str(path)].reason
    assert "e" in bag.dags
