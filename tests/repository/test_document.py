"""The documents: their code runs and prints what they say, their commands work, their links lead somewhere."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pydoc_data.topics import topics
from types import ModuleType

import pytest
from typer.testing import CliRunner

import elastic
from elastic.cli.main import app

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


#: What a document prints at the end of a run: entries, chunks and root.
ENDED = re.compile(r"([\d,]+) entries in ([\d,]+) chunks? aggregated exactly once.* root ([0-9a-f]{16})")

#: What differs from run to run.
OF_ONE_RUN = re.compile(r"\d+\.\d\d s|\d{8}-\d{6}-[0-9a-f]{12}|-{3,}|─+|(?<=\S) +(?=\S)")


def module_at(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


def printed_in(documents: Iterable[Path]) -> set[tuple[str, ...]]:
    return {ended for document in documents for ended in ENDED.findall(document.read_text(encoding="utf-8"))}


def script_of(document: str, place: int, folder: Path, name: str) -> Path:
    """Write a block of Python of a document to a file, without the waiting in it."""
    path = folder / name
    text = blocks_of(ROOT / document, "python")[place]
    path.write_text(re.sub(r"\n *time\.sleep.*", "", text), encoding="utf-8")
    return path


def test_every_root_that_a_document_prints_is_that_of_its_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flows = [
        module_at(script_of("docs/resume.md", 0, tmp_path, "roots.py")).flow,
        module_at(script_of("docs/resume.md", 1, tmp_path, "prices.py")).flow,
        module_at(ROOT / "examples" / "killed_master.py").FLOW,
    ]
    ran = {ended for flow in flows for ended in ENDED.findall(str(flow.run(cluster="inline")))}
    assert len(ran) == len(flows)
    redriven = {ended for ended in printed_in(DOCUMENTS) if ended[:2] == ("4", "3")}  # run by the test below
    if platform.python_version() == "3.11.7":
        (tmp_path / "help.txt").write_text("\n".join(topics.values()), encoding="utf-8")
        words = elastic.read_text("help.txt").flat_map(str.split).aggregate("count")
        ran |= set(ENDED.findall(str(words.run(cluster="inline"))))
        example = told("example", "word-count", "--top", "5", "--cluster", "inline")
        ran |= set(ENDED.findall(example))
        for line in example.splitlines()[:-1]:
            assert f"    {line}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
        assert printed_in(DOCUMENTS) - redriven == ran
    else:
        assert ran <= printed_in(DOCUMENTS)


def test_the_redrive_of_the_document_prints_what_the_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = script_of("docs/resume.md", 1, tmp_path, "prices.py")
    document = (ROOT / "docs/resume.md").read_text(encoding="utf-8")
    session = document[document.index("    $ elastic flow run prices.py") :].split("\n\n")[0]
    for command, expected in re.findall(r"    \$ elastic (.*)\n((?:    [^$].*\n?)*)", session):
        if "redrive" in command:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("return int(text)", 'return 0 if text == "free" else int(text)'))
        shown = told(*command.split())
        assert OF_ONE_RUN.sub(" ", shown).split() == OF_ONE_RUN.sub(" ", expected).split()


def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    command_line = [sys.executable, "-m", "elastic"]
    lines = [line for block in blocks_of(ROOT / "README.md", "sh") for line in block.splitlines()]
    commands = [line.partition("#")[0].split()[1:] for line in lines if line.startswith("elastic ")]
    assert ["receipts", "decode", "TOKEN"] in commands
    run([*command_line, "example", "word-count", str(ROOT / "README.md"), "--cluster", "inline"], tmp_path)
    receipts = json.loads(run([*command_line, "receipts", "last", "--chunk", "0", "-o", "json"], tmp_path))
    for command in commands:
        given = [receipts[-1]["receipt"] if word == "TOKEN" else word for word in command]
        assert run([*command_line, *given], tmp_path)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_knows_what_the_readme_tells_to_make() -> None:
    targets = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets == {"run", "test", "check"}
    for target in sorted(targets):
        assert run(["make", "--dry-run", target], ROOT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_document_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []
