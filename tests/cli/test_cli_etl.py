"""`elastic example etl`: each record is written once, although the process is killed half-way."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from cli_samples import elastic, nothing_begun, refused, said_lines

from elastic.flow.readers import read_parquet

DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]


def check_records(folder: Path, records: list[tuple[str, str]]) -> None:
    """Check that day and time of records are those of the whole lines of the logs."""
    lines = [line for day in DAYS for line in (folder / f"logs/{day}.log").read_text().splitlines()]
    assert Counter(records) == Counter(tuple(line.split()[0].split("T")) for line in lines if line != "###")


def test_each_record_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "etl"
    said = elastic("example", "etl", str(folder), "--format", "jsonl", "--cluster", "inline")
    assert (said.code, said.err) == (0, "")
    shown = said_lines(said)
    for day in DAYS:
        assert any(line.startswith(f"{day} 9,992 9,992 ") for line in shown)
    assert any("its process was killed half-way" in line for line in shown)
    assert any(line.startswith("24 damaged lines are dead letters") for line in shown)
    assert any(line.startswith("verified: 30,000 entries") for line in shown)
    found = [
        (day, json.loads(line)["time"])
        for day in DAYS
        for path in (folder / f"by-day/day={day}").iterdir()
        for line in path.read_text().splitlines()
    ]
    check_records(folder, found)


def test_parquet_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    assert elastic("example", "etl", "--cluster", "inline").code == 0
    rows = read_parquet("elastic-etl/by-day").aggregate("collect").run(cluster="inline").value
    check_records(Path("elastic-etl"), [(row["day"].isoformat(), row["time"]) for row in rows])


@pytest.mark.parametrize("place", ["file/etl", "file/a/etl"])
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    said = elastic("example", "etl", str(tmp_path / place), "--format", "jsonl")
    refused(said, 2, "cannot be written (Not a directory); name another folder")


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path: Path) -> None:
    said = elastic("example", "etl", str(tmp_path / "etl"), "--format", "jsonl", "--cluster", "127.0.0.1:1")
    assert said.code == 1
    assert said.err.startswith("error: nothing answers at 127.0.0.1:1 (Connection refused)")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_an_existing_folder_is_left_as_it_is(tmp_path: Path) -> None:
    refused(elastic("example", "etl", str(tmp_path), "--format", "jsonl"), 2, "exists; name a new folder")
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    nothing_begun()
