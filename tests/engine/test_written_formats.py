"""Formats, folders and order of the files that a flow writes, as other programs read them."""

import csv
import datetime as dt
import gzip
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pandas
import polars as pl
import pyarrow as pa
import pytest
import zstandard
from pyarrow import dataset, parquet

import elastic
from elastic.aggregators import Max, Nothing
from elastic.aggregators.writing.writing_aggregator import Writing
from elastic.core.contracts.record_sink import RecordBuffer, SinkOwner
from elastic.core.encoding import pack, unpack
from elastic.core.errors import ElasticError, EncodingError, UsageError
from elastic.persistence.written_files.file_format import FileFormat
from elastic.persistence.written_files.file_output import FileWriter
from elastic.persistence.written_files.file_sink import FileSink
from elastic.persistence.written_files.parquet_format import ParquetFormat
from elastic.persistence.written_files.partitioned_format import escape
from elastic.persistence.written_files.target_folder import is_attempt
from elastic.persistence.written_files.text_formats import LinesFormat, shown


def record(number: int) -> dict[str, Any]:
    return {"n": number, "name": f"number {number}", "half": number / 2, "odd": number % 2 == 1, "none": None}


def records(count: int = 1000) -> elastic.Flow:
    return elastic.from_range(count, chunk_size=30).map(record)


def run(flow: elastic.Flow, **options: Any) -> elastic.Result:
    return flow.run(**{"cluster": "inline", **options})


def writer_to(folder: Path, format: FileFormat, file_bytes: int = 1) -> FileWriter:
    """Return the writer of a step that has claimed a folder."""
    publication = FileSink(folder, format, file_bytes=file_bytes).publication(SinkOwner("a-run", 0, 1))
    publication.prepare([])
    publication.begin([])
    assert isinstance(publication.writer, FileWriter)
    return publication.writer


def of(entries: list[Any], chunk_size: int = 3) -> elastic.Flow:
    return elastic.from_iterable(entries, chunk_size=chunk_size)


#: An instant without a zone.
NAIVE = dt.datetime.fromisoformat("2026-01-01T01:02:03.000004")

# -- text


@pytest.mark.parametrize("first", ["\ufeffhello", "\ufeff", "%PDF-1.4", "\x7fELF"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_first_line_that_could_be_mistaken_comes_back(first: str, compression: str | None, tmp_path: Path) -> None:
    lines = [first, first, "end"]
    written = run(of(lines).write_text(tmp_path / "out", compression=compression)).value
    assert len(written) == 3
    assert elastic.read_text(tmp_path / "out").take(9) == lines


def test_a_usual_file_of_text_begins_with_its_first_line(tmp_path: Path) -> None:
    written = run(of(["PDF", "\ufeff", "%PDF-"]).write_text(tmp_path / "out")).value
    assert Path(written.paths[0]).read_bytes() == "PDF\n\ufeff\n%PDF-\n".encode()


# -- CSV


def test_csv_is_read_by_other_programs(tmp_path: Path, cluster: str) -> None:
    written = run(records().write_csv(tmp_path / "out"), cluster=cluster).value
    assert (written.records, written.files[0].columns) == (1000, "n,name,half,odd,none\n")
    frames = [pandas.read_csv(path) for path in written.paths]
    assert sum(len(frame) for frame in frames) == 1000
    assert sum(frame["n"].sum() for frame in frames) == 499_500
    assert pl.read_csv(f"{tmp_path}/out/*.csv")["half"].sum() == 249_750
    assert duckdb.sql(f"select count(*), sum(n) from '{tmp_path}/out/*.csv'").fetchall() == [(1000, 499_500)]
    rows = run(elastic.read_csv(tmp_path / "out").aggregate("collect")).value
    assert sorted(int(row["n"]) for row in rows) == list(range(1000))


ODD = ["", ",", '"', '""', "a\nb", "a\rb", "\r", " a ", "'", "\0", "é\u2028", "=1+1", "-", "\t"]


def test_every_string_comes_back_from_csv(tmp_path: Path) -> None:
    written = run(of([{"a": text, "b": text} for text in ODD]).write_csv(tmp_path / "out")).value
    with Path(written.paths[0]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["a", "b"], *([text, text] for text in ODD)]
    back = run(elastic.read_csv(tmp_path / "out", newlines_in_values=True).aggregate("collect")).value
    assert [row["a"] for row in back] == ODD


def test_columns_are_chosen_and_ordered(tmp_path: Path) -> None:
    run(records(3).write_csv(tmp_path / "dicts", columns=["half", "n"]))
    run(of([[1, "a"], (2, "b")]).write_csv(tmp_path / "lists", columns=["x", "y"]))
    texts = ["".join(path.read_text() for path in (tmp_path / name).glob("*.csv")) for name in ("dicts", "lists")]
    assert texts == ["half,n\n0.0,0\n0.5,1\n1.0,2\n", "x,y\n1,a\n2,b\n"]


def test_a_frame_is_written_as_csv(tmp_path: Path) -> None:
    run(records(5).map_frames(lambda frame: frame.select("n", "name")).write_csv(tmp_path / "out"))
    assert pl.read_csv(f"{tmp_path}/out/*.csv").sort("n").rows() == [(n, f"number {n}") for n in range(5)]


@pytest.mark.parametrize(
    ("entry", "columns", "said"),
    [
        ({"a": [1]}, None, "column 'a' has list"),
        ({"a": b"x"}, None, "column 'a' has bytes"),
        ({"b": 1}, None, "would differ in their columns, which are a and b; name them by columns="),
        ({"a": 1, "b": 2}, None, "would differ in their columns, which are a and a,b; name them by columns="),
        ({"b": 1}, ["a"], "has no 'a'"),
        ([1, 2], ["a"], "has 2 values, expected 1"),
        ([1], None, "takes dicts, got list"),
        ("a", ["a"], "takes dicts, got str"),
        ({"a": "\ud800"}, None, "half of a surrogate pair"),
    ],
)
def test_what_does_not_fit_into_csv_is_a_failed_record(
    entry: Any, columns: list[str] | None, said: str, tmp_path: Path
) -> None:
    flow = of([{"a": 1}, {"a": 2}, entry]).write_csv(tmp_path / "out", columns)
    with pytest.raises(ElasticError, match=said):
        run(flow)
    assert run(flow, on_error="skip").errors == 1
    assert duckdb.sql(f"select sum(a) from '{tmp_path}/out/*.csv'").fetchall() == [(3,)]


# -- Parquet


def test_parquet_is_read_by_other_programs(tmp_path: Path, cluster: str) -> None:
    written = run(records().write_parquet(tmp_path / "out"), cluster=cluster).value
    assert written.records == 1000
    query = f"select count(*), sum(n), sum(half), count(none) from '{tmp_path}/out/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(1000, 499_500, 249_750.0, 0)]
    frame = pl.read_parquet(f"{tmp_path}/out/*.parquet").sort("n")
    assert frame.rows(named=True) == list(map(record, range(1000)))
    assert pandas.read_parquet(written.paths)["n"].sum() == 499_500
    assert dataset.dataset(written.paths).count_rows() == 1000


VALUES: list[tuple[Any, str]] = [
    (1, "int64"),
    (0.5, "double"),
    (math.inf, "double"),
    ("\0é", "string"),
    (b"\xff", "binary"),
    (True, "bool"),
    (dt.date(1, 1, 1), "date32[day]"),
    (NAIVE, "timestamp[us]"),
    (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "timestamp[us, tz=UTC]"),
    (dt.timedelta(microseconds=1), "duration[us]"),
    (dt.time(1, 2), "time64[us]"),
    (Decimal("1.50"), "decimal128(3, 2)"),
    ([1, None], "list<item: int64>"),
    ({"a": [{"b": "c"}]}, "struct<a: list<item: struct<b: string>>>"),
]


@pytest.mark.parametrize(("value", "kind"), VALUES, ids=[kind for _, kind in VALUES])
def test_a_value_comes_back_from_parquet_with_its_type(value: Any, kind: str, tmp_path: Path) -> None:
    written = run(of([{"v": value}, {"v": None}]).write_parquet(tmp_path / "out")).value
    table = parquet.read_table(written.paths[0])
    found = str(table.schema.field("v").type).replace("<element:", "<item:")
    assert (found, table["v"].to_pylist()) == (kind, [value, None])
    assert written.files[0].columns == f"v: {kind}"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([1, None, "x"], "v: int64 and v: string"),
        ([1, True], "v: int64 and v: bool"),
        ([{"a": 1}, {"a": "x"}], "v: struct<a: int64> and v: struct<a: string>"),
    ],
)
def test_a_record_of_another_type_is_named_or_left_out(values: list[Any], problem: str, tmp_path: Path) -> None:
    flow = of([{"v": value} for value in values]).write_parquet(tmp_path / "out")
    last = len(values) - 1
    with pytest.raises(ElasticError, match=rf"failed on entry {last} \(chunk 0\): .* which are {problem}; name"):
        run(flow)
    assert run(flow, on_error="skip").errors == 1
    assert parquet.read_table(tmp_path / "out")["v"].to_pylist() == values[:-1]


@pytest.mark.parametrize("value", [[1, "x"], [("x", 1)], {"a": [1, "x"]}])
def test_a_value_of_mixed_types_is_named_once(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ElasticError, match=rf"column 'v' has {re.escape(shown(value))} \(int and str in one column\)"):
        run(of([{"v": value}]).write_parquet(tmp_path / "out"))


@pytest.mark.parametrize("value", [{1, 2}, set(), frozenset({1}), [{1}], {"a": ({1},)}])
def test_a_set_is_written_to_parquet_only_by_a_schema(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ElasticError, match="column 'a' has a set, whose values have no order; make it a list by map"):
        run(of([{"a": value}]).write_parquet(tmp_path / "out"))
    schema = pa.schema({"a": pa.list_(pa.int64())})
    run(of([{"a": {7}}]).write_parquet(tmp_path / "lists", schema=schema))
    assert elastic.read_parquet(tmp_path / "lists").take(1) == [{"a": [7]}]


def test_nan_is_not_none_in_parquet(tmp_path: Path) -> None:
    written = run(of([{"v": math.nan}, {"v": None}]).write_parquet(tmp_path / "out")).value
    assert list(map(repr, parquet.read_table(written.paths[0])["v"].to_pylist())) == ["nan", "None"]


def test_records_of_one_file_may_lack_columns_and_mix_whole_numbers_with_others(tmp_path: Path) -> None:
    entries = [{"a": 1}, {"a": None, "b": "x"}, {"b": "y", "a": 2.5}, {"c": {"d": 1}}, {"c": {"e": "f"}}]
    written = run(of(entries, chunk_size=1).write_parquet(tmp_path / "out"), max_chunks_per_call=1).value
    assert len(written.files) == 1
    rows = parquet.read_table(written.paths[0]).to_pylist()
    assert [row["a"] for row in rows] == [1.0, None, 2.5, None, None]
    assert [row["b"] for row in rows] == [None, "x", "y", None, None]
    assert rows[4]["c"] == {"d": None, "e": "f"}


def test_files_that_would_differ_in_their_columns_end_the_run(tmp_path: Path) -> None:
    quick = {"collect_interval": 1e-9, "target_call_seconds": 1e-9, "max_chunks_per_call": 1}
    flow = elastic.from_range(100, chunk_size=10).map(lambda n: {"v": n if n < 50 else str(n)})
    with pytest.raises(ElasticError, match=r"would differ in their columns, which are v: int64 and v: string; name"):
        run(flow.write_parquet(tmp_path / "out"), **quick)
    assert list(tmp_path.glob("out/*.parquet")) == []
    assert run(flow.write_parquet(tmp_path / "typed", schema={"v": int}), on_error="skip", **quick).errors == 50


