"""`elastic chaos`: a verdict for each round, and exit code 1 when an answer differs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_samples import REPOSITORY, elastic, nothing_begun, refused

FLOWS = """
import elastic

def work(number):
    return number + sum(range(500)) * 0

numbers = elastic.from_range(900, chunk_size=10).map(work).aggregate("sum").options(target_call_seconds=1e-9)
made = []

def fickle():
    # Another answer each time, whoever strikes.
    made.append(1)
    return elastic.from_range(900 + len(made), chunk_size=10).aggregate("sum")
"""


@pytest.fixture(autouse=True)
def flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with flows, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("RAY_LOG_TO_DRIVER", "0")
    path = tmp_path / "flows.py"
    path.write_text(FLOWS)
    return path


def chaos(attribute: str, *arguments: str) -> Any:
    return elastic("chaos", f"flows.py:{attribute}", "--cluster", "inline", *arguments)


def test_rounds_are_printed_as_a_table() -> None:
    said = chaos("numbers", "--rounds", "2", "--seed", "3", "--spirits", "drop,raise", "--rate", "0.4")
    assert (said.code, said.err) == (0, "")
    header, _, *rows, last = said.out.splitlines()
    assert header.split() == [
        "seed", "spirits", "that", "struck", "retries", "duplicates", "refused", "seconds", "verdict",
    ]  # fmt: skip
    assert [row.split()[0] for row in rows] == ["3", "4"]
    assert all("drop " in row and "raise " in row and row.split()[-1] == "same" for row in rows)
    assert last.startswith("2 rounds, ")
    assert last.endswith(" strikes, every answer the same.")


def test_rounds_are_printed_as_json() -> None:
    said = chaos("numbers", "--rounds", "1", "--spirits", "all", "-o", "json")
    told = json.loads(said.out)
    assert (said.code, told["different"], len(told["digest"])) == (0, 0, 32)
    (played,) = told["rounds"]
    assert played["verdict"] == "same"
    assert played["strikes"]["kill-master"] >= 1
    assert set(played["strikes"]) <= {"raise", "drop", "duplicate", "slow", "corrupt", "kill-master"}
    assert played["retries"] >= 1


def test_an_answer_that_differs_ends_with_1_and_says_what_differs() -> None:
    said = chaos("fickle", "--rounds", "2", "--spirits", "drop", "-o", "json")
    # The command loads the file again for each run, so its objects are new.
    assert (said.code, json.loads(said.out)["different"]) == (0, 0)
    Path("count").write_text("900")
    Path("flows.py").write_text(FLOWS.replace("made.append(1)", "").replace("900 + len(made)", "_next()"))
    with Path("flows.py").open("a") as file:
        file.write("\ndef _next():\n    from pathlib import Path\n    count = Path('count')\n")
        file.write("    count.write_text(str(int(count.read_text()) + 1))\n    return int(count.read_text())\n")
    said = chaos("fickle", "--rounds", "2", "--spirits", "drop")
    assert said.code == 1
    assert said.out.count("DIFFERENT (value, root, entries") == 2
    assert said.out.splitlines()[-1].startswith("2 of 2 answers are DIFFERENT; ")


def test_rounds_in_which_nothing_strikes_prove_nothing() -> None:
    said = chaos("numbers", "--rounds", "1", "--rate", "0")
    assert said.code == 0
    assert "same (nothing struck)" in said.out
    assert said.out.splitlines()[-1].startswith("nothing struck, so this proves nothing; ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--spirits", "kill-workr"], "there is no spirit 'kill-workr'; did you mean 'kill-worker'"),
        (["--spirits", "drop,hang"], "fault hang needs worker processes, but cluster='inline' has none"),
        (["--spirits", ""], "there is no spirit ''"),
    ],
)
def test_faults_without_a_target_are_refused(arguments: list[str], text: str) -> None:
    refused(chaos("numbers", *arguments), 2, text)
    nothing_begun()


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--rate", "2"], ["--seed", "-1"]], ids=" ".join)
def test_a_command_that_is_written_wrong_ends_with_2(arguments: list[str]) -> None:
    said = chaos("numbers", *arguments)
    assert (said.code, said.out) == (2, "")
    nothing_begun()


@pytest.mark.cluster
def test_processes_of_an_embedded_ray_are_struck_and_nothing_but_the_table_is_printed() -> None:
    spirits = "kill-worker,kill-sender,kill-receiver,kill-master,corrupt"
    command = [sys.executable, "-m", "elastic", "chaos", "flows.py:numbers", "--cluster", "local", "--workers", "2"]
    done = subprocess.run(
        [*command, "--spirits", spirits, "--rounds", "1", "--rate", "0.3", "-o", "json"],
        env=os.environ, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    (played,) = told["rounds"]
    assert (told["different"], played["verdict"]) == (0, "same")
    assert {"kill-worker", "kill-master"} <= set(played["strikes"])
