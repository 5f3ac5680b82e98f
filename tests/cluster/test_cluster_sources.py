"""Sources on Ray's workers: bad records, row groups, ranges of a query and joined flows, as in one process."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, FrameSum

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.cluster


def flows(folder: Path) -> list[elastic.Flow]:
    rows = folder / "rows.csv"
    rows.write_bytes(b"k,n\n" + b"a,1\nb\nc,x\n" * 50 + b"d,\xff\n")
    pq.write_table(pa.table({"n": list(range(100)), "s": ["x", None] * 50}), folder / "rows.parquet", row_group_size=9)
    connection = sqlite3.connect(folder / "rows.db")
    connection.execute("create table t (n integer)")
    connection.executemany("insert into t values (?)", [(n,) for n in (*range(50), None)])
    connection.commit()
    connection.close()
    typed = elastic.read_csv(rows, types={"n": int}, chunk_bytes=40)
    parquet = elastic.read_parquet(folder / "rows.parquet", where=("n", ">=", 20))
    ranges = elastic.read_sql("select n from t", f"sqlite:///{folder}/rows.db", partition_on="n", partitions=5)
    return [
        typed.aggregate(Collect()),
        parquet.aggregate(Collect()),
        parquet.aggregate(FrameSum("n")),
        ranges.map(lambda row: row["n"]).aggregate(Collect()),
        elastic.concat(typed, parquet, elastic.from_arrow(pa.table({"n": [7]})), elastic.read_files(rows)).aggregate(
            Collect()
        ),
    ]


def test_sources_give_the_same_on_workers_as_in_one_process(tmp_path: Path, embedded_ray: None) -> None:
    for flow in flows(tmp_path):
        options: dict[str, Any] = {"on_error": "dead-letter"}
        here, there = (flow.run(cluster=cluster, **options) for cluster in ("inline", "local"))
        assert there.value == here.value
        assert (there.entries, there.errors, there.root) == (here.entries, here.errors, here.root)
        assert [(letter.failure.place, letter.entry) for letter in elastic.dead_letters(there.run_id)] == [
            (letter.failure.place, letter.entry) for letter in elastic.dead_letters(here.run_id)
        ]
        assert elastic.verify(there.run_id, flow, recompute=1.0).ok