def test_records_whose_files_would_differ_are_left_out_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elastic.aggregators.writing.write_state.HELD_BYTES", 1)
    flow = elastic.from_range(100, chunk_size=10).map(lambda n: {"v": str(n) if n in range(60, 70) else n})
    both = flow.write_parquet(tmp_path / "out", file_bytes=1).aggregate(Max(key=lambda record: int(record["v"])))
    result = run(both, on_error="skip", target_call_seconds=1e-9, max_chunks_per_call=1)
    found = [row["v"] for path in tmp_path.glob("out/*.parquet") for row in parquet.read_table(path).to_pylist()]
    assert sorted(found) == [n for n in range(100) if n not in range(60, 70)]
    assert (result.value, result.errors) == ({"v": 99}, 10)


def buffer_of(writer: FileWriter, records: list[Any], chunk_id: int) -> RecordBuffer:
    buffer = writer.buffer()
    buffer.add_many(records)
    buffer.chunks.append((chunk_id, chunk_id + 1))
    return buffer


def test_a_state_with_different_columns_is_never_stored(tmp_path: Path) -> None:
    aggregator = Writing(writer_to(tmp_path / "out", ParquetFormat()), Nothing())
    held, other, third = (aggregator.begin(aggregator.create(), first, first + 1) for first in range(3))
    held.add_many([{"v": 1}])
    other.add_many([{"v": "x"}])
    third.add_many([{"v": 2}])
    stored = [aggregator.encode(state) for state in (held, other, third)]
    state = aggregator.decode(stored[0])
    with pytest.raises(EncodingError, match="would differ in their columns"):
        aggregator.merge_encoded(state, stored[1])
    assert [part.chunks for part in state.parts] == [((0, 1),)]
    both = pack([[part.plain() for part in (*held.parts, *other.parts)], aggregator.inner.encode(None)])
    with pytest.raises(EncodingError, match="would differ in their columns"):
        aggregator.decode(both)
    assert len(aggregator.merge_encoded(state, stored[2]).parts) == 2


def test_records_with_other_columns_are_refused_each_time_and_leave_the_state_as_it_was(tmp_path: Path) -> None:
    aggregator = Writing(writer_to(tmp_path / "out", ParquetFormat()), Nothing())
    state = aggregator.begin(aggregator.create(), 0, 1)
    state.add_many([{"v": 1}])
    for _ in range(3):
        with pytest.raises(EncodingError, match="would differ in their columns"):
            state.add_many([{"v": "x"}])
    aggregator.encode(state)
    assert sum(part.records for part in state.parts) == 1


SCHEMAS: list[Any] = [
    {"n": int, "name": str, "half": float, "odd": bool, "none": bytes},
    {"n": "int32", "name": "large_string", "half": "float32", "odd": pa.bool_(), "none": "date32"},
    pa.schema({"n": pa.decimal128(9, 1), "name": pa.string(), "half": "float64", "odd": "bool", "none": "int8"}),
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=["Python", "Arrow's names", "Arrow"])
@pytest.mark.parametrize("as_frames", [False, True])
def test_a_schema_gives_the_types(schema: Any, as_frames: bool, tmp_path: Path) -> None:
    flow = records(100).map_frames(lambda frame: frame) if as_frames else records(100)
    written = run(flow.write_parquet(tmp_path / "out", schema)).value
    found = parquet.read_schema(written.paths[0])
    assert found.names == ["n", "name", "half", "odd", "none"]
    wanted = schema if isinstance(schema, pa.Schema) else None
    assert wanted is None or found.equals(wanted)
    assert pl.read_parquet(written.paths[0])["n"].cast(int).sum() == 4950


