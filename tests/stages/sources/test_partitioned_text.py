"""Columns in the names of folders of CSV and JSON lines files, also of records that cannot be parsed."""

import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from source_samples import assert_goes_on_anywhere, entries

import elastic
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError, SourceError, StepFailedError, UsageError
from elastic.core.model.bad_record import RawRecord
from elastic.core.model.folder_column import FolderColumn
from elastic.stages.sources import CsvRecordFormat, FileSource, JsonLinesRecordFormat

ROWS = [
    {"n": number, "country": country, "day": dt.date(2026, 1, 1 + number % 2), "year": 2020 + number % 3}
    for number, country in enumerate(["DE", "a/b", "x=y", "é €", "100%", None, "DE", "U.S."])
]


def saved(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def collected(flow: elastic.Flow) -> list[Any]:
    return list(flow.aggregate("collect").run(cluster="inline").value)


def counted(flow: elastic.Flow) -> elastic.Flow:
    return flow.map(repr).aggregate("count")


@pytest.mark.parametrize(
    ("options", "compression"),
    [({}, None), ({"chunk_bytes": 1}, None), ({"ship": "value"}, "gzip"), ({"one_file_per_chunk": True}, None)],
)
def test_columns_that_elastic_writes_into_names_of_folders_come_back(
    tmp_path: Path, options: dict[str, Any], compression: str | None
) -> None:
    rows, by = elastic.from_iterable(ROWS), ["country", "day", "year"]
    rows.write_jsonl(tmp_path / "json", partition_by=by, compression=compression).run(cluster="inline")
    rows.write_csv(tmp_path / "csv", partition_by=by, compression=compression).run(cluster="inline")
    lines = elastic.read_jsonl(tmp_path / "json", **options)
    typed = elastic.read_csv(tmp_path / "csv", types={"n": int}, **options)
    for flow in (lines, typed):
        assert sorted(collected(flow), key=lambda row: row["n"]) == ROWS
        assert all(row in ROWS for row in flow.take(3))
    untyped = collected(elastic.read_csv(tmp_path / "csv", **options))
    assert sorted(untyped, key=lambda row: row["n"]) == [{**row, "n": str(row["n"])} for row in ROWS]


def test_columns_of_folders_are_selected_and_typed_as_others(tmp_path: Path) -> None:
    saved(tmp_path, "year=2020/a.csv", b"n,m\n1,2\n")
    saved(tmp_path, "year=__HIVE_DEFAULT_PARTITION__/a.csv", b"n,m\n3,4\n")
    assert collected(elastic.read_csv(tmp_path, columns=["year", "n"])) == [
        {"year": 2020, "n": "1"}, {"year": None, "n": "3"},
    ]  # fmt: skip
    typed = collected(elastic.read_csv(tmp_path, columns=["year"], types={"year": str}))
    assert typed == [{"year": "2020"}, {"year": None}]
    plain = elastic.read_csv(tmp_path, fields=["a", "b"], columns=["year", "a"], skip_rows=1)
    assert [list(row.values()) for row in collected(plain)] == [[2020, "1"], [None, "3"]]
    with pytest.raises(UsageError, match=r"no column 'yaer'; did you mean 'year'"):
        collected(elastic.read_csv(tmp_path, columns=["yaer"]))
    with pytest.raises(UsageError, match="'fields=' has no column 'yaer'"):
        collected(elastic.read_csv(tmp_path, fields=["a", "b"], columns=["yaer"]))
    with pytest.raises(UsageError, match="has no column 'year'"):
        elastic.read_csv(tmp_path, fields=["a", "b"], columns=["year"], hive_partitioning=False)


def test_a_record_keeps_its_own_column(tmp_path: Path) -> None:
    saved(tmp_path, "n=1/a.csv", b"n,m\n7,8\n")
    assert collected(elastic.read_csv(tmp_path)) == [{"n": "7", "m": "8"}]
    saved(tmp_path / "json", "n=1/a.jsonl", b'{"n": null}\n{"m": 3}\n{}\n')
    assert collected(elastic.read_jsonl(tmp_path / "json")) == [{"n": None}, {"m": 3, "n": 1}, {"n": 1}]


@pytest.mark.parametrize("read", [elastic.read_csv, elastic.read_jsonl])
def test_files_elsewhere_are_refused_unless_folders_are_ignored(tmp_path: Path, read: Callable[..., Any]) -> None:
    line = b"n\n1\n" if read is elastic.read_csv else b'{"n": "1"}\n'
    saved(tmp_path, "k=1/a", line)
    saved(tmp_path, "a", line)
    with pytest.raises(SourceError, match=r"name k, and those of .* name no column; .* hive_partitioning=False"):
        collected(read(tmp_path))
    assert collected(read(tmp_path, hive_partitioning=False)) == [{"n": "1"}, {"n": "1"}]
    assert collected(read(tmp_path / "k=1")) == [{"n": "1"}]
    with pytest.raises(UsageError, match="no argument 'hive_partitioning'"):
        elastic.read_text(tmp_path, hive_partitioning=False)  # type: ignore[call-arg]


def test_a_value_that_is_no_object_is_a_failed_record_below_such_folders_only(tmp_path: Path) -> None:
    saved(tmp_path, "k=1/a.jsonl", b'{"n": 1}\n[2]\nNaN\n')
    flow = elastic.read_jsonl(tmp_path).aggregate("collect")
    with pytest.raises(StepFailedError, match=r"is a JSON list and has no columns, .* pass hive_partitioning=False"):
        flow.run(cluster="inline")
    result = flow.run(cluster="inline", on_error="dead-letter")
    assert (result.value, result.errors) == ([{"n": 1, "k": 1}], 2)
    assert len(collected(elastic.read_jsonl(tmp_path, hive_partitioning=False))) == 3


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_a_redriven_record_has_the_columns_of_its_folders(tmp_path: Path, chunk_bytes: int) -> None:
    saved(tmp_path, "csv/k=2026-01-02/z=a%2Fb/a.csv", b"n,m\n1,2\n3;4\n")
    saved(tmp_path, "csv/k=__HIVE_DEFAULT_PARTITION__/z=007/a.csv.gz", gzip.compress(b"n,m\n5;6\n7,8\n"))
    saved(tmp_path, "json/k=1/a.jsonl", b'\xff\n{"n": 1}\n{"n"\n')
    rows = elastic.read_csv(tmp_path / "csv", chunk_bytes=chunk_bytes)
    result = counted(rows).run(cluster="inline", on_error="dead-letter")
    day, none = dt.date(2026, 1, 2), {"k": None, "z": "007"}
    good = [{"n": "1", "m": "2", "k": day, "z": "a/b"}, {"n": "7", "m": "8", **none}]
    assert (set(result.value), result.errors) == (set(map(repr, good)), 2)
    repaired = elastic.read_csv("no.csv", delimiter=";", types={"n": int, "k": str})
    again = elastic.redrive(result.run_id, counted(repaired), cluster="inline")
    mended = [{"n": 3, "m": "4", "k": "2026-01-02", "z": "a/b"}, {"n": 5, "m": "6", **none}]
    assert set(again.value) == set(map(repr, good + mended))

    lines = elastic.read_jsonl(tmp_path / "json", chunk_bytes=chunk_bytes)
    result = counted(lines).run(cluster="inline", on_error="dead-letter")
    assert (set(result.value), result.errors) == ({repr({"n": 1, "k": 1})}, 2)
    column = FolderColumn("k", "1", "int64")
    assert [unpack(letter.entry).columns for letter in elastic.dead_letters(result.run_id)] == [(column,)] * 2


def test_a_record_that_a_function_refuses_is_redriven_with_its_columns(tmp_path: Path) -> None:
    saved(tmp_path, "k=1/a.csv", b"n\n1\nx\n")
    flow = elastic.read_csv(tmp_path)
    broken = flow.map(lambda row: {**row, "n": int(row["n"])})
    result = counted(broken).run(cluster="inline", on_error="dead-letter")
    again = elastic.redrive(result.run_id, counted(flow.map(dict)), cluster="inline")
    assert set(again.value) == {repr({"n": 1, "k": 1}), repr({"n": "x", "k": 1})}


def test_sources_go_on_at_any_piece_and_urls_have_columns(tmp_path: Path) -> None:
    for k in (1, 2):
        saved(tmp_path, f"csv/k={k}/a.csv", b"n,m\n1,2\n3,4\n")
        saved(tmp_path, f"json/k={k}/a.jsonl", b'{"n": 1}\n{"n": 2}\n')
    for form, name in ((CsvRecordFormat(), "csv"), (JsonLinesRecordFormat(), "json")):
        one, other = (FileSource(tmp_path / name, form, chunk_bytes=5) for _ in range(2))
        assert_goes_on_anywhere(one, other)
        assert [entry["k"] for entry in entries(one)] == [1, 1, 2, 2]
        assert "hive_partitioning" not in one.describe()
    ignoring = FileSource(tmp_path, JsonLinesRecordFormat(hive_partitioning=False))
    assert ignoring.describe()["hive_partitioning"] is False
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/partitioned-text/k=5/a.csv", b"n\n1\n")
    try:
        assert collected(elastic.read_csv("memory://partitioned-text")) == [{"n": "1", "k": 5}]
        assert elastic.read_csv("memory://partitioned-text").take(1) == [{"n": "1", "k": 5}]
    finally:
        memory.rm("/partitioned-text", recursive=True)


@pytest.mark.parametrize("column", [["k"], "k", ["k", 1, "int64"], [None, "1", "int64"], ["k", "1", "float"]])
def test_damaged_columns_of_a_raw_record_are_noticed(column: Any) -> None:
    columns = (FolderColumn("k", None, "date32"), FolderColumn("z", "a", "string"))
    raw = RawRecord(b"1", ("n",), (0,), columns)
    assert unpack(pack(raw)) == raw
    assert unpack(pack(RawRecord(b"1", (), (), columns))).columns == columns
    body = pack([b"1", None, [column]])
    with pytest.raises((EncodingError, ValueError)):
        unpack(msgpack.packb(msgpack.ExtType(18, body)))
