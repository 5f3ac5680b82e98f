"""Frames and tables in memory are sources: their rows as plain data, or their chunks as frames."""

import datetime as dt
from typing import Any

import pytest
from source_samples import assert_goes_on_anywhere, chunks

import elastic
from elastic.aggregators import FrameSum
from elastic.core.errors import SourceError, StepFailedError, UsageError
from elastic.stages.sources import TableSource

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")
pd = pytest.importorskip("pandas")

ROWS: list[dict[str, Any]] = [
    {"n": 1, "s": "a", "day": dt.date(2026, 1, 1)},
    {"n": None, "s": None, "day": None},
    {"n": 3, "s": "\u20ac\0", "day": dt.date(1, 1, 1)},
]


def collected(flow: elastic.Flow) -> Any:
    return flow.aggregate("collect").run(cluster="inline").value


def frames() -> list[elastic.Flow]:
    table = pa.Table.from_pylist(ROWS)
    return [
        elastic.from_arrow(table, chunk_size=2),
        elastic.from_arrow(table.to_batches()[0], chunk_size=2),
        elastic.from_arrow(table.to_reader(), chunk_size=2),
        elastic.from_arrow(pl.DataFrame(ROWS), chunk_size=2),
        elastic.from_polars(pl.DataFrame(ROWS), chunk_size=2),
        elastic.from_polars(pl.LazyFrame(ROWS), chunk_size=2),
        elastic.from_pandas(pd.DataFrame(ROWS).astype({"n": "Int64"}), chunk_size=2),
    ]


@pytest.mark.parametrize("number", range(7))
def test_rows_are_dicts_and_chunks_are_frames(number: int) -> None:
    flow = frames()[number]
    assert collected(flow) == ROWS
    assert collected(flow.map_frames(lambda frame: frame).map(lambda frame: frame.height)) == [2, 1]
    assert flow.aggregate(FrameSum("n")).run(cluster="inline").value == {"n": 4}


def test_a_table_can_be_cut_at_any_chunk_and_has_the_same_root_in_pieces() -> None:
    table = pa.table({"n": list(range(10)), "s": [None, "a"] * 5, "b": [True, False] * 5, "l": [[1], None] * 5})
    source, again = (TableSource(one, chunk_size=4) for one in (table, pa.concat_tables([table[:3], table[3:]])))
    assert [[row["n"] for row in chunk] for chunk in chunks(source)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert_goes_on_anywhere(source, again)
    assert source.expected_chunks() == 3
    shorter = TableSource(table[:9], chunk_size=4)
    with pytest.raises(SourceError, match="had 10 rows when the run began and has 9"):
        list(shorter.cut((4, 10)))


def test_the_index_of_pandas_is_left_out_and_nan_is_none() -> None:
    frame = pd.DataFrame({"x": [1.5, float("nan")], "c": pd.Categorical(["a", "b"])}, index=["p", "q"])
    assert collected(elastic.from_pandas(frame)) == [{"x": 1.5, "c": "a"}, {"x": None, "c": "b"}]


def test_zones_of_pandas_keep_their_names() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-07-01"]).tz_localize("Europe/Berlin")})
    (row,) = collected(elastic.from_pandas(frame))
    assert (row["at"].isoformat(), row["at"].tzinfo.key) == ("2026-07-01T00:00:00+02:00", "Europe/Berlin")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda: elastic.from_pandas(pd.DataFrame({1: [1]})),
            "the column 1 of the frame has a name that is not a string",
        ),
        (lambda: elastic.from_pandas(pd.DataFrame([[1, 2]], columns=["a", "a"])), "several columns named 'a'"),
        (lambda: elastic.from_pandas(pd.DataFrame({"a": [1, "x"]})), "Conversion failed for column a"),
        (lambda: elastic.from_pandas([1]), r"from_pandas takes a pandas frame, not builtins\.list"),
        (lambda: elastic.from_polars(pl.Series([1])), "from_polars takes a Polars frame, not polars"),
        (lambda: elastic.from_polars(pl.DataFrame({"a": [object()]})), "column 'a' holds Python objects"),
        (lambda: elastic.from_arrow([{"a": 1}]), r"from_arrow takes an Arrow table, not builtins\.list"),
        (lambda: elastic.from_arrow(pa.array([1])), "from_arrow"),
        (lambda: elastic.from_arrow(pa.table([[1], [2]], ["a", "a"])), "several columns named 'a'"),
        (lambda: elastic.from_arrow(pa.table({"a": [1]}), chunk_size=0), "chunk_size must be a positive integer"),
        (lambda: elastic.from_iterable(pd.DataFrame({"a": [1]})), r"use elastic\.from_pandas\(frame\)"),
        (lambda: elastic.from_iterable(pl.DataFrame({"a": [1]})), r"use elastic\.from_polars\(frame\)"),
        (lambda: elastic.from_iterable(pa.table({"a": [1]})), r"use elastic\.from_arrow\(table\)"),
    ],
)
def test_what_is_no_table_is_refused(make: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        make()


def test_a_run_resumes_with_an_equal_table_and_refuses_another() -> None:
    def flow(table: Any, bad: int = -1) -> elastic.Flow:
        rows = elastic.from_arrow(table, chunk_size=50)
        return rows.map(lambda row: row["n"] if row["n"] != bad else 1 / 0).aggregate("sum")

    table = pa.table({"n": list(range(1000))})
    quick: dict[str, Any] = {"cluster": "inline", "commit_interval": 1e-9, "collect_interval": 1e-9}
    with pytest.raises(StepFailedError, match="row 700"):
        flow(table, 700).run(target_call_seconds=1e-9, max_chunks_per_call=1, **quick)
    run_id = elastic.runs()[0].run_id
    other = pa.table({"n": [5, *range(1, 1000)]})
    with pytest.raises(SourceError, match="entries of chunk 0 differ"):
        elastic.resume(run_id, flow(other), allow_code_change=True, cluster="inline")
    result = elastic.resume(
        run_id, flow(pa.concat_tables([table[:5], table[5:]])), allow_code_change=True, cluster="inline"
    )
    assert (result.value, result.entries) == (499_500, 1000)
    assert elastic.verify(run_id, flow(table), recompute=1.0).ok


def test_an_empty_table_has_no_entries() -> None:
    assert collected(elastic.from_arrow(pa.table({"n": pa.array([], pa.int64())}))) == []
    assert collected(elastic.from_polars(pl.DataFrame())) == []
    assert collected(elastic.from_pandas(pd.DataFrame())) == []
