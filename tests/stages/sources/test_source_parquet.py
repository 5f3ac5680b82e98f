"""Parquet: row groups are chunks, columns and rows are selected, files of other programs read as they were written."""

import datetime as dt
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from source_samples import assert_goes_on_anywhere, chunks, entries, without_privileges

import elastic
from elastic.core.errors import (
    ElasticError,
    EncodingError,
    SourceError,
    SourceNotFoundError,
    StepFailedError,
    UsageError,
)
from elastic.core.frames import frame_records
from elastic.stages.sources import ParquetSource
from elastic.stages.sources.tables.table_entries import unpack_table

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pl = pytest.importorskip("polars")
pd = pytest.importorskip("pandas")
duckdb = pytest.importorskip("duckdb")

BERLIN = ZoneInfo("Europe/Berlin")
NAN = float("nan")
NAIVE = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - times without a zone are values, too

#: One column of each kind that Python has a value for; each with a null.
VALUES: dict[str, Any] = {
    "integer": pa.array([1, None, -(2**63), 2**63 - 1]),
    "unsigned": pa.array([0, None, 2**64 - 1, 1], pa.uint64()),
    "float": pa.array([0.1, None, float("inf"), -0.0]),
    "half": pa.array([0.5, None, 1.0, 2.0], pa.float16()),
    "string": pa.array(["a\0b", None, "", "\u20ac\U0001f600"]),
    "bytes": pa.array([b"\xff\0", None, b"", b"x"]),
    "bool": pa.array([True, None, False, True]),
    "decimal": pa.array([Decimal("1.50"), None, Decimal("-99999999.99"), Decimal(0)], pa.decimal128(38, 2)),
    "date": pa.array([dt.date(1, 1, 1), None, dt.date(9999, 12, 31), dt.date(2026, 2, 28)]),
    "time": pa.array([dt.time(23, 59, 59, 999_999), None, dt.time(0), dt.time(1)], pa.time64("ns")),
    "at": pa.array([NAIVE.replace(year=1900), None, NAIVE.replace(microsecond=1), NAIVE.replace(year=2200)]),
    "zoned": pa.array([dt.datetime(2026, 7, 1, tzinfo=dt.UTC), None] * 2, pa.timestamp("ns", "Europe/Berlin")),
    "lasted": pa.array([dt.timedelta(microseconds=1), None, dt.timedelta(days=-1), dt.timedelta(0)], pa.duration("ns")),
    "list": pa.array([[1, None], None, [], [2]]),
    "struct": pa.array([{"a": 1, "at": NAIVE}, None] * 2, pa.struct([("a", pa.int8()), ("at", pa.timestamp("ns"))])),
    "map": pa.array([[("a", 1)], None, [], [("b", None)]], pa.map_(pa.string(), pa.int64())),
    "category": pa.array(["x", None, "y", "x"]).dictionary_encode(),
    "nothing": pa.nulls(4),
}


def saved(folder: Path, table: Any, name: str = "a.parquet", **options: Any) -> Path:
    path = folder / name
    pq.write_table(table, path, **options)
    return path


def collected(flow: elastic.Flow) -> Any:
    return flow.aggregate("collect").run(cluster="inline").value


@pytest.mark.parametrize("name", VALUES)
def test_values_of_each_type_come_back_as_plain_data(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, pa.table({name: VALUES[name]}), row_group_size=3)
    found = [row[name] for row in collected(elastic.read_parquet(path))]
    kind = VALUES[name].type
    plain = pa.array(found, pa.string() if name == "category" else pa.float32() if name == "half" else kind)
    assert plain.equals(VALUES[name].cast(plain.type))
    assert pickle.loads(pickle.dumps(found)) == found
    assert not any(type(value).__module__ in ("pandas", "numpy", "pyarrow.lib") for value in found)


