"""`elastic flow run`: a user's flow, and one sentence for every target that is no flow."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_samples import elastic, elastic_main, nothing_begun, refused

from elastic.cli.printing.run_result import jsonable
from elastic.run_history import RunHistory

SCRIPT = """
import elastic
from elastic.aggregators import Count, Collect

numbers = elastic.from_range(10, chunk_size=3)
doubled = numbers.map(lambda number: number * 2).aggregate("sum")
words = elastic.from_iterable(["a b", "\\ud800 a"]).flat_map(str.split).aggregate(Count())
written = numbers.map(str).write_text("lines")
both = numbers.write_jsonl("both").aggregate("sum")
odd = elastic.from_iterable([float("nan"), (1, b"x"), {2}]).aggregate(Collect())
step = elastic.Step(range(5), task=sum, name="summed")
bad = numbers.map(lambda number: 1 / (number - 5)).aggregate("sum")
leaving = numbers.map(lambda number: exit(number)).aggregate("sum")
lost = elastic.read_text("nowhere.txt")
text = "no flow"

def made():
    return doubled

def failing():
    raise ValueError("own fault")
"""


@pytest.fixture(autouse=True)
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with flows, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "flows.py"
    path.write_text(SCRIPT)
    return path


def ran(attribute: str) -> dict[str, Any]:
    said = elastic("flow", "run", f"flows.py:{attribute}", "--cluster", "inline", "-o", "json")
    assert (said.code, said.err) == (0, ""), said
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_a_flow_is_run_and_printed_as_json() -> None:
    found = ran("doubled")
    assert {"status", "run_id", "entries", "chunks", "receipts", "seconds", "value"} <= set(found)
    assert (found["status"], found["entries"], found["chunks"], found["value"]) == ("complete", 10, 4, 90)
    assert set(found["receipts"].values()) == {4}


@pytest.mark.parametrize(("attribute", "value"), [("step", 10), ("made", 90), ("numbers", None)])
def test_a_step_and_a_function_are_run_too(attribute: str, value: Any) -> None:
    assert ran(attribute)["value"] == value


def test_values_that_json_does_not_have_are_printed_too() -> None:
    assert ran("words")["value"] == {"a": 2, "b": 1, "\ud800": 1}
    assert ran("odd")["value"] == ["nan", [1, "b'x'"], [2]]
    assert jsonable({(1, 2): float("-inf"), 3: None}) == [[[1, 2], "-inf"], [3, None]]
    assert jsonable({"b", "a"}) == ["a", "b"]


def test_a_flow_is_printed_as_text() -> None:
    said = elastic("flow", "run", "flows.py:doubled", "--cluster", "inline", "--workers", "1")
    assert (said.code, said.err) == (0, "")
    value, account = said.out.splitlines()
    assert value.split() == ["value", "90"]
    assert account.startswith("complete: 10 entries in 4 chunks aggregated exactly once, 0 errors")


def test_what_a_flow_writes_is_told(tmp_path: Path) -> None:
    said = elastic("flow", "run", "flows.py:written", "--cluster", "inline")
    assert (said.code, said.err) == (0, "")
    place, account = said.out.splitlines()
    assert place.split(maxsplit=1) == ["written", f"10 records in 1 file, 20 bytes, in {tmp_path}/lines"]
    assert account.startswith("complete: 10 entries in 4 chunks aggregated exactly once, 0 errors")
    facts = json.loads(elastic("runs", "value", "last", "flows.py:written", "-o", "json").out)
    [file] = facts["written"]["files"]
    assert facts["value"] is None
    assert facts["written"] == {"url": f"{tmp_path}/lines", "records": 10, "bytes": 20, "files": [file]}
    assert (tmp_path / "lines" / file["file"]).stat().st_size == file["bytes"]


def test_the_result_beside_a_write_is_told_too() -> None:
    said = elastic("flow", "run", "flows.py:both", "--cluster", "inline")
    assert [line.split()[:2] for line in said.out.splitlines()[:2]] == [["written", "10"], ["value", "45"]]
    assert ran("doubled")["written"] is None


@pytest.mark.parametrize(("attribute", "times"), [("numbers", 1), ("doubled", 0)])
def test_a_flow_without_an_aggregator_says_once_how_to_keep_its_outputs(attribute: str, times: int) -> None:
    said = elastic("flow", "run", f"flows.py:{attribute}", "--cluster", "inline")
    assert (said.code, said.err) == (0, "")
    assert said.out.count('outputs are counted and not kept. Keep them with .aggregate("collect")') == times


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("flows.py", "'flows.py' is not a target; expected module:attr or file.py:attr"),
        ("nowhere.py:words", "there is no file 'nowhere.py'"),
        ("nowhere_at_all:words", "module 'nowhere_at_all' cannot be imported"),
        ("flows.py:wrods", "has no 'wrods'; did you mean 'words'"),
        ("flows.py:zzz", "has no 'zzz'; its flows are numbers, doubled, words"),
        ("flows.py:text", "is str, not a Flow, a Step"),
        ("flows.py:failing", "was called and failed (ValueError: own fault)"),
        ("broken.py:flow", "'broken.py' cannot be loaded (ZeroDivisionError: division by zero)"),
        ("aggregator.py:flow", "there is no aggregator 'cuont'; did you mean 'count'"),
        ("flows.py:lost", "nowhere.txt' does not exist"),
    ],
)
def test_a_target_that_gives_no_run_is_reported_in_one_sentence(target: str, text: str) -> None:
    Path("broken.py").write_text("1 / 0\n")
    Path("aggregator.py").write_text("import elastic\nflow = elastic.from_range(3).aggregate('cuont')\n")
    refused(elastic("flow", "run", target, "--cluster", "inline"), 2, text)
    nothing_begun()


@pytest.mark.parametrize(("attribute", "error"), [("bad", "ZeroDivisionError"), ("leaving", "SystemExit: 0")])
def test_a_function_that_raises_is_named_with_its_entry_and_the_run_is_kept(attribute: str, error: str) -> None:
    said = elastic("flow", "run", f"flows.py:{attribute}", "--cluster", "inline")
    archive = RunHistory.of_environment()
    (run_id,) = archive.runs()
    refused(said, 1, f"(run {run_id})")
    assert error in said.err
    assert "map(" in said.err
    (record,) = archive.steps(run_id)
    assert record.state == "error"
    assert f"error: {record.error}\n" == said.err


@pytest.mark.parametrize("where", [0, 1, 2, 3, 5], ids=str)
def test_debug_shows_tracebacks_wherever_it_stands(
    where: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["flow", "run", "flows.py:bad", "--cluster", "inline"]
    said = elastic_main(monkeypatch, capfd, *arguments[:where], "--debug", *arguments[where:])
    assert said.code == 1
    sentence, *rest = said.err.splitlines()
    assert sentence.startswith("error: map(")
    assert any("ZeroDivisionError: " in line for line in rest)
    assert any("flows.py" in line and "<lambda>" in line for line in rest)
    assert "StepFailedError" in said.err


def test_debug_may_be_said_twice_and_is_data_behind_two_dashes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = elastic_main(monkeypatch, capfd, "flow", "--debug", "run", "flows.py:zzz", "--debug")
    assert said.code == 2
    assert "Traceback" in said.err
    said = elastic_main(monkeypatch, capfd, "flow", "run", "--cluster", "inline", "--", "--debug")
    assert said.code == 2
    assert said.err.startswith("error: '--debug' is not a target")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--workers", "x"], ["-o", "yaml"]], ids=" ".join)
def test_a_command_that_is_written_wrong_ends_with_2(arguments: list[str]) -> None:
    said = elastic("flow", "run", "flows.py:doubled", *arguments)
    assert (said.code, said.out) == (2, "")
    assert "Traceback" not in said.err
    nothing_begun()
