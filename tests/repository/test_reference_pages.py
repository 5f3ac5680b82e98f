"""The generated pages are up to date, and the pages about the parts name all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
