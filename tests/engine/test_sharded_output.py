"""A sharded result that is written to one file per shard, for other programs."""

import datetime as dt
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from cluster_driver import inline_and_once_on_ray

import elastic
from elastic.aggregators import GroupBy, SumByKey
from elastic.core.contracts.sink import OutputFile
from elastic.core.errors import StoreError, UsageError
from elastic.interceptors import EventLog
from elastic.persistence.result_files.output_folder import FolderSink

READERS = {".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet, ".arrow": pl.read_ipc}


def pairs(number: int) -> list[tuple[str, int]]:
    return [(f"k{(number * 7919 + index * 31) % 500}", index) for index in range(20)]


def flow(function: Any = pairs, aggregator: Any = SumByKey, entries: int = 400) -> elastic.Flow:
    return elastic.from_range(entries, chunk_size=10).flat_map(function).aggregate(aggregator)


def read(folder: Path) -> list[tuple[Any, Any]]:
    """Check that the files are those of the manifest, and return their rows."""
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


@inline_and_once_on_ray("suffix", list(READERS))
def test_every_shard_writes_a_file(suffix: str, tmp_path: Path, cluster: str) -> None:
    folder = tmp_path / f"sums{suffix}"
    result = flow().run(cluster=cluster, shards=3, write_to=folder)
    assert dict(read(folder)) == dict(result.value) == flow().run(cluster="inline").value
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert (manifest["run_id"], manifest["digest"]) == (result.run_id, result.value.digest)
    assert [each["rows"] for each in manifest["files"]] == result.value.counts
    assert [each["file"] for each in manifest["files"]] == [f"part-{number:05}{suffix}" for number in range(3)]
    assert elastic.verify(result.run_id).ok


def test_a_flow_reads_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sums.jsonl"
    result = flow().run(cluster="inline", shards=3, write_to=folder)
    (folder / "part-00009.jsonl").write_text("left by another program\n")
    rows = elastic.read_jsonl(folder).aggregate("collect").run(cluster="inline").value
    assert {row["key"]: row["value"] for row in rows} == dict(result.value)
    assert len(rows) == len(result.value)


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
    # Two keys of different shards.
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
        (mixed, "a.parquet", r"do not fit into columns .*named \*\.jsonl"),
        (typed_by_shard, "a.arrow", r"shard 0 has the columns .*double.*, and shard 1 has .*int64"),
    ],
    ids=["no JSON", "two types", "two types in two shards"],
)
def test_values_that_the_format_cannot_hold_are_reported(function: Any, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(elastic.ElasticError, match=said):
        flow(function).run(cluster="inline", shards=2, write_to=tmp_path / name)
    assert not (tmp_path / name / "_manifest.json").exists()
    # Nothing is lost: the result itself is of any type.
    run_id = "last"
    assert dict(elastic.result_of(run_id, flow(function)).value) == flow(function).run(cluster="inline").value


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"write_to": "sums.jsonl"}, "pass shards=N as well"),
    ({"write_to": "sums", "shards": 2}, r"must be a folder whose name ends in \.jsonl or \.parquet or \.arrow"),
    ({"write_to": 7, "shards": 2}, "write_to=7 must be the path of a folder"),
    ({"write_to": "", "shards": 2}, "write_to='' must be the path of a folder"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=["no shards", "no format", "a number", "an empty text"])
def test_a_wrong_option_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(elastic.ElasticError, match=said):
        flow().run(cluster="inline", **given)


URLS = ["s3://bucket/out.parquet", "memory://out.jsonl", "abfs+tls://host/out.jsonl", "FILE:///tmp/out.jsonl"]
URLS += [" s3://bucket/out.jsonl", "simplecache::s3://bucket/out.jsonl", "local:///tmp/out.jsonl"]


