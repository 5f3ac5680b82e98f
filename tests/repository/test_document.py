"""The pages: their code runs and prints the expected output, their commands work, their links resolve."""

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
DOCUMENTS = [*sorted(ROOT.glob("*.md")), ROOT / "examples" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
TUTORIAL = ROOT / "docs/tutorial/flow.md"
RESUME = ROOT / "docs/how-to/resume.md"
BAD_ENTRIES = ROOT / "docs/how-to/bad-entries.md"
VERIFY = ROOT / "docs/how-to/verify.md"


def blocks_of(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "docs/tutorial/flow.md",
        "docs/tutorial/dag.md",
        "docs/how-to/bad-entries.md",
        "docs/how-to/extend.md",
        "docs/how-to/files.md",
        "docs/how-to/frames.md",
        "docs/how-to/housekeeping.md",
        "docs/how-to/look.md",
        "docs/how-to/sharded-results.md",
        "docs/how-to/sql.md",
        "docs/how-to/write-results.md",
    ],
)
def test_the_code_of_a_page_prints_the_expected_output(name: str, tmp_path: Path) -> None:
    script = tmp_path / "document.py"
    script.write_text("\n".join(blocks_of(ROOT / name, "python")), encoding="utf-8")
    expected = re.findall(r"^ *print\(.*\) {2,}# (.*)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    printed = run([sys.executable, "-W", "error", str(script)], tmp_path).splitlines()
    assert len(expected) >= 3
    assert [line for line in printed if line in expected] == expected


#: Last line of a run on a page: entries, chunks and root.
ENDED = re.compile(r"([\d,]+) entries in ([\d,]+) chunks? aggregated exactly once.* root ([0-9a-f]{16})")

#: Text that differs from run to run.
OF_ONE_RUN = re.compile(r"\d+\.\d\d s|\d{8}-\d{6}-[0-9a-f]{12}|-{3,}|─+|(?<=\S) +(?=\S)")


def module_at(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def output_of(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


def printed_in(documents: Iterable[Path]) -> set[tuple[str, ...]]:
    return {ended for document in documents for ended in ENDED.findall(document.read_text(encoding="utf-8"))}


def script_of(document: Path, place: int, folder: Path, name: str) -> Path:
    """Write a Python block of a page to a file, without its pauses."""
    path = folder / name
    text = blocks_of(document, "python")[place]
    path.write_text(re.sub(r"\n *time\.sleep.*", "", text), encoding="utf-8")
    return path


@pytest.mark.slow
def test_every_root_that_a_page_prints_is_that_of_its_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flows = [
        module_at(script_of(RESUME, 0, tmp_path, "roots.py")).flow,
        module_at(script_of(BAD_ENTRIES, 1, tmp_path, "prices.py")).flow,
    ]
    ran = {ended for flow in flows for ended in ENDED.findall(str(flow.run(cluster="inline")))}
    assert len(ran) == len(flows)
    redriven = {ended for ended in printed_in(DOCUMENTS) if ended[:2] == ("4", "3")}  # run by the test below
    if platform.python_version() == "3.11.7":
        (tmp_path / "help.txt").write_text("\n".join(topics.values()), encoding="utf-8")
        words = elastic.read_text("help.txt").flat_map(str.split).aggregate("count")
        ran |= set(ENDED.findall(str(words.run(cluster="inline"))))
        example = output_of("example", "word-count", "--top", "5", "--cluster", "inline")
        ran |= set(ENDED.findall(example))
        for line in example.splitlines()[:-1]:
            assert f"    {line}\n" in TUTORIAL.read_text(encoding="utf-8")
        assert printed_in(DOCUMENTS) - redriven == ran
    else:
        assert ran <= printed_in(DOCUMENTS)


def test_the_redrive_of_the_page_prints_the_expected_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = script_of(BAD_ENTRIES, 1, tmp_path, "prices.py")
    document = BAD_ENTRIES.read_text(encoding="utf-8")
    session = document[document.index("    $ elastic flow run prices.py") :].split("\n\n")[0]
    for command, expected in re.findall(r"    \$ elastic (.*)\n((?:    [^$].*\n?)*)", session):
        if "redrive" in command:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("return int(text)", 'return 0 if text == "free" else int(text)'))
        shown = output_of(*command.split())
        assert OF_ONE_RUN.sub(" ", shown).split() == OF_ONE_RUN.sub(" ", expected).split()


@pytest.mark.slow
def test_the_commands_about_runs_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [block for page in (RESUME, VERIFY) for block in blocks_of(page, "sh")]
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [line.partition("#")[0].split()[1:] for line in lines if line.startswith("elastic ")]
    assert ["receipts", "decode", "TOKEN"] in commands
    output_of("example", "word-count", str(ROOT / "README.md"), "--cluster", "inline")
    receipts = json.loads(output_of("receipts", "last", "--chunk", "0", "-o", "json"))
    for command in commands:
        given = [receipts[-1]["receipt"] if word == "TOKEN" else word for word in command]
        assert output_of(*given)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_has_the_targets_that_the_pages_name() -> None:
    pattern = re.compile(r"^make ([\w-]+)|`make ([\w-]+)`", re.MULTILINE)
    found = {a or b for page in DOCUMENTS for a, b in pattern.findall(page.read_text(encoding="utf-8"))}
    assert {"run", "test", "test-fast", "check", "docs", "faults", "mutants", "bench"} <= found
    listed = set(re.findall(r"^make ([\w-]+)", run(["make", "help"], ROOT), re.MULTILINE))
    assert found <= listed
    for target in sorted(listed):
        assert run(["make", "--dry-run", target], ROOT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_page_lead_to_files_and_headings(document: Path) -> None:
    text = re.sub(r"^```(?!\{).*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for path, anchor in re.findall(r"\]\(([^)#:\s]*)(#[^)\s]+)?\)", text):
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor[1:] not in anchors_of(target)):
            broken.append(path + anchor)
    assert broken == []


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
