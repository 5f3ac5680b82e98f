"""The documents: their code runs and prints what they say, their commands work, their links lead somewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "examples" / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
]


def blocks_of(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("README.md", marks=pytest.mark.cluster),
        "docs/dags.md",
        "docs/extending.md",
        "docs/frames.md",
        "docs/reading.md",
        "docs/sql.md",
        "docs/wide-results.md",
    ],
)
def test_the_code_of_a_document_prints_what_the_document_says(name: str, tmp_path: Path) -> None:
    script = tmp_path / "document.py"
    script.write_text("\n".join(blocks_of(ROOT / name, "python")), encoding="utf-8")
    expected = re.findall(r"^ *print\(.*\) {2,}# (.*)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    printed = run([sys.executable, "-W", "error", str(script)], tmp_path).splitlines()
    assert len(expected) >= 3
    assert [line for line in printed if line in expected] == expected


def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    elastic = [sys.executable, "-m", "elastic"]
    lines = [line for block in blocks_of(ROOT / "README.md", "sh") for line in block.splitlines()]
    commands = [line.partition("#")[0].split()[1:] for line in lines if line.startswith("elastic ")]
    assert ["receipts", "decode", "TOKEN"] in commands
    run([*elastic, "example", "word-count", str(ROOT / "README.md"), "--cluster", "inline"], tmp_path)
    receipts = json.loads(run([*elastic, "receipts", "last", "--chunk", "0", "-o", "json"], tmp_path))
    for command in commands:
        told = [receipts[-1]["receipt"] if word == "TOKEN" else word for word in command]
        assert run([*elastic, *told], tmp_path)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_knows_what_the_readme_tells_to_make() -> None:
    told = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert told == {"run", "test", "check"}
    for target in sorted(told):
        assert run(["make", "--dry-run", target], ROOT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_document_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []
