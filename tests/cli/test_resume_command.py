"""`elastic resume`, `replay`, `dead-letters` and `runs value`, as a user types them, after a real SIGKILL."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from elastic.persistence.run_store.lock import RunLock

ROOT = Path(__file__).parents[2]
FLOW = """
import itertools, os, signal
import elastic
from elastic.aggregators import Collect, Sum

def fragile(number):
    if number % 100 == 7 and os.environ.get("BROKEN"):
        raise ValueError(f"bad {number}")
    return number

def deadly(number):
    if number == 2000 and os.environ.get("DEADLY"):
        os.kill(os.getpid(), signal.SIGKILL)
    return number

QUICK = {"cluster": "inline", "commit_interval": 1e-9, "collect_interval": 1e-9, "target_call_seconds": 1e-9}
lines = elastic.read_text("numbers.txt", chunk_bytes=500).map(int).map(deadly).aggregate(Sum()).options(**QUICK)
letters = elastic.read_text("numbers.txt").map(int).map(fragile).aggregate(Sum()).options(
    on_error="dead-letter", **QUICK)
once = elastic.from_iterable(iter(range(3000)), chunk_size=50).map(deadly).aggregate(Sum()).options(**QUICK)

if __name__ == "__main__":
    lines.run()
"""
TOTAL = sum(range(3000))
BAD = sum(range(7, 3000, 100))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text(FLOW)
    (tmp_path / "numbers.txt").write_text("".join(f"{number}\n" for number in range(3000)))
    return tmp_path


def elastic(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "elastic", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def killed(folder: Path, target: str) -> str:
    """Run a flow that kills its process, and return the id of its run."""
    assert elastic(folder, "flow", "run", target, DEADLY="yes").returncode == -signal.SIGKILL
    [run] = json.loads(elastic(folder, "runs", "list", "-o", "json").stdout)
    assert run["state"] == "in_progress"
    return str(run["run_id"])


def said(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the sentence of a refused command."""
    assert done.returncode in (1, 2)
    [sentence] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return sentence


@pytest.mark.parametrize("command", ["resume", "replay"])
def test_a_killed_run_resumes_from_any_folder_without_a_target(
    command: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_id = killed(folder, "flows.py:lines")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = elastic(elsewhere, command, run_id, "-o", "json")
    answer = said(done)
    # A commit may have come just before the first call of the next chunks: then none was sent before the kill.
    status = "complete_with_retries" if answer["chunks_run_again"] else "complete"
    assert (answer["value"], answer["entries"], answer["status"]) == (TOTAL, 3000, status)
    assert answer["resumed_at"] > 0
    assert f"resumed at chunk {answer['resumed_at']}: {answer['chunks_run_again']} chunks" in done.stderr
    assert said(elastic(elsewhere, "runs", "value", "-o", "json"))["value"] == TOTAL
    assert "is complete; `elastic runs value" in refusal(elastic(elsewhere, command, run_id))


def test_a_run_of_a_script_asks_for_its_flow(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "flows.py"], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "DEADLY": "yes"}
    )
    assert done.returncode == -signal.SIGKILL
    assert "give it as TARGET (file.py:attr), or call elastic.resume" in refusal(elastic(folder, "resume"))
    assert said(elastic(folder, "resume", "last", "flows.py:lines", "-o", "json"))["value"] == TOTAL