def test_zones_and_nested_times_are_those_of_python(tmp_path: Path) -> None:
    path = saved(tmp_path, pa.table({name: VALUES[name] for name in ("zoned", "struct")}))
    first = collected(elastic.read_parquet(path))[0]
    assert (first["zoned"], first["zoned"].tzinfo.key) == (dt.datetime(2026, 7, 1, 2, tzinfo=BERLIN), "Europe/Berlin")
    assert (first["struct"], type(first["struct"]["at"])) == ({"a": 1, "at": NAIVE}, dt.datetime)


def test_each_row_group_is_a_chunk_that_can_be_cut_again(tmp_path: Path) -> None:
    saved(tmp_path, pa.table({"n": range(10)}), "a.parquet", row_group_size=4)
    saved(tmp_path, pa.table({"n": []}, pa.schema([("n", pa.int64())])), "b.parquet")
    saved(tmp_path, pa.table({"n": range(10, 12)}), "c.parquet")
    source = ParquetSource(tmp_path)
    assert [[row["n"] for row in chunk] for chunk in chunks(source)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [10, 11]]
    assert_goes_on_anywhere(source, ParquetSource(tmp_path))
    reader = source.reader()
    assert [reader.locate(piece.reference, 1) for piece in source.cut()][1:] == [
        f"row {row} of {str(tmp_path / name)!r}" for row, name in ((5, "a.parquet"), (9, "a.parquet"), (1, "c.parquet"))
    ]
    shipped = ParquetSource(tmp_path, ship="value")
    assert [row["n"] for row in entries(shipped)] == list(range(12))
    assert all(piece.block for piece in shipped.cut())


