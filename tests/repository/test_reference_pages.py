"""The generated pages are up to date, and the pages about internals name what exists."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Folders from which the pages name files.
FOLDERS = [ROOT, *(ROOT / "elastic" / name for name in ("", "core/ledger", "scheduler", "scheduler/supervisor"))]
FOLDERS += [ROOT / "elastic/scheduler/decisions"]
ARCHITECTURE = (ROOT / "docs/internals/architecture.md").read_text(encoding="utf-8")


def test_the_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "package", sorted(path.parent.name for path in ROOT.glob("elastic/*/__init__.py")), ids=lambda name: name
)
def test_the_architecture_names_every_package(package: str) -> None:
    assert f"`elastic/{package}`" in ARCHITECTURE


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in ROOT.glob("docs/**/*.md")} - {"index"}
    listed = [line.strip() for line in index.splitlines()]
    assert sorted(pages - set(listed)) == []
    assert sorted(page for page in pages if f"]({page}.md)" not in index) == []


def names_in(page: Path) -> list[str]:
    """Return the names in code font of a page, without its code blocks."""
    text = re.sub(r"^```.*?^```|^    [^\n]*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/internals/*.md")), ids=lambda path: path.stem)
def test_the_files_and_folders_that_a_page_names_exist(page: Path) -> None:
    named = [name for name in names_in(page) if re.fullmatch(r"[\w./-]+\.py|[a-z_]+(/[a-z_-]+)+", name)]
    assert [name for name in named if not any((folder / name).exists() for folder in FOLDERS)] == []


def test_the_classes_that_the_pages_name_exist() -> None:
    trees = [ast.parse(path.read_bytes()) for top in ("elastic", "stages", "aggregators", "persistence")
             for path in (ROOT / top).rglob("*.py")]  # fmt: skip
    classes = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    foreign = {"Counter", "Pss"}
    named = {name for page in ROOT.glob("docs/internals/*.md") for name in names_in(page)}
    found = {match[1] for name in named if (match := re.match(r"([A-Z][a-z]+[A-Za-z]*)(\.\w+)?(\(.*)?$", name))}
    assert len(found) > 20
    assert found - classes - foreign == set()