WRONG: list[tuple[Any, Any, str]] = [
    (int, 1.5, "has double, expected int64"),
    (int, 2.0, "has double, expected int64"),
    (int, "1", "has string, expected int64"),
    (int, True, "has bool, expected int64"),
    (int, 2**64, "cannot be written"),
    ("int8", 300, "does not fit into int8"),
    (float, True, "has bool, expected double"),
    (float, 2**60 + 1, "does not fit into double"),
    (str, b"x", "has binary, expected string"),
    (str, 1, "has int64, expected string"),
    (bool, 1, "has int64, expected bool"),
    ("date32", NAIVE, r"has timestamp\[us\], expected date32"),
    ("date32", 5, "has int64, expected date32"),
    ("timestamp[us]", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), r"has timestamp\[us, tz=UTC\], expected"),
    (pa.timestamp("us", tz="UTC"), NAIVE, r"has timestamp\[us\], expected"),
    ("float32", 1e300, "too large for float"),
    (pa.list_(pa.float32()), [1.0, -1e300], "too large for list"),
    (pa.struct({"a": pa.float32()}), {"a": 1e300}, "too large for struct"),
    ("timestamp[s]", NAIVE, "does not fit into"),
    (pa.decimal128(4, 1), Decimal("1.25"), "does not fit into decimal"),
    (pa.struct({"a": pa.int64()}), {"a": 1, "b": 2}, "expected struct"),
    (pa.list_(pa.int64()), ["a"], "expected list"),
]


@pytest.mark.parametrize(("kind", "value", "said"), WRONG, ids=[f"{kind} {value!r}" for kind, value, _ in WRONG])
def test_a_value_that_a_schema_would_change_is_a_failed_record(
    kind: Any, value: Any, said: str, tmp_path: Path
) -> None:
    flow = of([{"v": None}, {"v": value}, {"v": None}]).write_parquet(tmp_path / "out", schema={"v": kind})
    with pytest.raises(ElasticError, match=said):
        run(flow)
    result = run(flow, on_error="skip")
    assert (result.errors, result.value.records) == (1, 2)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "a record is an empty dict"),
        ({"v": {}}, "column 'v' has an empty dict"),
        ({1: 2}, "keys of a dict must be strings"),
        ({"v": "\ud800"}, "surrogates"),
        ({"v": object()}, "column 'v' cannot be written"),
        (7, "takes dicts or frames, got int 7"),
    ],
)
def test_what_is_no_row_of_parquet_is_a_failed_record(entry: Any, said: str, tmp_path: Path) -> None:
    flow = elastic.from_range(3).map(lambda n: entry if n == 1 else {"w": n}).write_parquet(tmp_path / "out")
    if entry == {}:
        flow = elastic.from_range(3, chunk_size=1).map(lambda n: entry).write_parquet(tmp_path / "out")
    with pytest.raises(ElasticError, match=said):
        run(flow)


def test_infinity_and_nan_fit_into_a_shorter_float(tmp_path: Path) -> None:
    values = [float("inf"), float("-inf"), float("nan"), 0.1, None]
    written = run(of([{"v": value} for value in values]).write_parquet(tmp_path / "out", {"v": "float32"})).value
    found = parquet.read_table(written.paths[0])["v"].to_pylist()
    assert repr(found) == repr([float("inf"), float("-inf"), float("nan"), 0.10000000149011612, None])


def test_a_schema_names_all_columns(tmp_path: Path) -> None:
    with pytest.raises(ElasticError, match="a record has 'w', and the schema only v"):
        run(of([{"w": 1}]).write_parquet(tmp_path / "a", schema={"v": int}))
    written = run(of([{}, {"v": 1}]).write_parquet(tmp_path / "b", schema={"v": int}), on_error="skip").value
    assert parquet.read_table(written.paths[0]).to_pylist() == [{"v": None}, {"v": 1}]
    field = pa.schema([pa.field("v", pa.int64(), nullable=False)])
    with pytest.raises(ElasticError, match="has None, and the schema says that it has none"):
        run(of([{"v": None}]).write_parquet(tmp_path / "c", schema=field))


def test_frames_become_row_groups(tmp_path: Path) -> None:
    flow = elastic.from_range(300_000, chunk_size=10_000).map_frames(lambda frame: frame.rename({"entry": "n"}))
    written = run(flow.write_parquet(tmp_path / "out")).value
    assert written.records == 300_000
    assert sum(parquet.ParquetFile(path).num_row_groups for path in written.paths) <= 3


# -- compression


READERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("compression", READERS)
def test_text_is_compressed(compression: str, tmp_path: Path) -> None:
    suffix = {"gzip": ".gz", "zstd": ".zst"}[compression]
    for name, flow in (
        ("text", records().map(json.dumps).write_text(tmp_path / "text", compression=compression)),
        ("jsonl", records().write_jsonl(tmp_path / "jsonl", compression=compression)),
        ("csv", records().write_csv(tmp_path / "csv", compression=compression)),
    ):
        [path] = run(flow).value.paths
        assert path.endswith({"text": ".txt"}.get(name, f".{name}") + suffix)
        assert READERS[compression](Path(path).read_bytes()).count(b"\n") == 1000 + (name == "csv")
    assert run(elastic.read_jsonl(tmp_path / "jsonl").aggregate("size")).value == 1000
    assert run(elastic.read_csv(tmp_path / "csv").aggregate("size")).value == 1000


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
def test_pages_of_parquet_are_compressed(compression: str, tmp_path: Path) -> None:
    [path] = run(records().write_parquet(tmp_path / "out", compression=compression)).value.paths
    wanted = {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
    assert parquet.ParquetFile(path).metadata.row_group(0).column(0).compression == wanted


# -- folders of partitions


def test_other_programs_read_partitions(tmp_path: Path, cluster: str) -> None:
    flow = records(300).map(lambda each: {**each, "third": each["n"] % 3, "key": f"k/{each['n'] % 2}"})
    out = tmp_path / "out"
    written = run(flow.write_parquet(out, partition_by=["third", "key"]), cluster=cluster).value
    folders = {str(Path(path).parent.relative_to(out)) for path in written.paths}
    assert folders == {f"third={third}/key=k%2F{key}" for third in range(3) for key in range(2)}
    query = f"select third, key, count(*) from read_parquet('{out}/**/*.parquet', hive_partitioning=true) group by all"
    wanted = sorted((third, f"k/{key}", 50) for third in range(3) for key in range(2))
    assert sorted(duckdb.sql(query).fetchall()) == wanted
    lazy = pl.scan_parquet(f"{out}/**/*.parquet", hive_partitioning=True)
    assert sorted(lazy.group_by("third", "key").len().collect().rows()) == wanted
    table = dataset.dataset(
        written.paths, partitioning=dataset.partitioning(flavor="hive"), partition_base_dir=str(out)
    )
    assert table.to_table().num_rows == 300
    assert "third" not in parquet.ParquetFile(written.paths[0]).schema.names


VALUES_OF_KEYS: list[tuple[Any, str]] = [
    ("a", "a"),
    (1, "1"),
    (True, "true"),
    (None, "__HIVE_DEFAULT_PARTITION__"),
    (dt.date(2026, 1, 2), "2026-01-02"),
    ("a/b=c%", "a%2Fb%3Dc%25"),
    ("..", ".."),
    ("a b+é", "a b+é"),
    ("\0\n\x7f", "%00%0A%7F"),
    ("#'\"*:?\\[]{}^", "%23%27%22%2A%3A%3F%5C%5B%5D%7B%7D%5E"),
    ("K", "K"),
    ("k", "k"),
]


@pytest.mark.parametrize("as_frames", [False, True])
def test_values_of_keys_become_names_of_folders(as_frames: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number, (value, name) in enumerate(VALUES_OF_KEYS):
        flow = of([{"k": value, "n": number}])
        flow = flow.map_frames(lambda frame: frame) if as_frames else flow
        run(flow.write_jsonl(out, partition_by="k", if_exists="append"))
        [path] = (out / f"k={name}").glob("*.jsonl")
        assert json.loads(path.read_text()) == {"n": number}
    assert {path.name for path in out.iterdir() if path.is_dir()} == {f"k={name}" for _, name in VALUES_OF_KEYS}
    assert all(unquote(escape(value)) == value for value, _ in VALUES_OF_KEYS if isinstance(value, str))
    assert run(elastic.read_jsonl(out).aggregate("size")).value == len(VALUES_OF_KEYS)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"n": 1}, "has no 'k', the column of its folder"),
        ({"k": "a"}, "no column beside those of its folder"),
        ({"k": "", "n": 1}, "would read as a missing value"),
        ({"k": "__HIVE_DEFAULT_PARTITION__", "n": 1}, "would read as a missing value"),
        ({"k": 0.5, "n": 1}, "names no folder"),
        ({"k": [1], "n": 1}, "names no folder"),
        ({"k": "a" * 300, "n": 1}, "a name of more than 255 bytes"),
        ({"k": "\ud800", "n": 1}, "half of a surrogate pair"),
        ([1], "takes dicts, got list"),
    ],
)
def test_a_record_without_a_folder_is_a_failed_record(entry: Any, said: str, tmp_path: Path) -> None:
    flow = of([{"k": 1, "n": 0}, entry]).write_jsonl(tmp_path / "out", partition_by="k")
    with pytest.raises(ElasticError, match=said):
        run(flow)
    assert run(flow, on_error="skip").errors == 1