def test_files_that_other_programs_wrote_are_read_as_they_wrote_them(tmp_path: Path) -> None:
    rows = [{"k": f"k{n % 3}", "n": n, "x": n / 8, "at": NAIVE.replace(hour=n % 24)} for n in range(100)]
    pl.DataFrame(rows).write_parquet(tmp_path / "polars.parquet", row_group_size=33)
    pd.DataFrame(rows).set_index("k").to_parquet(tmp_path / "pandas.parquet")
    duckdb.sql(
        f"COPY (SELECT * FROM '{tmp_path}/polars.parquet') TO '{tmp_path}/duckdb.parquet' (FORMAT PARQUET, CODEC ZSTD)"
    )
    for name in ("polars", "duckdb"):
        assert collected(elastic.read_parquet(tmp_path / f"{name}.parquet")) == rows
    assert collected(elastic.read_parquet(tmp_path / "pandas.parquet", columns=["k", "n", "x", "at"])) == rows


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (("n", "==", 5), [5]),
        (("n", "!=", 5), [0, 1, 2, 3, 4, 6, 7]),
        ([("n", ">=", 2), ("n", "<", 4)], [2, 3]),
        (("n", "in", [1, 7, 100]), [1, 7]),
        (("n", "not in", {1, 7}), [0, 2, 3, 4, 5, 6]),
        (("s", "==", "b"), [1]),
        (("s", "!=", "b"), [0, 3, 4, 5, 6, 7]),
        (("s", "not in", ["b"]), [0, 3, 4, 5, 6, 7]),
        (("s", "==", None), [2]),
        (("s", "!=", None), [0, 1, 3, 4, 5, 6, 7]),
        (("x", "!=", 5.0), [1, 3]),
        (("x", ">", 0.0), [0, 2, 4, 5, 6, 7]),
        (("x", "not in", [5.0]), [1, 3]),
        (("d", ">", dt.date(2026, 1, 6)), [6, 7]),
        (("z", "<=", dt.datetime(2026, 1, 1, 1, tzinfo=BERLIN)), [0]),
        (("n", ">", 100), []),
        ([], [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_rows_are_selected_in_the_same_way_whatever_the_row_groups(
    tmp_path: Path, where: Any, expected: list[int]
) -> None:
    table = pa.table(
        {
            "n": range(8),
            "s": ["a", "b", None, "d", "e", "f", "g", "h"],
            "x": [5.0, NAN, 5.0, NAN, 5.0, 5.0, 5.0, 5.0],
            "d": [dt.date(2026, 1, day) for day in range(1, 9)],
            "z": pa.array([dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in range(1, 9)], pa.timestamp("us", "UTC")),
        }
    )
    for size in (1, 2, 3, 8):
        flow = elastic.read_parquet(saved(tmp_path, table, row_group_size=size), columns=["n"], where=where)
        assert collected(flow) == [{"n": n} for n in expected], size
        assert collected(flow.map_frames(lambda frame: frame).flat_map(lambda frame: frame["n"])) == expected


def test_row_groups_without_such_rows_are_not_read(tmp_path: Path) -> None:
    path = saved(tmp_path, pa.table({"n": range(100), "s": ["x"] * 100}), row_group_size=10)
    pieces = list(ParquetSource(path, where=[("n", ">=", 57), ("n", "<", 61)]).cut())
    assert [piece.reference[1] for piece in pieces] == [5, 6]
    assert list(ParquetSource(path, where=("s", "==", "y")).cut()) == []
    assert len(list(ParquetSource(path, where=("s", "!=", "x")).cut())) == 10


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"columns": "n"}, "columns must be a list of names, not 'n'"),
        ({"columns": []}, "columns must be a list of names"),
        ({"columns": [1]}, "columns must be names, not 1"),
        ({"columns": ["n", "n"]}, "columns names 'n' twice"),
        ({"columns": ["N"]}, "has no column 'N'; "),
        ({"where": "n > 5"}, "must be a list of"),
        ({"where": [("n", ">")]}, r"where has \('n', '>'\), which must be \(column, operator, value\)"),
        ({"where": ("n", "=", 5)}, "operator '=', which must be one of ==, "),
        ({"where": ("n", "in", "ab")}, "must be a list of values"),
        ({"where": ("n", "in", [1, None])}, "has None or NaN in the list"),
        ({"where": ("n", "<", None)}, "which no row fulfils"),
        ({"where": ("n", "!=", NAN)}, "which no row fulfils"),
        ({"where": ("m", "==", 5)}, "names the column 'm', which .* does not have; its columns are n, s"),
        ({"where": ("n", "==", "5")}, "compares the column 'n' of type int64 with '5'; pass a value of that type"),
        ({"where": ("n", ">", 2.5)}, "of type int64 with 2.5"),
        ({"where": ("n", "==", True)}, "of type int64 with True"),
        ({"where": ("n", "==", 2**70)}, "of type int64 with"),
        ({"where": ("s", "==", b"a")}, "of type string with b'a'"),
        ({"ship": "by post"}, "ship must be one of"),
    ],
)
def test_arguments_that_cannot_be_are_named(tmp_path: Path, arguments: dict[str, Any], problem: str) -> None:
    path = saved(tmp_path, pa.table({"n": [1], "s": ["a"]}))
    with pytest.raises(UsageError, match=problem):
        elastic.read_parquet(path, **arguments).run(cluster="inline")


@pytest.mark.parametrize("value", [1, [1]])
@pytest.mark.parametrize("operator", ["==", "<", "in"])
def test_lists_and_structs_are_compared_with_none_only(tmp_path: Path, operator: str, value: Any) -> None:
    path = saved(tmp_path, pa.table({"n": [1, 2], "l": [[1], None], "s": [{"a": 1}, None]}))
    for column in "ls":
        with pytest.raises(UsageError, match=f"compares the column '{column}' of type .* can only test == None"):
            elastic.read_parquet(path, where=(column, operator, [value] if operator == "in" else value)).take(1)
        assert elastic.read_parquet(path, columns=["n"], where=(column, "==", None)).take(2) == [{"n": 2}]


