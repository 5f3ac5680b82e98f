"""A look at a flow's records reads only what it needs, agrees with a run, and takes nothing away from it."""

import bz2
import gzip
import io
import math
import os
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import elastic
from elastic.core.contracts.source import EntriesReader
from elastic.core.errors import EntryError, SourceError, SourceNotFoundError, StepFailedError, UsageError
from elastic.flow.preview import FieldTypes


class Drawn:
    """An iterator that counts the entries that were drawn from it."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.drawn, self._count, self._error = 0, count, error

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if self.drawn >= self._count:
            if self._error is not None:
                raise self._error
            raise StopIteration
        self.drawn += 1
        return self.drawn - 1


class OneShot(elastic.Source):
    """A user's own source that can be read once."""

    replayable = False

    def __init__(self) -> None:
        self._rows = iter(range(10))

    def cut(self, position: Any = None) -> Iterator[elastic.SourcePiece]:
        for row in self._rows:
            yield elastic.SourcePiece((row,), (row, 1), [row])

    def reader(self) -> EntriesReader:
        return EntriesReader()

    def describe(self) -> dict[str, Any]:
        return {}


def inverse(number: Any) -> float:
    return 1 / int(number)


def collected(flow: elastic.Flow, **options: Any) -> list[Any]:
    found: list[Any] = flow.aggregate("collect").run(cluster="inline", **options).value
    return found


# -- what is read


@pytest.mark.parametrize("count", [0, 1, 5, 7, 100])
def test_the_first_records_are_those_of_a_run(count: int) -> None:
    flow = elastic.from_range(50, chunk_size=3).filter(lambda n: n % 3).flat_map(lambda n: [n] * (n % 4)).map(str)
    assert flow.take(count) == collected(flow)[:count]


def test_five_records_are_taken_by_default() -> None:
    assert elastic.from_range(9).take() == [0, 1, 2, 3, 4]
    assert elastic.from_range(3).take() == [0, 1, 2]
    assert elastic.from_range(0).take() == []


def test_a_function_runs_on_no_more_entries_than_are_asked_for() -> None:
    seen: list[int] = []
    flow = elastic.from_range(10**9).map(lambda n: seen.append(n) or n)
    assert flow.take(7) == list(range(7))
    assert seen == list(range(7))


def test_a_filter_that_lets_nothing_through_ends_with_the_source() -> None:
    assert elastic.from_range(10_000, chunk_size=999).filter(lambda n: False).take() == []
    assert elastic.from_range(10_000, chunk_size=999).filter(lambda n: n == 9_999).take() == [9_999]


def test_a_function_of_chunks_gets_the_chunks_of_the_run() -> None:
    lengths: list[int] = []
    flow = elastic.from_range(20, chunk_size=6).map_chunks(lambda chunk: lengths.append(len(chunk)) or [sum(chunk)])
    assert flow.take(2) == [15, 51]
    assert lengths == [6, 6]
    assert flow.take(9) == collected(flow)