def test_equal_keys_of_different_text_have_folders_of_their_own(tmp_path: Path) -> None:
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    later = noon.astimezone(dt.timezone(dt.timedelta(hours=1)))
    keys = [1, True, "1x", noon, later, noon, 1, True]
    entries = [{"k": key, "n": number} for number, key in enumerate(keys)]
    written = run(of(entries, chunk_size=len(keys)).write_jsonl(tmp_path / "out", partition_by="k")).value
    found = {
        json.loads(line)["n"]: unquote(Path(path).parent.name)
        for path in written.paths
        for line in Path(path).read_text().splitlines()
    }
    wanted = ["1", "true", "1x", str(noon), str(later), str(noon), "1", "true"]
    assert [found[number] for number in range(len(keys))] == [f"k={text}" for text in wanted]


def test_many_folders_are_written_with_few_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.persistence.written_files.file_output._MAX_OPEN_FILES", 3)
    flow = elastic.from_range(1000, chunk_size=100).map(lambda n: {"k": n % 20, "n": n})
    written = run(flow.write_jsonl(tmp_path / "out", partition_by="k")).value
    found = [json.loads(line)["n"] for path in written.paths for line in Path(path).read_text().splitlines()]
    assert sorted(found) == list(range(1000))


# -- order


def test_the_names_of_files_keep_the_order_of_the_source(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elastic.aggregators.writing.write_state.HELD_BYTES", 500)
    flow = elastic.from_range(3000, chunk_size=10).map(str)
    quick = {"target_call_seconds": 1e-3, "collect_interval": 0.01}
    written = run(flow.write_text(tmp_path / "out", ordered=True, file_bytes=2000), cluster=cluster, **quick).value
    found = [int(line) for path in sorted(written.paths) for line in Path(path).read_text().splitlines()]
    assert found == list(range(3000))
    assert len(written.files) > 3
    back = elastic.read_text(tmp_path / "out").aggregate("collect")
    assert run(back).value == list(map(str, range(3000)))


def test_the_names_of_any_number_of_files_sort_and_are_known_as_attempts(tmp_path: Path) -> None:
    writer = writer_to(tmp_path / "out", LinesFormat())
    output, names = writer.output(), list[str]()
    for number in (0, 9, 65_535, 65_536, 10_000_000):
        output._begun = number
        output.write(buffer_of(writer, [str(number)], 7))
        names += [part.name for part in output.close()]
    assert len(names) == 5
    assert names == sorted(names)
    assert all(is_attempt(name, {writer.tag}) and not is_attempt(name, {"0" * 8}) for name in names)


def test_a_frozen_order_is_not_redriven(tmp_path: Path) -> None:
    flow = of([1, "a", 2]).write_text(tmp_path / "out", ordered=True)
    failed = run(flow, on_error="dead-letter")
    with pytest.raises(UsageError, match="keeps the order of entries"):
        elastic.redrive(failed.run_id, flow)


# -- wrong arguments

OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"compression": "lz4"}, "compression='lz4' must be gzip or zstd"),
    ({"compression": 7}, "compression=7 must be"),
    ({"partition_by": []}, r"partition_by=\[\] must be the name of a column"),
    ({"partition_by": ["a", "A"]}, "differ only in case"),
    ({"partition_by": 7}, "partition_by=7 must be"),
    ({"partition_by": ["a", ".b"]}, r"partition_by has '\.b', and folders whose names begin with a dot are hidden"),
    ({"ordered": 1}, "ordered=1 must be True or False"),
    ({"if_exists": "replace"}, "if_exists='replace' must be one of error, overwrite, append"),
]


