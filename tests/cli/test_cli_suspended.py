"""A disk that refuses a commit suspends the run, with its own exit code; a resume gives the same answer."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = """
import elastic

counted = elastic.from_range(20000, chunk_size=10).map(lambda number: number % 7).aggregate("count")
flow = counted.step(commit_interval=0.001, collect_interval=0.001)
"""


def elastic(folder: Path, *arguments: str, inject: str | None = None) -> "subprocess.CompletedProcess[str]":
    root = str(Path(__file__).parents[2])
    strace = [] if inject is None else ["strace", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject]
    return subprocess.run(
        [*strace, sys.executable, "-m", "elastic", *arguments, "-o", "json", "--cluster", "inline"],
        cwd=folder, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which lets a sync fail, is not installed")
def test_a_sync_that_fails_suspends_the_run_with_exit_code_75_and_it_can_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    # The first syncs create the run and begin its step; all from the fifteenth on fail.
    failed = elastic(tmp_path, "flow", "run", "flow.py:flow", inject="inject=fdatasync:error=EIO:when=15+")
    assert failed.returncode == 75, failed.stderr
    assert failed.stdout == ""
    *_, error = failed.stderr.splitlines()
    assert error.startswith("error: run ")
    assert "could not be written" in error
    assert "correct that and run `elastic resume" in error

    resumed = elastic(tmp_path, "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    told = json.loads(resumed.stdout)
    assert told["entries"] == 20000
    assert sorted(told["value"]) == [[rest, len(range(rest, 20000, 7))] for rest in range(7)]
