"""The README: short, and its code and commands do what it says."""

import re
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from typer.testing import CliRunner

from elastic.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FLOW, DAG = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def output_below(text: str, start: str) -> list[str]:
    """Return the indented lines that begin with a line, without the indent."""
    found = re.search(rf"^    {re.escape(start)}.*\n((?:    .*\n)*)", text, re.MULTILINE)
    assert found, start
    return [line[4:] for line in found[1].splitlines()]


def test_the_readme_has_at_most_6_kilobytes() -> None:
    assert len(README.encode()) <= 6 * 1024


@pytest.mark.cluster
def test_the_flow_prints_the_expected_output(tmp_path: Path) -> None:
    script = tmp_path / "flow.py"
    script.write_text(FLOW, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    words, account = done.stdout.splitlines()
    shown = re.findall(r"^    (\[\('the'.*)$", README, re.MULTILINE)
    if sys.version_info[:3] == (3, 11, 7):
        assert [words] == shown
        assert account.partition(" s, run")[0].rpartition(" ")[0] in README
    assert re.fullmatch(r"complete(_with_retries)?: [\d,]+ entries in 1 chunk aggregated exactly once, .*", account)


@pytest.mark.slow
def test_the_backfill_of_the_dag_prints_the_expected_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "help.txt").write_text("\n".join(topics.values()), encoding="utf-8")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "report.py").write_text(DAG, encoding="utf-8")
    command = re.search(r"^    \$ elastic (backfill .*)$", README, re.MULTILINE)
    assert command
    done = CliRunner().invoke(app, command[1].split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    shown = output_below(README, "$ elastic backfill")
    assert sorted(done.stdout.splitlines()) == sorted(shown)