@pytest.mark.parametrize(("given", "said"), OPTIONS)
def test_a_wrong_argument_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        records().write_jsonl("out", **given)


def test_wrong_columns_and_schemas_are_refused() -> None:
    for columns in ("a", [], ["a", "a"], [1], 7):
        with pytest.raises(UsageError, match="must be a list of different names"):
            records().write_csv("out", columns=columns)  # type: ignore[arg-type]
    for schema, said in (("a", "must be a schema"), ({"a": "text"}, "schema has 'text'"), ({"a": list}, "for column")):
        with pytest.raises(UsageError, match=said):
            records().write_parquet("out", schema=schema)
    with pytest.raises(UsageError, match="must be one of zstd, snappy, gzip, none"):
        records().write_parquet("out", compression="lz4")


# -- records beside others, and types that only a schema gives


@pytest.mark.parametrize(("where", "chunk_size"), [(0, 10), (0, 100), (16, 1), (16, 100), (40, 1), (40, 10), (40, 100)])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_record_that_misfits_beside_others_is_left_out_alone(
    form: str, chunk_size: int, where: int, tmp_path: Path
) -> None:
    entries: list[Any] = [{"a": number, "b": 1} for number in range(40)]
    entries.insert(where, {"a": 1} if form == "csv" else {"a": "x", "b": 1})
    flow = of(entries, chunk_size=chunk_size)
    written = flow.write_csv(tmp_path / "out") if form == "csv" else flow.write_parquet(tmp_path / "out")
    result = run(written, on_error="dead-letter")
    assert (result.value.records, result.counters["entries_failed"]) == (40, 1)
    (letter,) = elastic.dead_letters(result.run_id)
    assert unpack(letter.entry) == entries[where]


def test_columns_of_folders_are_left_out_of_given_columns_and_schemas(tmp_path: Path) -> None:
    entries = [{"k": 1, "x": 2}, {"k": 2, "x": 3}]
    flow = of(entries)
    run(flow.write_csv(tmp_path / "csv", columns=["k", "x"], partition_by="k", compression="gzip"))
    run(flow.write_parquet(tmp_path / "parquet", schema={"k": int, "x": int}, partition_by="k"))
    assert run(elastic.read_csv(tmp_path / "csv", types={"x": int}).aggregate("collect")).value == [
        {"x": 2, "k": 1},
        {"x": 3, "k": 2},
    ]
    assert run(elastic.read_parquet(tmp_path / "parquet").aggregate("collect")).value == [
        {"x": 2, "k": 1},
        {"x": 3, "k": 2},
    ]
    for write in (flow.write_csv, flow.write_parquet):
        given = {"columns": ["k"]} if write == flow.write_csv else {"schema": {"k": int}}
        with pytest.raises(UsageError, match="no column beside those of the folders"):
            write(tmp_path / "none", partition_by="k", **given)


def test_a_schema_has_unsigned_numbers_and_maps(tmp_path: Path) -> None:
    schema = {"n": pa.uint64(), "m": pa.map_(pa.string(), pa.int64())}
    entries = [{"n": 2**64 - 1, "m": {"x": 1}}, {"n": 0, "m": [("y", 2), ("y", 3)]}, {"n": None, "m": None}]
    run(of(entries).write_parquet(tmp_path / "out", schema=schema))
    rows = run(elastic.read_parquet(tmp_path / "out").aggregate("collect")).value
    assert [row["n"] for row in rows] == [2**64 - 1, 0, None]
    assert [row["m"] for row in rows] == [[("x", 1)], [("y", 2), ("y", 3)], None]
    for bad in ({"n": -1}, {"n": 2.5}, {"n": 2**64}, {"m": {"x": "y"}}, {"m": [1]}):
        with pytest.raises(elastic.ElasticError, match=r"column '[nm]' cannot be written"):
            run(of([bad]).write_parquet(tmp_path / "bad", schema=schema))
