"""Sharded flows of frames: rows and receipts as without shards; stored, resumed, redriven, verified and written."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cluster_driver import inline_and_once_on_ray

import elastic
from elastic.aggregators import FrameCount, FrameGroupBy, FrameSum
from elastic.aggregators.sharded.frame_result import ShardedFrame
from elastic.chaos.outcome import ResultDigest
from elastic.cli.printing.run_result import jsonable
from elastic.core.errors import EncodingError, StepFailedError, UsageError

READERS = {".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet, ".arrow": pl.read_ipc}
QUICK: dict[str, Any] = {"cluster": "inline", "target_call_seconds": 1e-9, "collect_interval": 1e-9}


def sales(number: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"key": [f"k{(number * 7919 + index * 31) % 500}" for index in range(20)], "value": list(range(20))}
    )


def fragile(number: int) -> pl.DataFrame:
    if number % 50 == 7:
        raise ValueError(number)
    return sales(number)


def flow(function: Any = sales, aggregator: Any = None) -> elastic.Flow:
    by_key = FrameGroupBy("key", n="count", sum=("value", "sum"))
    return elastic.from_range(400, chunk_size=10).map(function).aggregate(by_key if aggregator is None else aggregator)


ROWS = sorted(pl.concat(map(sales, range(400))).group_by("key").agg(n=pl.len(), sum=pl.col("value").sum()).rows())


def rows(value: Any) -> list[tuple[Any, ...]]:
    assert isinstance(value, ShardedFrame)
    return sorted(value.iter_rows())


def test_the_answer_and_the_receipts_are_those_of_one_frame(cluster: str) -> None:
    whole = flow().run(cluster=cluster)
    digests = set()
    for shards in (1, 3):
        result = flow().run(cluster=cluster, shards=shards)
        assert rows(result.value) == sorted(whole.value.rows()) == ROWS
        assert result.value.collect().schema == whole.value.schema
        assert (result.root, result.receipts, result.entries) == (whole.root, whole.receipts, whole.entries)
        assert ResultDigest.of(result) == ResultDigest.of(whole)
        assert elastic.verify(result.run_id).ok
        assert elastic.verify(result.run_id, flow(), recompute=1.0).ok
        digests.add(result.value.digest)
    assert len(digests) == 1


def test_words_of_files_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("".join(f"word{n % 13} and \u00e9{n % 700}\n" for n in range(5000)))
    words = elastic.read_text(path, chunk_bytes=4000).words()
    result = words.aggregate(FrameCount()).run(cluster="inline", shards=2)
    assert dict(result.value.iter_rows()) == Counter(path.read_text().split())
    assert result.value.collect().columns == ["word", "count"]
    assert jsonable(result.value)[0].keys() == {"word", "count"}
    assert len(jsonable(result.value)) == len(result.value) == 714


def test_a_kept_result_is_read_by_a_later_process() -> None:
    result = flow().run(cluster="inline", shards=3)
    kept = elastic.result_of(result.run_id, flow())
    assert rows(kept.value) == ROWS
    assert kept.value.digest == result.value.digest
    assert repr(kept.value).startswith("ShardedFrame(500 keys in 3 shards, digest ")


def late(number: int) -> pl.DataFrame:
    return fragile(number) if number > 200 else sales(number)


def test_an_unfinished_run_is_read_and_gone_on_with() -> None:
    with pytest.raises(StepFailedError):
        flow(late).run(shards=2, **QUICK)
    so_far = elastic.result_of("last", flow(late)).value
    assert 0 < len(so_far) <= 500
    resumed = elastic.resume("last", flow(), allow_code_change=True, cluster="inline")
    assert rows(resumed.value) == ROWS
    assert elastic.verify(resumed.run_id).ok


def test_dead_letters_are_redriven_into_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "sales.parquet"
    failed = flow(fragile).run(shards=2, cluster="inline", on_error="dead-letter", write_to=folder)
    assert failed.errors == 8
    assert sorted(read(folder).rows()) == rows(failed.value) != ROWS
    redriven = elastic.redrive(failed.run_id, flow(), cluster="inline")
    assert rows(redriven.value) == sorted(read(folder).rows()) == ROWS


def read(folder: Path) -> pl.DataFrame:
    manifest = json.loads((folder / "_manifest.json").read_text())
    frames = [READERS[folder.suffix](folder / each["file"]) for each in manifest["files"]]
    assert [frame.height for frame in frames] == [each["rows"] for each in manifest["files"]]
    return pl.concat(frames)


@inline_and_once_on_ray("suffix", list(READERS))
def test_every_shard_writes_a_file_with_the_columns_of_the_frame(suffix: str, tmp_path: Path, cluster: str) -> None:
    folder = tmp_path / f"sales{suffix}"
    result = flow().run(cluster=cluster, shards=3, write_to=folder)
    assert read(folder).equals(result.value.collect())
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert manifest["digest"] == result.value.digest
    typed = None if suffix == ".jsonl" else "key: large_string, n: int64, sum: int64"
    assert (manifest["columns"] or None) == typed


def huge(number: int) -> pl.DataFrame:
    return pl.DataFrame({"key": [f"k{number}", "all"], "value": [2**63 - 1, 2**63 - 1]})


def test_sums_beyond_64_bits_are_kept_and_not_written_to_columns(tmp_path: Path) -> None:
    expected = {"all": 400 * (2**63 - 1), **{f"k{n}": 2**63 - 1 for n in range(400)}}
    sums = FrameGroupBy("key", sum=("value", "sum"))
    with pytest.raises(EncodingError, match=r"integers of more than 64 bits in the column sum.*named \*\.jsonl"):
        flow(huge, sums).run(cluster="inline", shards=2, write_to=tmp_path / "huge.parquet")
    result = flow(huge, sums).run(cluster="inline", shards=2, write_to=tmp_path / "huge.jsonl")
    assert dict(result.value.iter_rows()) == expected
    assert result.value.collect().schema["sum"] == pl.Int128
    written = [
        json.loads(line) for path in (tmp_path / "huge.jsonl").glob("part-*") for line in path.read_text().splitlines()
    ]
    assert {each["key"]: each["sum"] for each in written} == expected


def nulls(entries: pl.DataFrame) -> pl.DataFrame:
    number = entries["entry"][0]
    return pl.DataFrame({"key": [f"k{number}"], "value": [number if number % 3 else None]})


@pytest.mark.parametrize("suffix", READERS)
def test_nulls_are_written_as_such(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / f"nulls{suffix}"
    least = FrameGroupBy("key", least=("value", "min"))
    chunks = elastic.from_range(400, chunk_size=1).map_frames(nulls)
    result = chunks.aggregate(least).run(cluster="inline", shards=2, write_to=folder)
    expected = {f"k{n}": n if n % 3 else None for n in range(400)}
    assert dict(read(folder).rows()) == dict(result.value.iter_rows()) == expected


def typed_once(entries: pl.DataFrame) -> pl.DataFrame:
    """Return a chunk with a column of nulls; only the first chunk has integers in it."""
    number = entries["entry"][0]
    values = pl.Series("value", [0 if number == 0 else None], dtype=None if number else pl.Int64)
    return pl.DataFrame({"key": [f"k{number}"], "value": values})


def test_a_shard_of_nothing_but_nulls_has_the_columns_of_the_others(tmp_path: Path) -> None:
    chunks = (
        elastic.from_range(50, chunk_size=1).map_frames(typed_once).aggregate(FrameGroupBy("key", m=("value", "max")))
    )
    result = chunks.run(shards=4, write_to=tmp_path / "nulls.parquet", **QUICK)
    assert {frame.schema["m"] for frame in result.value} == {pl.Int64}
    assert read(tmp_path / "nulls.parquet")["m"].null_count() == 49
    assert elastic.verify(result.run_id, chunks, recompute=1.0).ok


@pytest.mark.parametrize("kind", ["piece", "result"])
def test_one_byte_that_was_changed_names_its_file(kind: str, home: Path) -> None:
    result = flow().run(cluster="inline", shards=2)
    folder = home / "runs" / result.run_id / "shards" / "step-0000"
    path = next(path for path in folder.iterdir() if path.name.startswith(kind))
    good = path.read_bytes()
    for at in (0, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert str(path) in str(elastic.verify(result.run_id))
    path.write_bytes(good)
    assert elastic.verify(result.run_id).ok


def test_pieces_that_make_another_result_are_found() -> None:
    result = flow().run(cluster="inline", shards=2)
    other = FrameGroupBy("key", n="count", sum=("value", "sum"))
    other.finish = lambda state: FrameGroupBy.finish(other, state).head(1)  # type: ignore[method-assign]
    found = elastic.verify(result.run_id, flow(aggregator=other), recompute=1.0)
    assert "shard 0 of the result differs from its merged pieces" in str(found)


def test_frames_without_keys_are_refused() -> None:
    with pytest.raises(UsageError, match=r"shards=2 partitions a result by key, and FrameSum.* has no keys"):
        flow(aggregator=FrameSum("value")).run(cluster="inline", shards=2)