def test_files_are_opened_only_as_far_as_needed(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jsonl").write_text(f'{{"n": {number}}}\n' * 2)
    (tmp_path / "9.jsonl").write_text("this is no JSON\n")
    flow = elastic.read_jsonl(tmp_path).map(lambda record: record["n"])
    assert flow.take(3) == [0, 0, 1]
    assert flow.take(8) == [0, 0, 1, 1, 2, 2, 3, 3]
    with pytest.raises(EntryError, match=r"9\.jsonl"):
        flow.take(9)


def test_a_long_file_is_read_in_small_ranges_with_all_records(tmp_path: Path) -> None:
    lines = [f"{number} {'x' * (number % 90_000)}" for number in range(0, 400_000, 7_919)]
    (tmp_path / "long.txt").write_text("\n".join(lines))
    flow = elastic.read_text(tmp_path / "long.txt")
    assert flow.take(1_000) == lines == collected(flow)


@pytest.mark.parametrize("options", [{}, {"one_file_per_chunk": True}, {"chunk_bytes": 10}, {"ship": "value"}])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_files_of_every_kind_are_looked_at(
    options: dict[str, Any], pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    suffix = {gzip.compress: ".gz", bz2.compress: ".bz2"}.get(pack, "")
    for name, text in (("a", "x,y\n1,2\n3,4\n"), ("b", ""), ("c", "x,y\n5,6\n")):
        (tmp_path / f"{name}.csv{suffix}").write_bytes(pack(text.encode()) if text or not suffix else b"")
    flow = elastic.read_csv(tmp_path, **options)
    rows = [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}, {"x": "5", "y": "6"}]
    assert flow.take(2) == rows[:2]
    assert flow.take() == rows == collected(flow)


def test_a_header_that_differs_is_found_as_in_a_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    flow = elastic.read_csv(tmp_path)
    assert flow.take(1) == [{"x": "1", "y": "2"}]
    with pytest.raises(SourceError, match="the header is x, z where that of the first file is x, y"):
        flow.take(2)


def test_a_look_does_not_hide_a_later_change_of_the_files_from_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n")
    flow = elastic.read_csv(path)
    assert flow.take() == [{"x": "1", "y": "2"}]
    path.write_text("left,right\n10,20\n30,40\n")
    assert collected(flow) == flow.take() == [{"left": "10", "right": "20"}, {"left": "30", "right": "40"}]


def test_remote_files_are_looked_at() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/preview/a.txt", b"1\n2\n")
    memory.pipe("/preview/b.txt", b"3\n")
    try:
        assert elastic.read_text("memory://preview").map(int).take() == [1, 2, 3]
        assert elastic.read_text("memory://preview/b*").take() == ["3"]
    finally:
        memory.rm("/preview", recursive=True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for look in ("take", "show", "schema"):
        with pytest.raises(SourceNotFoundError, match=r"nowhere\.txt"):
            getattr(elastic.read_text(tmp_path / "nowhere.txt"), look)()


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good\n\xff\xfe\n")
    with pytest.raises(EntryError, match=r"line 2 of .*a\.txt. \(byte 5\)"):
        elastic.read_text(tmp_path / "a.txt").take()


def test_a_look_at_a_query_leaves_the_position_of_a_run(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE sale (n INTEGER)")
        connection.executemany("INSERT INTO sale VALUES (?)", [(n,) for n in range(500)])
    connection.close()
    flow = elastic.read_sql("SELECT n FROM sale ORDER BY n", url, chunk_size=100).map(lambda row: row["n"])
    assert flow.take(3) == [0, 1, 2]
    assert collected(flow) == flow.take(999) == list(range(500))


# -- one-shot iterables lose nothing


def test_a_generator_gives_a_look_no_more_than_it_needs_and_the_run_everything() -> None:
    drawn = Drawn(1_000)
    flow = elastic.from_iterable(drawn, chunk_size=300)
    assert flow.take(1) == [0]
    assert drawn.drawn == 1
    assert flow.map(str).take(5) == ["0", "1", "2", "3", "4"]
    assert drawn.drawn <= 10
    assert flow.take(2) == [0, 1]
    lengths: list[int] = []
    assert flow.map_chunks(lambda chunk: lengths.append(len(chunk)) or chunk).take(301) == list(range(301))
    assert lengths == [300, 300]
    assert collected(flow) == list(range(1_000))


def test_a_run_cuts_the_same_chunks_after_a_look() -> None:
    plain = elastic.from_iterable(iter(range(100)), chunk_size=7).aggregate("sum").run(cluster="inline")
    flow = elastic.from_iterable(iter(range(100)), chunk_size=7)
    flow.take(20)
    after = flow.aggregate("sum").run(cluster="inline")
    assert (after.value, after.root, after.chunks) == (plain.value, plain.root, plain.chunks)


def test_an_error_of_a_generator_is_kept_for_the_run() -> None:
    flow = elastic.from_iterable(Drawn(3, RuntimeError("cable cut")), chunk_size=2)
    assert flow.take(3) == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(SourceError, match=r"failed after 3 entries \(RuntimeError: cable cut\)"):
            flow.take(4)
    with pytest.raises(SourceError, match="failed after 3 entries"):
        flow.aggregate("sum").run(cluster="inline")


def test_a_generator_that_a_run_has_read_is_refused() -> None:
    flow = elastic.from_iterable(iter(range(9)))
    assert collected(flow) == list(range(9))
    with pytest.raises(SourceError, match="was read by a run and cannot be looked at"):
        flow.take()


def test_an_iterable_whose_iterators_share_a_position_loses_nothing() -> None:
    class Bar:
        def __init__(self) -> None:
            self._rows = iter(range(9))

        def __iter__(self) -> Iterator[int]:
            return self._rows

        def __len__(self) -> int:
            return 9

        def __contains__(self, row: object) -> bool:
            return True

    flow = elastic.from_iterable(Bar())
    assert flow.take(2) == [0, 1]
    assert flow.take(2) == [0, 1]
    assert collected(flow) == list(range(9))


@pytest.mark.parametrize(
    "container", [set, frozenset, deque, dict.fromkeys, lambda rows: {n: n for n in rows}.values()]
)
def test_a_container_is_read_again_by_the_run(container: Callable[[Any], Any]) -> None:
    rows = container(range(9))
    flow = elastic.from_iterable(rows.keys() if isinstance(rows, dict) else rows)
    assert flow.take(2) == [0, 1]
    if isinstance(rows, set | deque):
        rows.remove(0)
        assert collected(flow) == list(range(1, 9)) == flow.take(99)
    else:
        assert collected(flow) == list(range(9)) == flow.take(99)


def test_an_open_file_is_looked_at_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n3\n")
    with (tmp_path / "a.txt").open() as file:
        flow = elastic.from_iterable(file).map(int)
        assert flow.take(2) == [1, 2]
        assert flow.aggregate("sum").run(cluster="inline").value == 6


def test_several_iterables_are_looked_at_one_after_another() -> None:
    last = Drawn(5)
    flow = elastic.from_iterables([[1, 2], iter([3]), (), last])
    assert flow.take(3) == [1, 2, 3]
    assert last.drawn == 0
    assert flow.take(4) == [1, 2, 3, 0]
    assert collected(flow) == [1, 2, 3, 0, 1, 2, 3, 4]


def test_a_source_that_cannot_keep_what_it_reads_is_refused() -> None:
    flow = elastic.from_source(OneShot())
    with pytest.raises(UsageError, match="OneShot can be read once, so a look at its records would lose them"):
        flow.take()
    assert collected(flow) == list(range(10))


def test_an_entry_that_cannot_be_sent_is_refused_as_in_a_run() -> None:
    with pytest.raises(elastic.ElasticError) as refused:
        elastic.from_iterable([1, object()]).run(cluster="inline")
    with pytest.raises(elastic.ElasticError) as looked:
        elastic.from_iterable([1, object()], chunk_size=2).map_chunks(list).take()
    assert type(looked.value) is type(refused.value)
    assert str(looked.value) == str(refused.value)


def test_a_projection_is_applied() -> None:
    flow = elastic.from_iterable([{"a": 1, "b": 2}]).options(project=lambda rows: [{"a": row["a"]} for row in rows])
    assert flow.take() == [{"a": 1}]


# -- functions that fail


def numbers_in_files(folder: Path) -> Path:
    for name, text in (("a.txt", "1\n2\n"), ("b.txt", "3\n" * 9 + "0\n4\n")):
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: elastic.from_iterable([4, 2, 0, 1], chunk_size=2),
        lambda folder: elastic.from_iterable(iter([4, 2, 0, 1]), chunk_size=3),
        lambda folder: elastic.from_iterables([[1], iter([2, 0])], chunk_size=2),
        lambda folder: elastic.from_range(5, -5, -1, chunk_size=2),
        lambda folder: elastic.read_text(numbers_in_files(folder)),
        lambda folder: elastic.read_text(numbers_in_files(folder), chunk_bytes=4),
        lambda folder: elastic.read_text(numbers_in_files(folder), one_file_per_chunk=True),
        lambda folder: elastic.read_text(numbers_in_files(folder)).words(),
    ],
    ids=["list", "generator", "iterables", "range", "files", "small chunks", "whole files", "words"],
)
def test_a_failure_names_the_entry_as_a_run_does(make: Callable[[Path], elastic.Flow], tmp_path: Path) -> None:
    with pytest.raises(StepFailedError) as ran:
        make(tmp_path).map(inverse).run(cluster="inline")
    with pytest.raises(EntryError) as looked:
        make(tmp_path).map(inverse).take(99)
    assert str(looked.value) == ran.value.reason
    assert isinstance(looked.value.__cause__, ZeroDivisionError)


def test_a_failure_behind_the_records_that_are_wanted_is_not_met() -> None:
    assert elastic.from_iterable([1, 2, 0]).map(inverse).take(2) == [1.0, 0.5]


@pytest.mark.parametrize("on_error", ["skip", "dead-letter"])
def test_entries_that_fail_are_left_out_by_the_policy(on_error: str) -> None:
    flow = elastic.from_iterable([1, 0, 2, 0, 4]).map(inverse).options(on_error=on_error)
    assert flow.take() == [1.0, 0.5, 0.25]
    assert flow.take(2) == [1.0, 0.5]
    with pytest.raises(EntryError, match=r"2 entries failed, more than max_errors=1; the last of them: map\(.*entry 3"):
        flow.options(max_errors=1).take()


def test_a_flow_whose_entries_all_fail_has_no_empty_answer() -> None:
    flow = elastic.from_iterable([0, 0]).map(inverse).options(on_error="skip")
    with pytest.raises(EntryError, match="all 2 entries failed, the first of them"):
        flow.take()


def test_an_entry_is_retried_as_the_policy_says() -> None:
    calls: list[int] = []

    def flaky(number: int) -> int:
        calls.append(number)
        if len(calls) < 3:
            raise ConnectionError
        return number

    flow = elastic.from_iterable([7]).map(flaky).options(retries={ConnectionError: 5}, retry_delay=0.001)
    assert flow.take() == [7]


def test_what_a_failing_function_changed_is_read_again() -> None:
    def pop(record: dict[str, int]) -> int:
        value = record.pop("n")
        if value == 0:
            raise ValueError("zero")
        return value

    flow = elastic.from_iterable([{"n": 1}, {"n": 0}, {"n": 2}]).map(pop).options(on_error="skip")
    assert flow.take() == [1, 2]


def test_a_function_that_ends_the_pass_early_is_found() -> None:
    def stop(number: int) -> int:
        raise StopIteration

    with pytest.raises(EntryError, match="StopIteration"):
        elastic.from_range(5).map(stop).take()


def test_ctrl_c_in_a_function_ends_the_look() -> None:
    def interrupt(number: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        elastic.from_range(5).map(interrupt).take()


# -- arguments


@pytest.mark.parametrize("count", [-1, 1.0, math.nan, "5", None, True])
@pytest.mark.parametrize("look", ["take", "show", "schema"])
def test_a_number_of_records_that_is_none_is_refused(look: str, count: Any) -> None:
    with pytest.raises(UsageError, match=rf"{look}\(.*\): expected a whole number of records"):
        getattr(elastic.from_range(5), look)(count)


def test_no_record_is_taken_without_a_look_at_the_source(tmp_path: Path) -> None:
    assert elastic.read_text(tmp_path / "nowhere").take(0) == []
    with pytest.raises(UsageError, match="of at least 1"):
        elastic.from_range(5).schema(0)


@pytest.mark.parametrize("look", ["take", "show", "schema", "count"])
def test_a_flow_that_aggregates_is_refused(look: str) -> None:
    with pytest.raises(UsageError, match=f"{look} cannot follow aggregate"):
        getattr(elastic.from_range(5).aggregate("sum"), look)()


# -- frames


def test_the_rows_of_frames_are_records() -> None:
    flow = elastic.from_iterable([{"n": n, "s": "x"} for n in range(10)], chunk_size=4).map_frames(lambda frame: frame)
    assert flow.take(5) == [{"n": n, "s": "x"} for n in range(5)]
    assert flow.count(cluster="inline") == 10
    schema = flow.schema()
    assert schema.fields == (FieldTypes("n", ("Int64",)), FieldTypes("s", ("String",)))
    assert (schema.records, schema.is_all) == (10, True)


def test_a_frame_that_fails_is_named() -> None:
    with pytest.raises(EntryError, match=r"map_frames\(.*on entry 0.*no_such"):
        elastic.from_iterable([{"n": 1}]).map_frames(lambda frame: frame.select(pl.col("no_such"))).take()


# -- show, schema, count, HTML


def test_records_are_shown_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    elastic.from_iterable([{"a": 1, "b": "\ud800\x1b"}, {"a": 20}]).show()
    assert capsys.readouterr().out == " a   b\n" + "\u2500" * 15 + "\n 1   \\ud800\\x1b\n20\n"
    elastic.from_iterable([]).show()
    assert capsys.readouterr().out == "(no records)\n"
    elastic.from_iterable([1, 2, 3]).show(0)
    assert capsys.readouterr().out == "(no records)\n"


def test_a_table_is_printed_in_characters_that_the_output_has(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    output = io.TextIOWrapper(data, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    elastic.from_iterable([{"name": "\u65e5\u672c"}, {"name": "x" * 99}]).show()
    output.flush()
    lines = data.getvalue().decode("ascii").splitlines()
    assert lines == ["name", "-" * 40, "\\u65e5\\u672c", "x" * 39 + "\\u2026"]


def test_the_schema_names_every_type_and_counts_what_is_missing() -> None:
    rows: list[Any] = [{"a": 1}, {"a": None, "b": "x"}, {"a": 2.5, "b": "y", 3: [1]}]
    schema = elastic.from_iterable(rows).schema()
    assert schema.fields == (
        FieldTypes("a", ("int", "NoneType", "float")),
        FieldTypes("b", ("str",), missing=1),
        FieldTypes("3", ("list",), missing=2),
    )
    assert str(schema).splitlines() == [
        "a   int or NoneType or float",
        "b   str, missing in 1",
        "3   list, missing in 2",
        "(of all 3 records)",
    ]


@pytest.mark.parametrize(
    ("total", "text"),
    [
        (0, "(the flow has no records)"),
        (1, "(of the only record)"),
        (2, "(of all 2 records)"),
        (3, "(of the first 3 records)"),
        (4, "(of the first 3 records)"),
    ],
)
def test_the_schema_says_how_many_records_it_has_seen(total: int, text: str) -> None:
    assert str(elastic.from_range(total).schema(3)).splitlines()[-1] == text


def test_records_are_counted() -> None:
    assert elastic.from_range(10, chunk_size=3).filter(lambda n: n % 2).count(cluster="inline") == 5
    assert elastic.from_iterable(iter("abc")).count(cluster="inline") == 3
    assert elastic.from_iterable([]).count(cluster="inline") == 0
    skipping = elastic.from_iterable([1, 0]).map(inverse).options(on_error="skip")
    assert skipping.count(cluster="inline") == 1


def test_a_count_that_is_known_starts_no_run(home: Path) -> None:
    assert elastic.from_range(10**15).count() == 10**15
    assert elastic.from_iterable([1, 2]).count() == 2
    assert elastic.from_iterable({1, 2}).count() == 2
    assert list(home.iterdir()) == []


def test_a_count_runs_in_this_process_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n2\n")
    rows = elastic.read_csv(tmp_path / "a.csv")
    assert rows.count() == 2
    assert rows.map(lambda row: os.getpid()).filter(lambda pid: pid == os.getpid()).count() == 2
    assert list(home.iterdir()) == []
    assert rows.count(persist=True) == 2
    assert len(list((home / "runs").iterdir())) == 1


def test_rows_of_parquet_are_counted_by_their_footers(tmp_path: Path) -> None:
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    (tmp_path / "data/k=1").mkdir(parents=True)
    path = tmp_path / "data/k=1/a.parquet"
    parquet.write_table(pa.table({"n": list(range(1000))}), path, row_group_size=100)
    flow = elastic.read_parquet(tmp_path / "data")
    assert flow.map(dict).count() == elastic.read_parquet(tmp_path / "data", where=("n", ">=", 0)).count() == 1000
    assert elastic.read_parquet(tmp_path / "data", where=("n", "<", 10)).count() == 10
    stored = bytearray(path.read_bytes())
    stored[4:100] = bytes(96)
    path.write_bytes(stored)
    assert flow.count() == (flow + flow).count() // 2 == 1000
    with pytest.raises(elastic.ElasticError):
        flow.map(dict).count()
    parquet.write_table(pa.table({"m": [1]}), tmp_path / "data/k=1/b.parquet")
    with pytest.raises(elastic.ElasticError, match="has the columns m"):
        flow.count()


def test_a_notebook_shows_escaped_records() -> None:
    page = elastic.from_iterable([{"<i>": "<script>"}]).map(dict)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<code>Flow(source -&gt; map(" in page
    assert "(no records)" in elastic.from_range(0)._repr_html_()


def test_a_notebook_shows_a_flow_that_fails_or_aggregates() -> None:
    page = elastic.from_iterable(["<b>"]).map(int)._repr_html_()
    assert "map(int) failed on entry 0 (chunk 0)" in page
    assert "<b>" not in page
    aggregated = elastic.from_range(3).aggregate("sum")._repr_html_()
    assert "Sum" in aggregated
    assert aggregated.count("<tr>") == 4
    assert "nowhere" in elastic.read_text("/nowhere")._repr_html_()


def test_a_look_imports_neither_engine_nor_ray(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n")
    code = (
        "import sys, elastic\n"
        "flow = elastic.read_csv(sys.argv[1]).map(dict)\n"
        "flow.take(), flow.show(), flow.schema()\n"
        "print({'elastic.engine.run', 'elastic.engine.master', 'ray', 'polars', 'pyarrow'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_look_leaves_no_run(home: Path) -> None:
    elastic.from_range(10).map(str).take()
    elastic.from_range(10).map(str).schema()
    assert list(home.iterdir()) == []
