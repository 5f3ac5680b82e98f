"""The result of a run is a source: its written files, its shards, or the entries of its value."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, Count, FrameCount, FrameSum, Sum
from elastic.core.errors import SourceError, UnknownRunError, UsageError


def counted(**options: Any) -> elastic.Flow:
    return elastic.from_range(1000, chunk_size=100).map(number).aggregate(Count()).options(cluster="inline", **options)


def number(entry: int) -> int:
    return entry % 50


def collected(flow: elastic.Flow) -> Any:
    return flow.aggregate("collect").run(cluster="inline").value


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_line_ends_and_quotes_in_written_csv_are_read_back(tmp_path: Path, compression: str | None) -> None:
    values = ["a\nb", 'c",d\n"', "\n", "e\r\nf", '"', "g,h", "", "\xe9\n\n", "i"]
    rows = [{"number": str(number), "value": value} for number, value in enumerate(values * 50)]
    flow = elastic.from_iterable(rows, chunk_size=4).write_csv(str(tmp_path / "out"), compression=compression)
    run_id = flow.run(cluster="inline").run_id
    found = collected(elastic.from_run(run_id, flow))
    assert sorted(found, key=lambda row: int(row["number"])) == rows


SET_SCRIPT = """
import sys
import elastic

words = elastic.from_iterable([*map(str, range(9998)), None, ("1", b"2")]).aggregate(elastic.aggregators.Distinct())

def keep(entry, bad=len(sys.argv) == 2):
    if bad and entry == "9996":
        raise ValueError(entry)
    return entry

if len(sys.argv) == 2:
    run_id = words.run(cluster="inline").run_id
    flow = elastic.from_run(run_id, words).map(keep).aggregate("collect")
    try:
        flow.run(cluster="inline", max_chunks_in_flight=1, commit_interval=1e-9)
    except elastic.ElasticError as error:
        print(run_id, error.run_id)
else:
    flow = elastic.from_run(sys.argv[1], words).map(keep).aggregate("collect")
    result = elastic.resume(sys.argv[2], flow, cluster="inline", allow_code_change=True)
    print(len(result.value), set(result.value) == elastic.result_of(sys.argv[1], words).value)
"""


@pytest.mark.parametrize("shards", [None, 1, 5])
def test_keys_and_values_of_a_run_are_pairs(shards: int | None) -> None:
    flow = counted(shards=shards)
    result = flow.run()
    pairs = elastic.from_run(result.run_id, flow)
    assert sorted(collected(pairs)) == [(key, 20) for key in range(50)]
    summed = pairs.map(lambda pair: pair[1]).aggregate("sum")
    again = summed.run(cluster="inline")
    assert (again.value, again.entries) == (1000, 50)
    assert elastic.verify(again.run_id, summed, recompute=1.0).ok


def summed_of_one() -> elastic.Flow:
    return elastic.from_range(1).aggregate(Sum())


def test_a_sharded_frame_is_read_in_frames() -> None:
    pl = pytest.importorskip("polars")
    flow = elastic.from_range(1000, chunk_size=100).map(number).aggregate(FrameCount("entry"))
    result = flow.run(cluster="inline", shards=3)
    rows = elastic.from_run(result.run_id, flow.options(shards=3))
    assert sorted(row["entry"] for row in collected(rows)) == list(range(50))
    frames = rows.map_frames(lambda frame: frame.filter(pl.col("entry") < 10)).aggregate(FrameSum("count"))
    assert frames.run(cluster="inline").value == {"count": 200}


@pytest.mark.parametrize("shape", ["jsonl", "csv", "parquet", "text"])
def test_written_files_are_read_by_their_format(tmp_path: Path, shape: str) -> None:
    pytest.importorskip("pyarrow")
    rows = elastic.from_range(10, chunk_size=3)
    target = str(tmp_path / "out")
    writes = {
        "jsonl": lambda: rows.map(lambda n: {"n": n}).write_jsonl(target),
        "csv": lambda: rows.map(lambda n: {"n": n}).write_csv(target),
        "parquet": lambda: rows.map(lambda n: {"n": n}).write_parquet(target),
        "text": lambda: rows.map(str).write_text(target),
    }
    flow = writes[shape]()
    result = flow.run(cluster="inline")
    (Path(target) / "other.txt").write_text("another file\n")
    found = collected(elastic.from_run(result.run_id, flow))
    assert sorted(int(row["n"] if isinstance(row, dict) else row) for row in found) == list(range(10))
    changed = next(Path(target).glob("part-*"))
    changed.write_bytes(changed.read_bytes() + b"1\n")
    with pytest.raises(SourceError, match=r"is not the file that run .* has written"):
        elastic.from_run(result.run_id, flow)


def test_a_flow_over_a_set_resumes_in_another_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SET_SCRIPT)

    def ran(*arguments: str, seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    words, failed = ran("begin", seed="1").split()
    assert ran(words, failed, seed="2") == "10000 True"


def test_lists_are_read_and_numbers_are_refused() -> None:
    flow = elastic.from_range(5).aggregate(Collect())
    assert collected(elastic.from_run(flow.run(cluster="inline").run_id, flow)) == [0, 1, 2, 3, 4]
    total = summed_of_one()
    run_id = total.run(cluster="inline").run_id
    with pytest.raises(UsageError, match="is of type int, which has no entries"):
        elastic.from_run(run_id, total)
    with pytest.raises(UsageError, match="aggregates by"):
        elastic.from_run(run_id, flow)
    with pytest.raises(UnknownRunError):
        elastic.from_run("nothing", total)


def test_a_run_that_is_not_complete_is_refused() -> None:
    flow = elastic.from_iterable([1, 2, "x"], chunk_size=1).map(lambda one: 1 + one).aggregate(Count())
    with pytest.raises(elastic.ElasticError):
        flow.run(cluster="inline")
    with pytest.raises(UsageError, match=r"is not complete; run `elastic resume"):
        elastic.from_run(elastic.runs()[0].run_id, flow)
