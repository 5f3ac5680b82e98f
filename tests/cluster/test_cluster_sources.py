"""Every kind of source gives workers on Ray the entries that it gives this process."""

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import elastic

pytestmark = pytest.mark.cluster

ROWS = [{"id": number, "name": f"name {number} ü", "price": number / 4} for number in range(200)]

QUICK = {"workers": 2}


def text_files(folder: Path) -> elastic.Flow:
    (folder / "a.txt").write_text("".join(f"line {number}\n" for number in range(500)))
    (folder / "b.txt.gz").write_bytes(gzip.compress(b"packed\n" * 50))
    (folder / "c.txt").write_bytes("naïve\nœuvre\n".encode("cp1252"))
    return elastic.concat(
        elastic.read_text(folder / "[ab]*", chunk_bytes=512), elastic.read_text(folder / "c.txt", encoding="cp1252")
    )


def csv_files(folder: Path) -> elastic.Flow:
    for country in ("AT", "CH"):
        (folder / f"country={country}").mkdir()
        lines = [f"{row['id']},{row['price']}" for row in ROWS]
        (folder / f"country={country}/rows.csv").write_text("\n".join(["id,price", *lines]))
    return elastic.read_csv(folder, types={"id": int, "price": float}, chunk_bytes=700)


def json_files(folder: Path) -> elastic.Flow:
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    (folder / "rows.json").write_text(json.dumps(ROWS))
    return elastic.read_jsonl(folder / "rows.jsonl", chunk_bytes=900) + elastic.read_json(folder / "rows.json")


def parquet_files(folder: Path) -> elastic.Flow:
    pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    from pyarrow import parquet

    for day in (1, 2, 3):
        (folder / f"day={day}").mkdir()
        parquet.write_table(pa.Table.from_pylist(ROWS), folder / f"day={day}/rows.parquet", row_group_size=30)
    where = [("price", ">=", 20.0), ("day", "in", [1, 3])]
    return elastic.read_parquet(folder, columns=["day", "name"], where=where)


def whole_files(folder: Path) -> elastic.Flow:
    for number in range(5):
        (folder / f"{number}.bin").write_bytes(bytes([number]) * (number * 1000))
    return elastic.read_files(folder).map(lambda file: (Path(file["path"]).name, len(file["bytes"])))


def table(folder: Path) -> elastic.Flow:
    pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    return elastic.from_arrow(pa.Table.from_pylist(ROWS), chunk_size=30)


def query(folder: Path) -> elastic.Flow:
    with closing(sqlite3.connect(folder / "rows.db")) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER, name TEXT, price REAL)")
        connection.executemany("INSERT INTO rows VALUES (:id, :name, :price)", ROWS)
    url = f"sqlite:///{folder}/rows.db"
    return elastic.read_sql("SELECT * FROM rows", url, partition_on="id", partitions=7)


def earlier_run(folder: Path) -> elastic.Flow:
    flow = elastic.from_range(300, chunk_size=20).write_jsonl(folder / "out")
    return elastic.from_run(flow.run(cluster="inline").run_id, flow)


SOURCES = [text_files, csv_files, json_files, parquet_files, whole_files, table, query, earlier_run]


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_workers_read_what_this_process_reads(
    make: Callable[[Path], elastic.Flow], tmp_path: Path, embedded_ray: None
) -> None:
    flow = make(tmp_path).aggregate("collect")
    expected: list[Any] = flow.run(cluster="inline", persist=False).value
    assert expected
    assert flow.run(cluster="local", persist=False, **QUICK).value == expected
