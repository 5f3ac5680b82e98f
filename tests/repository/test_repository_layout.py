"""Rules for the files of the repository."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import elastic

ROOT = Path(__file__).resolve().parents[2]
LINKS = ("stages", "aggregators", "persistence")
GENERATED = {"build", "dist"}
FOLDERS = [
    path
    for path in sorted(ROOT.iterdir())
    if path.is_dir() and path.name not in GENERATED and not path.name.startswith(".") and path.suffix != ".egg-info"
]
MODULES = sorted(module for folder in FOLDERS for module in folder.rglob("*.py"))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_on_disk() -> list[str]:
    """Return all importable packages; links are followed, because that is how they are imported."""
    folders = [Path(folder) for folder, _, _ in os.walk(ROOT / "elastic", followlinks=True)]
    return sorted(".".join(path.relative_to(ROOT).parts) for path in folders if (path / "__init__.py").is_file())


def test_the_search_finds_the_modules() -> None:
    names = {shown(path) for path in MODULES}
    assert {
        "elastic/core/ledger/ledger.py",
        "stages/worker/worker.py",
        "tests/conftest.py",
        "examples/word_count.py",
    } <= names


def test_every_module_says_what_it_is() -> None:
    assert [shown(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_bytes()))] == []


def test_nothing_is_left_to_do_in_a_comment() -> None:
    mark = re.compile("TO" + r"DO|FIX" + r"ME|\bXX" + "X", re.ASCII)
    texts = [*MODULES, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    assert [shown(path) for path in texts if mark.search(path.read_text(encoding="utf-8"))] == []


def test_the_names_of_test_files_are_unique() -> None:
    # pytest distinguishes files of this name by their folders
    names = [path.name for path in MODULES if shown(path).startswith("tests/") and path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_every_folder_of_modules_is_a_package_that_setup_finds() -> None:
    folders = {path.parent for path in MODULES if shown(path).split("/")[0] in ("elastic", *LINKS)}
    assert len(folders) > 40
    assert [shown(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_the_three_links_lead_to_the_folders_at_the_top() -> None:
    assert {name: str((ROOT / "elastic" / name).readlink()) for name in LINKS} == {name: f"../{name}" for name in LINKS}


@pytest.mark.parametrize("name", LINKS)
def test_the_short_name_of_a_link_refuses_to_be_imported(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"ImportError: import elastic.{name}, not {name}" in done.stderr


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    assert versions[0] == elastic.__version__