def test_a_count_with_conditions_reads_no_other_columns(tmp_path: Path) -> None:
    times = pa.array([1, 2, 3], pa.timestamp("ns"))  # which rows of Python would refuse
    table = pa.table({"n": [1, None, 3], "t": times, "s": ["a", "b", "c"]})
    path = saved(tmp_path, table, row_group_size=2)
    flow = elastic.read_parquet(path, where=("n", "!=", None))
    assert (flow.count(), (flow + flow).count()) == (2, 4)
    assert elastic.read_parquet(path, where=[("t", ">", NAIVE.replace(year=1970)), ("s", "!=", "b")]).count() == 2
    assert elastic.read_parquet(path, where=("n", ">", 5)).count() == 0
    folder = tmp_path / "table" / "k=1"
    folder.mkdir(parents=True)
    saved(folder, table)
    for union in (False, True):
        assert elastic.read_parquet(folder.parent, where=("k", "==", 1), union_by_name=union).count() == 3
    with pytest.raises(UsageError, match="has no column 'm'"):
        elastic.read_parquet(path, columns=["m"], where=("n", "==", 1)).count()
    source = ParquetSource(path, where=("n", "==", 1)).counting()
    (piece,) = source.cut()
    assert unpack_table(source.reader().read_block(piece.reference)).schema.names == ["row"]


def test_values_that_python_cannot_hold_are_named(tmp_path: Path) -> None:
    twins = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    far = pa.array([10**15], pa.timestamp("s"))
    path = saved(tmp_path, pa.table({"n": [1], "twins": twins, "far": far}))
    for name in ("twins", "far"):
        with pytest.raises(EncodingError, match=f"the column '{name}' .* Python's types cannot hold .* leave it out"):
            elastic.read_parquet(path, columns=[name]).take(1)
    assert elastic.read_parquet(path, columns=["n"]).take(1) == [{"n": 1}]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (NAIVE, pa.timestamp("us", "UTC")),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), pa.timestamp("us")),
        (NAIVE.replace(hour=5), pa.date32()),
        (5, pa.timestamp("us")),
        (Decimal("1.234"), pa.decimal128(5, 2)),
    ],
)
def test_a_value_that_arrow_would_change_to_fit_is_refused(tmp_path: Path, value: Any, kind: Any) -> None:
    path = saved(tmp_path, pa.table({"c": pa.nulls(1, kind)}))
    with pytest.raises(UsageError, match="pass a value of that type"):
        elastic.read_parquet(path, where=("c", ">", value)).run(cluster="inline")


def test_files_that_are_not_parquet_are_named_by_what_they_are(tmp_path: Path) -> None:
    whole = saved(tmp_path, pa.table({"n": range(1000)})).read_bytes()
    for data, problem in (
        (b"", "is an empty file and cannot be read as Parquet"),
        (b"n\n1\n", "is not a Parquet file"),
        (b"\x1f\x8b\x08" + bytes(20), "is gzip data"),
        (b"PK\3\4" + bytes(20), "is a zip archive"),
        (whole[:-5], "truncated or damaged"),
        (whole[:100], "truncated or damaged"),
        (b"PAR1", "truncated or damaged"),
    ):
        path = tmp_path / "b.parquet"
        path.write_bytes(data)
        with pytest.raises(SourceError, match=problem) as caught:
            elastic.read_parquet(path).run(cluster="inline")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_damaged_row_group_ends_the_run_with_its_number(tmp_path: Path) -> None:
    path = saved(
        tmp_path, pa.table({"n": range(1000)}), compression="zstd", write_page_checksum=True, use_dictionary=False
    )
    data = bytearray(path.read_bytes())
    data[200:210] = bytes(10)
    path.write_bytes(data)
    with pytest.raises((SourceError, StepFailedError), match="its row group 0 cannot be read"):
        elastic.read_parquet(path).run(cluster="inline", on_error="skip")


def test_files_with_other_columns_are_refused_unless_columns_are_named(tmp_path: Path) -> None:
    saved(tmp_path, pa.table({"a": [1], "b": [2]}), "1.parquet")
    saved(tmp_path, pa.table({"b": [4], "a": [3]}), "2.parquet")
    assert entries(ParquetSource(tmp_path)) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    saved(tmp_path, pa.table({"a": [5], "c": [6]}), "3.parquet")
    with pytest.raises(SourceError, match="has the columns a, c where the first file has a, b"):
        entries(ParquetSource(tmp_path))
    assert entries(ParquetSource(tmp_path, columns=["a"])) == [{"a": 1}, {"a": 3}, {"a": 5}]
    with pytest.raises(UsageError, match=r"3\.parquet' has no column 'b'"):
        entries(ParquetSource(tmp_path, columns=["b"]))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]))
    with pytest.raises(UsageError, match="has several columns named 'a'"):
        elastic.read_parquet(path).run(cluster="inline")


