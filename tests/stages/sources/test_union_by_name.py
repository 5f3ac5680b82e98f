"""Files whose columns differ: refused, or read as records with the columns of all files."""

from pathlib import Path
from typing import Any

import pytest
from source_samples import assert_goes_on_anywhere, chunks

import elastic
from elastic.core.errors import DecodingError, SourceError, UsageError
from elastic.stages.sources import ParquetSource

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def collected(flow: elastic.Flow, **options: Any) -> list[Any]:
    return list(flow.aggregate("collect").run(cluster="inline", **options).value)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    for name, data in {
        "k=1/a.csv": b"n,m\n1,2\n3\n",
        "k=1/b.csv": b"",
        "k=2/c.csv": b"z,n\n9,8\n",
        "k=2/d.csv": b"k\n7\n",
    }.items():
        path = tmp_path / "rows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "rows"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    pq.write_table(
        pa.table({"n": pa.array([1, 2], "int32"), "m": ["a", None], "o": [None, None]}), folder / "a.parquet"
    )
    pq.write_table(pa.table({"z": [1.5], "n": pa.array([2**40], "int64"), "o": [True]}), folder / "b.parquet")
    return folder


def test_dictionaries_are_joined_with_their_values(tmp_path: Path) -> None:
    for name, column in {
        "a": pa.array(["x", None]).dictionary_encode(),
        "b": pa.array(["y"]),
        "c": pa.array(["z"], pa.large_string()).dictionary_encode(),
    }.items():
        pq.write_table(pa.table({"s": column}), tmp_path / f"{name}.parquet")
    flow = elastic.read_parquet(tmp_path, union_by_name=True)
    assert collected(flow) == [{"s": "x"}, {"s": None}, {"s": "y"}, {"s": "z"}]
    later = elastic.read_parquet(tmp_path, union_by_name=True, where=("s", ">", "x"))
    assert collected(later) == [{"s": "y"}, {"s": "z"}]
    pq.write_table(pa.table({"s": [1]}), tmp_path / "d.parquet")
    with pytest.raises(SourceError, match=r"the column 's' of '.*d\.parquet' has the type int64"):
        elastic.read_parquet(tmp_path, union_by_name=True).take(1)


ROWS = [
    {"n": "1", "m": "2", "z": None, "k": 1},
    {"n": "8", "m": None, "z": "9", "k": 2},
    {"n": None, "m": None, "z": None, "k": "7"},
]
TABLES = [
    {"n": 1, "m": "a", "o": None, "z": None},
    {"n": 2, "m": None, "o": None, "z": None},
    {"n": 2**40, "m": None, "o": True, "z": 1.5},
]


def test_other_columns_are_refused_unless_they_are_joined(rows: Path, tables: Path) -> None:
    with pytest.raises(DecodingError, match=r"c\.csv'.* header is z, n where .* is n, m; pass union_by_name=True"):
        collected(elastic.read_csv(rows), on_error="skip")
    with pytest.raises(SourceError, match=r"b\.parquet' has the columns z, n, o where .*; pass union_by_name=True"):
        collected(elastic.read_parquet(tables))
    with pytest.raises(UsageError, match="leave out fields="):
        elastic.read_csv(rows, fields=["a"], union_by_name=True)
    with pytest.raises(UsageError, match="'the files' has no column 'y'"):
        collected(elastic.read_csv(rows, columns=["y"], union_by_name=True))


@pytest.mark.parametrize("options", [{}, {"chunk_bytes": 1}, {"ship": "value"}])
def test_rows_have_the_columns_of_all_files_in_one_order(rows: Path, options: dict[str, Any]) -> None:
    flow = elastic.read_csv(rows, union_by_name=True, **options)
    found = collected(flow, on_error="skip")
    assert found == flow.options(on_error="skip").take(9) == ROWS
    assert {tuple(row) for row in found} == {("n", "m", "z", "k")}
    typed = elastic.read_csv(rows, union_by_name=True, columns=["z", "k"], types={"z": int, "k": str}, **options)
    assert collected(typed, on_error="skip") == [{"z": None, "k": "1"}, {"z": 9, "k": "2"}, {"z": None, "k": "7"}]


def test_a_redriven_row_has_the_columns_of_all_files(rows: Path) -> None:
    flow = elastic.read_csv(rows, union_by_name=True).map(repr).aggregate("count")
    result = flow.run(cluster="inline", on_error="dead-letter")
    assert (len(result.value), result.errors) == (3, 1)
    repaired = elastic.read_csv("no", fields=["n"]).map(repr).aggregate("count")
    again = elastic.redrive(result.run_id, repaired, cluster="inline")
    assert set(again.value) - set(result.value) == {repr({"n": "3", "k": 1, "z": None})}


def test_rows_of_parquet_have_the_columns_of_all_files(tables: Path) -> None:
    flow = elastic.read_parquet(tables, union_by_name=True)
    found = collected(flow)
    assert found == flow.take(9) == TABLES
    assert {tuple(row) for row in found} == {("n", "m", "o", "z")}
    assert collected(elastic.read_parquet(tables, ["z"], ("z", "!=", None), union_by_name=True)) == [{"z": 1.5}]
    assert collected(elastic.read_parquet(tables, ["m"], ("z", "==", None), union_by_name=True)) == [
        {"m": "a"}, {"m": None},
    ]  # fmt: skip
    large = ParquetSource(tables, where=("n", ">", 2**35), union_by_name=True)
    assert chunks(large)[-1] == TABLES[2:]
    assert_goes_on_anywhere(large, ParquetSource(tables, where=("n", ">", 2**35), union_by_name=True))
    assert ParquetSource(tables, union_by_name=True).describe()["union_by_name"] is True


def test_frames_have_one_type_for_a_column_of_all_files(tables: Path) -> None:
    pl = pytest.importorskip("polars")
    schemas = elastic.read_parquet(tables, union_by_name=True).map_frames(
        lambda frame: pl.DataFrame({"s": [str(frame.schema)]})
    )
    assert len({row["s"] for row in schemas.take(9)}) == 1


def test_types_that_cannot_be_joined_are_named(tables: Path) -> None:
    pq.write_table(pa.table({"n": ["x"]}), tables / "c.parquet")
    with pytest.raises(
        SourceError, match=r"'n' of '.*c\.parquet' has the type string, and that of '.*b\.parquet' int64"
    ):
        collected(elastic.read_parquet(tables, union_by_name=True))
    some = elastic.read_parquet(tables, ["z"], union_by_name=True)
    assert [row["z"] for row in collected(some)] == [None, None, 1.5, None]
