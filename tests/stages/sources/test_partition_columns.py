"""Columns in the names of folders: those of other programs, and those that Elastic writes itself."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from source_samples import assert_goes_on_anywhere, chunks, entries

import elastic
from elastic.core.errors import SourceError, UsageError
from elastic.stages.sources import ParquetSource

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")

ROWS = [
    {"n": number, "country": country, "day": dt.date(2026, 1, 1 + number % 2), "year": 2020 + number % 3}
    for number, country in enumerate(["DE", "a/b", "x=y", "é €", "100%", None, "DE", "U.S."])
]


def saved(folder: Path, name: str, *numbers: int, column: str = "n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: numbers}), path)
    return path


def in_order(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row["n"])


def collected(flow: elastic.Flow) -> Any:
    return in_order(flow.aggregate("collect").run(cluster="inline").value)


def test_columns_that_elastic_writes_into_names_of_folders_come_back(tmp_path: Path) -> None:
    rows = elastic.from_iterable(ROWS)
    rows.write_parquet(tmp_path / "out", partition_by=["country", "day", "year"]).run(cluster="inline")
    assert collected(elastic.read_parquet(tmp_path / "out")) == ROWS
    some = elastic.read_parquet(
        tmp_path / "out", columns=["day", "n"], where=[("country", "==", "DE"), ("year", ">", 2000)]
    )
    assert collected(some) == [{"day": row["day"], "n": row["n"]} for row in ROWS if row["country"] == "DE"]


def test_columns_of_other_programs_come_back(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS, schema_overrides={"day": pl.Date})
    frame.write_parquet(pl.PartitionBy(tmp_path / "polars", key=["country", "year"], include_key=False), mkdir=True)
    assert collected(elastic.read_parquet(tmp_path / "polars")) == ROWS
    duckdb.sql(f"copy (from frame) to '{tmp_path}/duckdb' (format parquet, partition_by (country, day))")
    assert collected(elastic.read_parquet(tmp_path / "duckdb")) == [
        {name: row[name] for name in ("n", "year", "country", "day")} for row in ROWS
    ]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "-2"], [1, -2]),
        (["1", "007"], ["1", "007"]),
        (["0", "-0"], ["0", "-0"]),
        (["9223372036854775807"], [2**63 - 1]),
        (["9223372036854775808"], ["9223372036854775808"]),
        (["9" * 200], ["9" * 200]),
        (["2026-02-28", "__HIVE_DEFAULT_PARTITION__"], [dt.date(2026, 2, 28), None]),
        (["2026-02-30"], ["2026-02-30"]),
        (["20260228"], [20260228]),
        (["true", "false"], [True, False]),
        (["true", "1"], ["true", "1"]),
        (["__HIVE_DEFAULT_PARTITION__"], [None]),
        (["", "1.5"], ["", "1.5"]),
        (["\u0661"], ["\u0661"]),
        (["nan"], ["nan"]),
        (["a%2Fb", "100%25", "%zz"], ["a/b", "100%", "%zz"]),
    ],
)
def test_the_type_of_a_column_follows_from_all_its_values(tmp_path: Path, texts: list[str], values: list[Any]) -> None:
    for number, text in enumerate(texts):
        saved(tmp_path, f"data/k={text}/a.parquet", number)
    found = in_order(entries(ParquetSource(tmp_path / "data")))
    assert [row["k"] for row in found] == values
    assert [type(row["k"]) for row in found] == [type(value) for value in values]


@pytest.mark.parametrize("of_all", [True, False])
def test_only_folders_below_the_given_path_are_columns(
    tmp_path: Path, of_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, "run=1/data/k=5/a.parquet", 7)
    monkeypatch.chdir(tmp_path)
    for given in ("run=1/data", "run=1/data/", "run=1/data/k=*/*.parquet", "run=1/data/**/*.parquet"):
        assert entries(ParquetSource(given, hive_partitioning=of_all)) == [{"n": 7, "k": 5} if of_all else {"n": 7}]
    for given in (path, "run=1/data/k=5", path.as_uri()):
        assert entries(ParquetSource(given, hive_partitioning=of_all)) == [{"n": 7}]
    assert entries(ParquetSource([path, tmp_path])) == [{"n": 7, "run": 1, "k": 5}]


def test_folders_of_urls_are_columns(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/partition-columns/k=5/a.parquet", saved(tmp_path, "a.parquet", 7).read_bytes())
    try:
        assert entries(ParquetSource("memory://partition-columns")) == [{"n": 7, "k": 5}]
        assert entries(ParquetSource("memory://partition-columns/k=*/a.parquet")) == [{"n": 7, "k": 5}]
    finally:
        memory.rm("/partition-columns", recursive=True)


def test_a_column_of_the_file_itself_is_kept(tmp_path: Path) -> None:
    saved(tmp_path, "n=1/a.parquet", 7)
    assert entries(ParquetSource(tmp_path)) == [{"n": 7}]


def test_files_whose_folders_do_not_match_are_not_opened(tmp_path: Path) -> None:
    saved(tmp_path, "k=1/a.parquet", 1)
    saved(tmp_path, "k=2/a.parquet", 2)
    (tmp_path / "k=3").mkdir()
    (tmp_path / "k=3/a.parquet").write_bytes(b"no Parquet")
    source = ParquetSource(tmp_path, where=[("k", "in", [2, 5])])
    assert entries(source) == [{"n": 2, "k": 2}]
    assert_goes_on_anywhere(source, ParquetSource(tmp_path, where=[("k", "in", [2, 5])]))
    assert chunks(ParquetSource(tmp_path, where=("k", ">", 9))) == []
    with pytest.raises(UsageError, match=r"where compares the column 'k' of type int64 with '2'"):
        entries(ParquetSource(tmp_path, where=("k", "==", "2")))
    assert entries(ParquetSource(tmp_path, columns=["k"], where=("k", "<", 3))) == [{"k": 1}, {"k": 2}]


def test_folders_of_different_columns_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "k=1/a.parquet", 1)
    saved(tmp_path, "k=1/m=2/a.parquet", 1)
    with pytest.raises(SourceError, match=r"name k, m, and those of .* name k; .* pass hive_partitioning=False"):
        entries(ParquetSource(tmp_path))
    saved(tmp_path / "twice", "k=1/k=2/a.parquet", 1)
    with pytest.raises(SourceError, match=r"name 'k' twice"):
        entries(ParquetSource(tmp_path / "twice"))


def test_frames_have_the_columns_of_the_folders(tmp_path: Path) -> None:
    saved(tmp_path, "data/k=x/a.parquet", 1, 2)
    flow = elastic.read_parquet(tmp_path / "data").map_frames(lambda frame: frame.filter(pl.col("k") == "x"))
    flow.write_jsonl(tmp_path / "out").run(cluster="inline")
    assert collected(elastic.read_jsonl(tmp_path / "out")) == [{"n": 1, "k": "x"}, {"n": 2, "k": "x"}]