@pytest.mark.parametrize("url", [*URLS, "file:///tmp/out.jsonl", "sftp://user:secret@host/out.jsonl"])
@pytest.mark.parametrize("of", [str, Path])
def test_a_url_never_becomes_a_local_folder(
    url: str, of: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uses = [
        lambda: flow().run(cluster="inline", shards=2, write_to=of(url)),
        lambda: flow().run(cluster="inline", home=of(url)),
        lambda: elastic.verify("last", home=of(url)),
        lambda: EventLog(of(url)),
    ]
    for use in uses:
        with pytest.raises(UsageError, match="is a URL") as caught:
            use()
        assert "secret" not in str(caught.value)
    monkeypatch.setenv("ELASTIC_HOME", str(of(url)))
    with pytest.raises(UsageError, match="ELASTIC_HOME is a URL"):
        flow().run(cluster="inline")
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_a_nul_character_is_refused() -> None:
    with pytest.raises(UsageError, match=r"write_to=.* contains a NUL character"):
        flow().run(cluster="inline", shards=2, write_to="a\0.jsonl")
    with pytest.raises(UsageError, match=r"home=.* contains a NUL character"):
        flow().run(cluster="inline", home="a\0")


def test_a_folder_whose_name_looks_like_a_url_can_still_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flow().run(cluster="inline", shards=2, write_to="./s3:/out.jsonl")
    assert (tmp_path / "s3:/out.jsonl/_manifest.json").is_file()


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sums.jsonl"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(elastic.ElasticError, match=r"sums.jsonl' is not empty; name a folder that does not exist"):
        flow().run(cluster="inline", shards=2, write_to=folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    file = tmp_path / "file.jsonl"
    file.write_text("mine")
    with pytest.raises(elastic.ElasticError, match="cannot be used"):
        flow().run(cluster="inline", shards=2, write_to=file)
    assert file.read_text() == "mine"


def owned(folder: Path, run: str = "one", epoch: int = 1) -> FolderSink:
    return FolderSink(folder, epoch, (run, 0))


def written(output: FolderSink, rows: int = 3, parts: int = 1) -> list[OutputFile]:
    """Write files with some numbers of rows, and return their descriptions."""
    found = list[OutputFile]()
    for _ in range(parts):
        with output.open() as file:
            file.write([f"k{number}" for number in range(rows)], [*range(rows)])
        found.append(file.part)
    return found


def publish(output: FolderSink, rows: int = 3, parts: int = 1) -> None:
    output.publish(written(output, rows, parts), {"keys": rows * parts})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_belongs_to_a_run_from_its_beginning(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    first = owned(folder)
    first.prepare()
    assert json.loads((folder / "_unfinished.json").read_text()) == {"run_id": "one", "step": 0, "epoch": 1}
    for other in (owned(folder, "two"), owned(folder, "two", epoch=2), FolderSink(folder, 2, ("one", 1))):
        with pytest.raises(UsageError, match=r"belongs to run one, .*`elastic resume one`, remove the folder"):
            other.prepare()
    publish(first)
    assert names(folder) == {"part-00000.jsonl", "_manifest.json"}
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert (manifest["run_id"], manifest["step"], manifest["epoch"]) == ("one", 0, 1)
    for other in (owned(folder, "two"), owned(folder, "two", epoch=2), FolderSink(folder, 2, ("one", 1))):
        with pytest.raises(UsageError, match="is not empty: run one wrote it"):
            other.prepare()
    assert len(read(folder)) == 3


class Slow(FolderSink):
    """Waits until another run has written to the folder."""

    def _check_content(self) -> None:
        super()._check_content()
        if not (self.folder / "_unfinished.json").exists():
            other = owned(self.folder, "fast")
            other.prepare()
            publish(other)


def test_a_run_that_had_the_folder_since_the_first_look_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    with pytest.raises(UsageError, match="run fast wrote it"):
        Slow(folder, 1, ("slow", 0)).prepare()
    assert len(read(folder)) == 3


def test_a_run_whose_folder_another_one_has_taken_leaves_it_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    first, second = owned(folder), owned(folder, "two")
    first.prepare()
    (folder / "_unfinished.json").unlink()
    (folder / "mark-1").unlink()
    second.prepare()
    parts = written(first, rows=5)
    with pytest.raises(StoreError, match=r"no longer marked as the folder of run one"):
        first.publish(parts, {"keys": 5})
    first.close()
    publish(second)
    assert len(read(folder)) == 3
    with pytest.raises(UsageError, match="run two wrote it"):
        owned(folder, epoch=2).prepare()


def test_a_master_that_was_frozen_does_not_touch_what_a_later_one_writes_or_has_written(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    outputs = [owned(folder, epoch=epoch) for epoch in (1, 2, 3)]
    parts = list[list[OutputFile]]()
    for output in outputs:
        output.prepare()
        parts.append(written(output, rows=len(parts) + 1))
    with pytest.raises(StoreError, match=r"later master of run one \(epoch 3, this one has 1\)"):
        outputs[0].publish(parts[0], {"keys": 1})
    with pytest.raises(StoreError, match="later master"):
        owned(folder, epoch=2).prepare()
    outputs[2].publish(parts[2], {"keys": 3})
    with pytest.raises(StoreError, match=r"later master of run one \(epoch 3, this one has 2\)"):
        outputs[1].publish(parts[1], {"keys": 2})
    assert len(read(folder)) == 3


def test_files_that_the_new_manifest_does_not_name_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "a.parquet"
    for epoch, parts in ((1, 3), (2, 2)):
        output = owned(folder, epoch=epoch)
        output.prepare()
        publish(output, parts=parts)
        assert len(read(folder)) == 3 * parts


def test_what_was_whole_stays_so_if_a_new_file_is_gone_or_cut_short(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    first = owned(folder)
    first.prepare()
    publish(first)
    for epoch, damage in ((2, Path.unlink), (3, lambda path: os.truncate(path, 1))):
        output = owned(folder, epoch=epoch)
        output.prepare()
        parts = written(output, rows=5, parts=2)
        damage(folder / parts[1].name)
        with pytest.raises(StoreError, match=f"{parts[1].name} is missing or damaged; resume the run"):
            output.publish(parts, {"keys": 10})
        assert len(read(folder)) == 3


def test_a_folder_into_which_nothing_could_be_published_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "a.parquet"
    with pytest.raises(elastic.ElasticError, match="shard 0 has the columns"):
        flow(typed_by_shard).run(cluster="inline", shards=2, write_to=folder)
    assert names(folder) == set()
    mended = flow().run(cluster="inline", shards=2, write_to=folder)
    assert dict(read(folder)) == dict(mended.value)


def test_a_folder_of_files_without_a_manifest_stays_that_of_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    first = owned(folder)
    first.prepare()
    # The state that a master leaves if it is killed while it renames the files.
    (folder / "part-00000.jsonl").write_text("{}\n")
    first.close()
    with pytest.raises(UsageError, match="belongs to run one"):
        owned(folder, "two").prepare()
    second = owned(folder, epoch=2)
    second.prepare()
    publish(second)
    assert len(read(folder)) == 3


def test_a_marker_without_a_run_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    folder.mkdir()
    for text in ("", "[]", "{}"):
        (folder / "_unfinished.json").write_text(text)
        with pytest.raises(UsageError, match=r"has a damaged _unfinished\.json"):
            owned(folder).prepare()


def test_two_runs_at_once_do_not_mix(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl"
    refused = list[BaseException]()

    def second(number: int) -> list[tuple[str, int]]:
        if number == 0 and not refused:
            with pytest.raises(elastic.ElasticError, match=r"belongs to run .*, which is not complete") as caught:
                flow().run(cluster="inline", shards=4, write_to=folder)
            refused.append(caught.value)
        return pairs(number)

    result = flow(second).run(cluster="inline", shards=2, write_to=folder)
    assert len(refused) == 1
    assert dict(read(folder)) == dict(result.value)
