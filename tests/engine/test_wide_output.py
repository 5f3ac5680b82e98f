"""A wide result that each shard writes to a file, for other programs to read."""

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import elastic
from elastic.aggregators import GroupBy, SumByKey

READERS = {".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet, ".arrow": pl.read_ipc}


def pairs(number: int) -> list[tuple[str, int]]:
    return [(f"k{(number * 7919 + index * 31) % 500}", index) for index in range(20)]


def flow(function: Any = pairs, aggregator: Any = SumByKey, entries: int = 400) -> elastic.Flow:
    return elastic.from_range(entries, chunk_size=10).flat_map(function).aggregate(aggregator)


def read(folder: Path) -> list[tuple[Any, Any]]:
    """Return the rows of all files that the manifest names, which are as it says and all that there are."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    rows = list[tuple[Any, Any]]()
    for each in manifest["files"]:
        path = folder / each["file"]
        frame = READERS[folder.suffix](path)
        assert (frame.height, path.stat().st_size) == (each["rows"], each["bytes"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == each["sha256"]
        rows += frame.rows()
    names = {each["file"] for each in manifest["files"]} | {"_manifest.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert manifest["keys"] == len(rows)
    return rows


@pytest.mark.parametrize("suffix", READERS)
def test_every_shard_writes_a_file(suffix: str, tmp_path: Path, cluster: str) -> None:
    folder = tmp_path / f"sums{suffix}"
    result = flow().run(cluster=cluster, shards=3, write_to=folder)
    assert dict(read(folder)) == dict(result.value) == flow().run(cluster="inline").value
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert (manifest["run_id"], manifest["digest"]) == (result.run_id, result.value.digest)
    assert [each["rows"] for each in manifest["files"]] == result.value.counts
    assert [each["file"] for each in manifest["files"]] == [f"part-{number:05}{suffix}" for number in range(3)]
    assert elastic.verify(result.run_id).ok


def test_other_programs_read_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sums.parquet"
    result = flow().run(cluster="inline", shards=2, write_to=str(folder))
    (found,) = duckdb.sql(f"select count(*), sum(value) from '{folder}/*.parquet'").fetchall()
    assert found == (500, sum(result.value.values()))


def test_a_resumed_run_writes_to_the_folder_of_the_first_master(tmp_path: Path) -> None:
    folder = tmp_path / "sums.jsonl"

    def fragile(number: int) -> list[tuple[str, int]]:
        if number == 107:
            raise ValueError(number)
        return pairs(number)

    with pytest.raises(elastic.ElasticError):
        flow(fragile).run(cluster="inline", shards=2, write_to=folder)
    assert not (folder / "_manifest.json").exists()
    with pytest.raises(elastic.ElasticError, match=r"began with write_to=.*sums.jsonl', which cannot become"):
        elastic.resume(
            "last", flow(), allow_code_change=True, cluster="inline", shards=2, write_to=tmp_path / "b.jsonl"
        )
    resumed = elastic.resume("last", flow(), allow_code_change=True, cluster="inline")
    assert dict(read(folder)) == dict(resumed.value) == flow().run(cluster="inline").value


def test_redriven_entries_are_in_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "sums.parquet"

    def fragile(number: int) -> list[tuple[str, int]]:
        return pairs(number) if number % 50 else [(1, 2, 3)]  # type: ignore[list-item]

    failed = flow(fragile).run(cluster="inline", shards=2, on_error="dead-letter", write_to=folder)
    assert dict(read(folder)) == dict(failed.value)
    redriven = elastic.redrive(failed.run_id, flow(), cluster="inline")
    assert dict(read(folder)) == dict(redriven.value) == flow().run(cluster="inline").value


def test_shards_without_a_key_write_no_file(tmp_path: Path) -> None:
    for entries, keys in ((0, 0), (1, 1)):
        folder = tmp_path / f"{entries}.parquet"
        elastic.from_range(entries).map(lambda number: ("a", number)).aggregate(SumByKey).run(
            cluster="inline", shards=4, write_to=folder
        )
        assert len(read(folder)) == len(list(folder.glob("part-*"))) == keys


def dated(number: int) -> list[tuple[Any, Any]]:
    return [(dt.date(2026, 1, number % 28 + 1), number)]


def mixed(number: int) -> list[tuple[Any, Any]]:
    return [(number if number % 2 else str(number), 1)]


def typed_by_shard(number: int) -> list[tuple[Any, Any]]:
    # Two keys, which lie in two shards.
    return [("a", 1), ("b", 0.5)]


def test_columns_have_types(tmp_path: Path) -> None:
    folder = tmp_path / "days.parquet"
    flow(dated).run(cluster="inline", shards=2, write_to=folder)
    rows = dict(read(folder))
    assert rows == flow(dated).run(cluster="inline").value
    assert json.loads((folder / "_manifest.json").read_text())["columns"] == "key: date32[day], value: int64"


def test_groups_are_lists(tmp_path: Path) -> None:
    folder = tmp_path / "groups.parquet"
    flow(pairs, GroupBy("collect")).run(cluster="inline", shards=2, write_to=folder)
    assert dict(read(folder)) == flow(pairs, GroupBy("collect")).run(cluster="inline").value


@pytest.mark.parametrize(
    ("function", "name", "said"),
    [
        (dated, "a.jsonl", r"cannot be written as JSON .*named \*\.parquet"),
        (mixed, "a.parquet", r"do not fit into two columns .*named \*\.jsonl"),
        (typed_by_shard, "a.arrow", r"shard 0 has the columns .*double.*, and shard 1 has .*int64"),
    ],
    ids=["no JSON", "two types", "two types in two shards"],
)
def test_what_the_format_has_no_place_for_is_told(function: Any, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(elastic.ElasticError, match=said):
        flow(function).run(cluster="inline", shards=2, write_to=tmp_path / name)
    assert not (tmp_path / name / "_manifest.json").exists()
    # Nothing is lost: the result itself is of any type.
    run_id = "last"
    assert dict(elastic.result_of(run_id, flow(function)).value) == flow(function).run(cluster="inline").value


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"write_to": "sums.jsonl"}, "give shards=N as well"),
    ({"write_to": "sums", "shards": 2}, r"must be a folder whose name ends in \.jsonl or \.parquet or \.arrow"),
    ({"write_to": 7, "shards": 2}, "write_to=7 must be the path of a folder"),
    ({"write_to": "", "shards": 2}, "write_to='' must be the path of a folder"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=["no shards", "no format", "a number", "an empty text"])
def test_a_wrong_option_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(elastic.ElasticError, match=said):
        flow().run(cluster="inline", **given)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sums.jsonl"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(elastic.ElasticError, match=r"sums.jsonl' is not empty; name a folder that is not there yet"):
        flow().run(cluster="inline", shards=2, write_to=folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    file = tmp_path / "file.jsonl"
    file.write_text("mine")
    with pytest.raises(elastic.ElasticError, match="cannot be used"):
        flow().run(cluster="inline", shards=2, write_to=file)
    assert file.read_text() == "mine"