def test_a_source_that_was_read_once_gives_its_value_so_far_and_is_read_again_on_request(folder: Path) -> None:
    killed(folder, "flows.py:once")
    done = elastic(folder, "resume", "-o", "json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["value"] == sum(range(answer["entries"]))
    assert f"at entry {answer['entries']:,} (" in answer["error"]
    assert "--reread-source" in refusal(done)
    assert said(elastic(folder, "resume", "--reread-source", "-o", "json"))["value"] == TOTAL


def test_refusals_are_one_sentence_and_leave_the_run_as_it_is(folder: Path) -> None:
    run_id = killed(folder, "flows.py:lines")
    changed = FLOW.replace("return number\n\nQUICK", "return -number\n\nQUICK")
    (folder / "changed.py").write_text(changed)
    sentence = refusal(elastic(folder, "resume", run_id, "changed.py:lines"))
    assert "map(deadly) changed since the run began; pass --allow-code-change" in sentence
    assert "reads a source with kind='files'" in refusal(elastic(folder, "resume", run_id, "flows.py:once"))
    home = Path(os.environ["ELASTIC_HOME"])
    lock = RunLock(home / "runs" / run_id, run_id)
    assert f"is being worked on by process {os.getpid()}" in refusal(elastic(folder, "resume", run_id))
    lock.release()
    (folder / "numbers.txt").write_text("1\n")
    assert "changed while the run was reading it" in refusal(elastic(folder, "resume", run_id))
    (home / "runs" / run_id / "run.sqlite").write_bytes(b"nothing of the kind")
    assert "run.sqlite is damaged" in refusal(elastic(folder, "resume", run_id))
    assert "no run 'nothing'" in refusal(elastic(folder, "resume", "nothing"))


def test_a_folder_that_is_gone_is_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    killed(folder, "flows.py:lines")
    folder.rename(folder.with_name("moved"))
    here = tmp_path_factory.mktemp("here")
    assert "which cannot be entered (No such file or directory); give the flow" in refusal(elastic(here, "resume"))


def test_dead_letters_are_listed_shown_and_redriven(folder: Path) -> None:
    answer = said(elastic(folder, "flow", "run", "flows.py:letters", "-o", "json", BROKEN="yes"))
    assert (answer["value"], answer["counters"]["entries_failed"]) == (TOTAL - BAD, 30)
    listed = said(elastic(folder, "dead-letters", "list", "-o", "json"))
    assert len(listed) == 30
    assert (listed[0]["place"], listed[0]["error"]) == (
        f"line 8 of {str(folder / 'numbers.txt')!r} (byte 14)", "ValueError: bad 7",
    )  # fmt: skip
    assert "ValueError: bad 7" in elastic(folder, "dead-letters", "list").stdout
    [shown] = said(elastic(folder, "dead-letters", "show", "last", "--chunk", "0", "--index", "107", "-o", "json"))
    assert shown["entry"] == "107"
    assert 'raise ValueError(f"bad {number}")' in shown["traceback"]
    assert "no such dead letter" in refusal(elastic(folder, "dead-letters", "show", "last", "--chunk", "9"))
    done = elastic(folder, "dead-letters", "redrive", BROKEN="yes")
    assert "dead letters: 30 tried again, 30 left" in done.stdout
    done = elastic(folder, "dead-letters", "redrive", "last")
    assert f"value  {TOTAL}" in done.stdout
    assert "dead letters: 30 tried again, 0 left" in done.stdout
    assert elastic(folder, "dead-letters", "list").stdout == "no dead letters\n"
    assert said(elastic(folder, "runs", "value", "-o", "json"))["value"] == TOTAL
    again = said(elastic(folder, "dead-letters", "redrive", "-o", "json"))
    assert (again["value"], again["dead_letters"]) == (TOTAL, 0)
    nothing = elastic(folder, "dead-letters", "redrive").stdout.splitlines()
    assert nothing == [f"value  {TOTAL}", f"run {again['run_id']} has no dead letters, so its result is unchanged"]


@pytest.mark.cluster
def test_a_run_goes_on_on_another_cluster_with_other_workers(folder: Path) -> None:
    run_id = killed(folder, "flows.py:lines")
    answer = said(elastic(folder, "resume", "--cluster", "local", "--workers", "2", "-o", "json"))
    assert (answer["run_id"], answer["value"], answer["entries"]) == (run_id, TOTAL, 3000)
    account = said(elastic(folder, "receipts", "last", "-o", "json"))
    assert account["missing"] == []
    assert len(account["nodes"]) == 2
    for chunk in ("0", str(answer["chunks"] - 1)):
        assert len(said(elastic(folder, "receipts", "last", "--chunk", chunk, "-o", "json"))) == 6
