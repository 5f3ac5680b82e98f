"""A flow writes to a folder that exists: it is refused, replaced or added to."""

import json
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.core.errors import ElasticError, UsageError


def run(flow: elastic.Flow, **options: Any) -> elastic.Result:
    return flow.run(**{"cluster": "inline", **options})


def lines(folder: Path) -> list[int]:
    return sorted(int(line) for path in folder.glob("*.txt") for line in path.read_text().splitlines())


def numbers(first: int, stop: int) -> elastic.Flow:
    return elastic.from_range(first, stop, chunk_size=5).map(str)


def fragile(text: str) -> str:
    if text == "17":
        raise ValueError(text)
    return text


def test_overwriting_removes_the_old_files_only_when_the_new_ones_are_complete(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(numbers(0, 10).write_text(out))
    old = {path.name for path in out.iterdir()}
    with pytest.raises(ElasticError, match="17"):
        run(numbers(10, 20).map(fragile).write_text(out, if_exists="overwrite"))
    assert old <= {path.name for path in out.iterdir()}
    assert sorted(map(int, run(elastic.read_text(out).aggregate("collect")).value)) == list(range(10))
    run(numbers(10, 20).write_text(out, if_exists="overwrite"))
    assert lines(out) == list(range(10, 20))
    assert {path.name for path in out.iterdir() if not path.name.startswith("part")} == {"_manifest.json", "_SUCCESS"}


def test_appending_keeps_the_files_of_other_runs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for first in (0, 10, 20):
        result = run(numbers(first, first + 10).write_text(out, if_exists="append"))
        assert result.value.records == 10
        assert lines(out) == list(range(first + 10))
        assert run(elastic.read_text(out).aggregate("size")).value == first + 10
    manifest = json.loads((out / "_manifest.json").read_text())
    assert (manifest["records"], len(manifest["files"])) == (30, 3)
    run(numbers(0, 1).write_text(out, if_exists="overwrite"))
    assert lines(out) == [0]


def test_a_redrive_adds_to_what_was_appended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(numbers(0, 10).write_text(out))
    failed = run(numbers(10, 20).map(fragile).write_text(out, if_exists="append"), on_error="dead-letter")
    assert lines(out) == [n for n in range(20) if n != 17]
    elastic.redrive(failed.run_id, numbers(10, 20).write_text(out, if_exists="append"), cluster="inline")
    assert lines(out) == list(range(20))
    assert json.loads((out / "_manifest.json").read_text())["records"] == 20


@pytest.mark.parametrize("mode", ["error", "overwrite", "append"])
def test_files_that_elastic_did_not_write_stay(mode: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")
    with pytest.raises(UsageError, match=r"is not empty: it has 'mine\.txt'"):
        run(numbers(0, 3).write_text(tmp_path, if_exists=mode))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "mine.txt").unlink()
    run(numbers(0, 3).write_text(tmp_path, if_exists=mode))
    (tmp_path / "mine.txt").write_text("1000\n")
    run(numbers(3, 6).write_text(tmp_path, if_exists="overwrite"))
    assert lines(tmp_path) == [3, 4, 5, 1000]


def test_files_of_another_format_are_not_added(tmp_path: Path) -> None:
    run(numbers(0, 3).write_text(tmp_path))
    with pytest.raises(UsageError, match="has format 'text', so files with format 'jsonl' cannot be added"):
        run(numbers(0, 3).write_jsonl(tmp_path, if_exists="append"))
    run(elastic.from_range(3).map(lambda n: {"n": n}).write_csv(tmp_path, if_exists="overwrite"))
    with pytest.raises(UsageError, match="have the columns n, and those of this run have a; write"):
        run(elastic.from_iterable([{"a": 1}]).write_csv(tmp_path, if_exists="append"))
    assert len(list(tmp_path.glob("*.csv"))) == 1
