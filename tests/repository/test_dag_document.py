"""The pages about DAGs: the first DAG looks as shown, and the commands work in their order."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elastic.cli import main
from elastic.dag import DagBag

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/tutorial/dag.md").read_text(encoding="utf-8")
FIGURES = (ROOT / "docs/how-to/run-dags.md").read_text(encoding="utf-8")


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder `dags` with the first file of the page; its parent is the working folder."""
    first = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert first
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "tutorial.py").write_text(first[1])
    monkeypatch.chdir(tmp_path)
    return folder


def output_of(command: str) -> str:
    """Run a command of the page and return its output."""
    done = CliRunner().invoke(main.app, command.split()[1:], prog_name="elastic", catch_exceptions=False)
    assert done.exit_code == 0, f"{command}: {done.output}"
    return done.stdout


def test_the_first_dag_of_the_page_has_the_tree_shown(dags: Path) -> None:
    tree = DagBag(dags).get_dag("tutorial").tree()
    drawn = re.search(r"((?:^ {4}.*\n)+)", PAGE[PAGE.index("`dag.tree_view()`") :], re.MULTILINE)
    assert drawn
    assert [f"    {line}" for line in tree.splitlines()] == drawn[1].splitlines()


@pytest.mark.slow
def test_the_commands_of_the_page_work_in_their_order(dags: Path) -> None:
    shell = re.search(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shell
    commands = [line.partition("#")[0].strip() for line in shell[1].splitlines()]
    assert all(command.startswith("elastic ") for command in commands)
    listed, tree, first, again, backfill, state, why, log, cleared, part, recovered = map(output_of, commands)
    assert "tutorial" in listed
    assert tree.splitlines()[0] == "<Task(PythonOperator): count>"
    assert first.startswith("Logging into: ")
    assert "previously succeeded" in again
    assert "success: 6" in backfill
    assert state.strip() == "success"
    assert "previously succeeded" in why
    assert "day 2014-09-16" in log
    assert "6" in cleared
    assert "Adding to queue: elastic run tutorial say 2014-09-15T00:00:00" in part
    assert "elastic run tutorial count 2014-09-15T00:00:00" in recovered


@pytest.mark.slow
def test_the_page_has_the_figures_of_others_that_the_benchmark_has() -> None:
    benchmark = ROOT / "benchmarks/orchestration.py"
    done = subprocess.run(
        [sys.executable, str(benchmark), "--rounds", "1", "--only", "chain"], capture_output=True, text=True, check=True
    )
    rows = [line for line in done.stdout.splitlines() if re.match(r"\| (Airflow|Dagster|Luigi|Prefect)", line)]
    assert len(rows) == 6
    assert [row for row in rows if row not in FIGURES] == []
    assert "| a chain of 50 | 1.0 | **" in done.stdout
