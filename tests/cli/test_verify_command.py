"""`elastic verify`: exit code 0, or one line for each finding and exit code 1."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import elastic
from elastic.cli.main import app

FLOW = """
import elastic

lines = elastic.read_text("lines.txt", chunk_bytes=1000).aggregate("size")
once = elastic.from_iterable(iter(range(100)), chunk_size=10).aggregate("size")
"""


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run started from the command line."""
    (tmp_path / "lines.txt").write_text("".join(f"line {number:04}\n" for number in range(1000)))
    (tmp_path / "flow.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    code, told = call("flow", "run", "flow.py:lines", "--cluster", "inline", "-o", "json")
    assert code == 0
    name: str = json.loads(told)["run_id"]
    return name


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout


def damage(home: Path, run_id: str) -> None:
    with sqlite3.connect(home / "runs" / run_id / "run.sqlite") as connection:
        connection.execute("DELETE FROM receipt WHERE first=0")
    connection.close()


def test_a_run_that_is_right_takes_one_line_and_exit_code_0(run_id: str) -> None:
    code, told = call("verify", run_id)
    assert code == 0
    (line,) = told.splitlines()
    assert line.startswith("verified: 1,000 entries in 10 chunks aggregated exactly once, 0 errors, root ")
    assert line.endswith(f", step 0, run {run_id}")


def test_every_finding_takes_one_line_and_the_exit_code_is_1(home: Path, run_id: str) -> None:
    damage(home, run_id)
    code, told = call("verify", run_id)
    assert code == 1
    assert told.splitlines()[0].startswith("step 0, chunk 0: its receipts are missing")


def test_programs_can_read_the_findings(home: Path, run_id: str) -> None:
    good = json.loads(call("verify", run_id, "-o", "json")[1])
    assert (good["ok"], good["findings"]) == (True, [])
    assert (good["steps"][0]["entries"], good["steps"][0]["chunks"]) == (1000, 10)
    damage(home, run_id)
    code, told = call("verify", run_id, "-o", "json")
    found = json.loads(told)
    assert (code, found["ok"]) == (1, False)
    assert found["findings"][0] == {"what": "its receipts are missing", "step": 0, "first": 0, "stop": 1}


@pytest.mark.parametrize(("share", "read"), [("1%", 1), ("0.25", 3), ("100 %", 10)])
def test_a_share_of_the_chunks_is_read_again_from_where_the_run_began(
    share: str, read: int, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    code, told = call("verify", run_id, "--recompute", share)
    assert code == 0
    assert f"{read} chunks read again" in told


def test_a_source_that_changed_is_found_and_its_chunks_are_named(run_id: str, tmp_path: Path) -> None:
    lines = (tmp_path / "lines.txt").read_text()
    (tmp_path / "lines.txt").write_text(lines.replace("line 0555", "line 05x5"))
    assert call("verify", run_id)[0] == 0
    code, told = call("verify", run_id, "flow.py:lines", "--recompute", "100%")
    assert code == 1
    assert told.startswith("step 0, chunk 5: the source gives other bytes for it now")


@pytest.mark.parametrize(
    ("lines", "told"), [(900, "chunk 9: the source ends before it"), (1100, "chunk 10: the source has more chunks")]
)
def test_a_source_that_grew_or_shrank_is_found(lines: int, told: str, run_id: str, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("".join(f"line {number:04}\n" for number in range(lines)))
    code, found = call("verify", run_id, "--recompute", "100%")
    assert code == 1
    assert told in found


def test_another_function_is_found_or_its_results_are_not_compared(
    run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.py").write_text(FLOW.replace(".aggregate", ".filter(bool).aggregate"))
    done = CliRunner().invoke(app, ["verify", run_id, "other.py:lines", "--recompute", "100%"])
    assert done.exit_code == 0
    assert "partial results were not recomputed: run " in done.stderr


@pytest.mark.parametrize("fits", [True, False])
def test_the_root_that_was_printed_is_compared(run_id: str, *, fits: bool) -> None:
    root = elastic.verify(run_id).steps[0].root[:16] if fits else "0123456789abcdef"
    assert call("verify", run_id, "--root", root)[0] == (0 if fits else 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "no run 'nowhere'"),
        (["last", "--step", "3"], "has no step 3"),
        (["last", "--recompute", "many"], "is not a share"),
        (["last", "--recompute", "101%"], "is not a share"),
        (["last", "--root", "xyz"], "is not a root"),
        (["last", "flow.py:nothing", "--recompute", "1%"], "has no 'nothing'"),
    ],
)
def test_an_impossible_request_is_reported_in_one_sentence_with_exit_code_2(
    arguments: list[str], told: str, run_id: str
) -> None:
    done: Any = CliRunner().invoke(app, ["verify", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert told in done.stderr


def test_a_run_of_a_script_needs_the_flow_to_be_recomputed() -> None:
    elastic.from_range(10).aggregate("sum").run(cluster="inline")
    done = CliRunner().invoke(app, ["verify", "last", "--recompute", "1%"])
    assert done.exit_code == 2
    assert "was started by a script" in done.stderr