def test_nanoseconds_are_never_cut_off(tmp_path: Path) -> None:
    path = saved(tmp_path, pa.table({"at": pa.array([1_000, 1_001], pa.timestamp("ns"))}))
    with pytest.raises(StepFailedError, match=r"EncodingError: the column 'at' .* process it by map_frames"):
        elastic.read_parquet(path).run(cluster="inline")
    frames = elastic.read_parquet(path).map_frames(lambda frame: frame.select(pl.col("at").dt.timestamp("ns")))
    assert collected(frames.flat_map(lambda frame: frame["at"])) == [1_000, 1_001]


def test_missing_files_folders_and_permissions_are_as_for_text(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        elastic.read_parquet(tmp_path / "no.parquet").run(cluster="inline")
    with pytest.raises(SourceNotFoundError, match="folder without files"):
        elastic.read_parquet(tmp_path).run(cluster="inline")
    path = saved(tmp_path, pa.table({"n": [1]}))
    path.chmod(0)
    tmp_path.chmod(0o755)
    with without_privileges(), pytest.raises(SourceError, match="cannot be read"):
        entries(ParquetSource(path))


def test_remote_files_are_read_and_those_in_memory_by_the_master() -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for number in range(2):
        with memory.open(f"/parquet/{number}.parquet", "wb") as file:
            pq.write_table(pa.table({"n": range(number * 5, number * 5 + 5)}), file, row_group_size=2)
    flow = elastic.read_parquet("memory://parquet/*.parquet", where=("n", ">", 3))
    assert [row["n"] for row in collected(flow)] == [4, 5, 6, 7, 8, 9]


def test_failing_rows_are_kept_and_redriven(tmp_path: Path) -> None:
    path = saved(tmp_path, pa.table({"n": range(20), "day": [dt.date(2026, 1, 1)] * 20}), row_group_size=7)

    def flow(bad: int) -> elastic.Flow:
        return elastic.read_parquet(path).map(lambda row: row["n"] if row["n"] != bad else 1 / 0).aggregate("sum")

    result = flow(9).run(cluster="inline", on_error="dead-letter")
    assert (result.value, result.entries, result.errors) == (sum(range(20)) - 9, 20, 1)
    (letter,) = elastic.dead_letters(result.run_id)
    assert letter.failure.place == f"row 9 of {str(path)!r}"
    assert elastic.verify(result.run_id, flow(9), recompute=1.0).ok
    assert elastic.redrive(result.run_id, flow(-1), cluster="inline").value == sum(range(20))


def test_frames_bisect_to_the_failing_rows(tmp_path: Path) -> None:
    path = saved(tmp_path, pa.table({"n": range(20)}), row_group_size=7)

    def parsed(frame: Any) -> Any:
        if 9 in frame["n"]:
            raise ValueError("nine")
        return frame

    flow = elastic.read_parquet(path).map_frames(parsed).aggregate(elastic.aggregators.FrameSum("n"))
    result = flow.run(cluster="inline", on_error="skip")
    assert (result.value, result.entries, result.errors) == ({"n": sum(range(20)) - 9}, 20, 1)


def test_a_reader_takes_no_footer_along(tmp_path: Path) -> None:
    path = saved(tmp_path, pa.table({"n": range(5)}))
    source = ParquetSource(path)
    reader = source.reader()
    (piece,) = source.cut()
    block = reader.read_block(piece.reference)
    assert len(pickle.dumps(reader)) < 1000
    assert pickle.loads(pickle.dumps(reader)).read_block(piece.reference) == block


@pytest.mark.parametrize("size", [1, 2, 10])
def test_zero_is_found_in_a_list_of_values_whatever_its_sign(tmp_path: Path, size: int) -> None:
    path = tmp_path / "zeros.parquet"
    pq.write_table(pa.table({"f": [0.0, -0.0, 1.0, 0.0, None], "n": range(5)}), path, row_group_size=size)

    def rows(operator: str, values: list[float]) -> list[int]:
        return [row["n"] for row in elastic.read_parquet(path, where=("f", operator, values)).take(9)]

    for zero in (0, 0.0, -0.0):
        assert rows("in", [zero]) == [0, 1, 3]
        assert rows("in", [1.0, zero]) == [0, 1, 2, 3]
        assert rows("not in", [zero]) == [2]


def test_a_union_has_the_values_of_folders_for_files_without_the_column(tmp_path: Path) -> None:
    for key, table in ((1, {"x": [1]}), (2, {"x": [2], "key": pa.array([9], "int32")})):
        (tmp_path / f"key={key}").mkdir()
        pq.write_table(pa.table(table), tmp_path / f"key={key}/rows.parquet")
    with pytest.raises(SourceError, match="the column 'key', which the first file has only in the name of its folder"):
        elastic.read_parquet(tmp_path).take()

    def rows(**options: Any) -> list[Any]:
        return elastic.read_parquet(tmp_path, union_by_name=True, **options).take()

    assert rows() == [{"x": 1, "key": 1}, {"x": 2, "key": 9}]
    assert rows(columns=["key"]) == [{"key": 1}, {"key": 9}]
    assert rows(where=("key", "==", 1)) == [{"x": 1, "key": 1}]
    assert rows(where=("key", ">", 1), columns=["x"]) == [{"x": 2}]


def test_frames_cannot_have_what_they_do_not_hold(tmp_path: Path) -> None:
    wide = elastic.from_arrow(pa.table({"a": [Decimal("1" * 50)]}))
    for library in ("polars", "arrow"):
        with pytest.raises(ElasticError, match=r"the column 'a' is decimal256\(50, 0\)"):
            wide.map_frames(lambda frame: frame, library=library).take()
    with pytest.raises(UsageError, match="the column 'a' is Int128"):
        elastic.from_polars(pl.DataFrame({"a": [1]}).cast(pl.Int128))


@pytest.mark.parametrize("kind", [pl.Datetime("ms"), pl.Datetime("us", "Asia/Tokyo"), pl.Date])
def test_a_look_at_frames_names_times_that_python_does_not_have(kind: Any) -> None:
    per_day = 1 if kind == pl.Date else 86_400_000 * (1 if kind.time_unit == "ms" else 1000)
    for far in (2_932_897, -719_163):
        frame = (pl.Series("t", [far, None, 0]) * per_day).cast(kind)
        with pytest.raises(EncodingError, match=r"the column 't' of type .* not in the years 1 to 9999"):
            frame_records(frame.to_frame())
        assert frame_records(frame[1:].to_frame())[0] == {"t": None}
    near = pl.Series("t", [dt.date.min, dt.date.max])
    assert frame_records(near.to_frame()) == [{"t": dt.date.min}, {"t": dt.date.max}]
    last = NAIVE.replace(year=9999, month=12, day=31)
    assert frame_records(near.cast(pl.Datetime("us")).to_frame())[1] == {"t": last}


def test_a_look_at_frames_never_cuts_nanoseconds_off(tmp_path: Path) -> None:
    instants = [pa.array([[1_001]], pa.list_(pa.timestamp("ns"))), pa.array([1], pa.duration("ns"))]
    for instant in instants:
        flow = elastic.from_arrow(pa.table({"t": instant})).map_frames(lambda frame: frame)
        with pytest.raises(ElasticError, match=r"the column 't' of type .* has nanoseconds"):
            flow.take()
    whole = elastic.from_arrow(pa.table({"t": pa.array([1_000], pa.timestamp("ns"))})).map_frames(lambda frame: frame)
    assert whole.take() == [{"t": NAIVE.replace(year=1970, microsecond=1)}]
