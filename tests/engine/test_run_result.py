"""Runs give the results of plain Python, for every kind of source and on both transports."""

import datetime as dt
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from cluster_driver import inline_and_once_on_ray

import elastic
from elastic.aggregators import Collect, Count, Emit, GroupBy, Nothing, Sum

LINES = [f"word{number % 7} and word{number % 3}" for number in range(1_000)]


BERLIN = ZoneInfo("Europe/Berlin")
#: Each half hour around the hour that occurs twice.
HOURS = [
    (dt.datetime(2026, 10, 24, 23, tzinfo=dt.UTC) + dt.timedelta(minutes=30 * index)).astimezone(BERLIN)
    for index in range(8)
]


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Any]:
    """One flow over LINES for each kind of source."""
    text, rows, pairs = tmp_path / "lines.txt", tmp_path / "lines.jsonl", tmp_path / "lines.csv"
    text.write_text("\n".join(LINES))
    rows.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    pairs.write_text("line\n" + "".join(f"{line}\n" for line in LINES))
    with sqlite3.connect(tmp_path / "lines.sqlite") as database:
        database.execute("CREATE TABLE lines (line TEXT)")
        database.executemany("INSERT INTO lines VALUES (?)", [(line,) for line in LINES])
    database.close()
    return {
        "text": elastic.read_text(text, chunk_bytes=1_000),
        "text by value": elastic.read_text(text, chunk_bytes=1_000, ship="value"),
        "jsonl": elastic.read_jsonl(rows, chunk_bytes=1_000),
        "csv": elastic.read_csv(pairs, chunk_bytes=1_000).map(lambda row: row["line"]),
        "sql": elastic.read_sql("SELECT line FROM lines", f"sqlite:///{tmp_path}/lines.sqlite", chunk_size=70).map(
            lambda row: row["line"]
        ),
        "list": elastic.from_iterable(LINES, chunk_size=70),
        "generator": elastic.from_iterable((line for line in LINES), chunk_size=70),
        "iterables": elastic.from_iterables([LINES[:300], iter(LINES[300:])], chunk_size=70),
    }


@pytest.mark.parametrize("kind", ["text", "text by value", "jsonl", "csv", "sql", "list", "generator", "iterables"])
def test_words_are_counted_as_a_counter_counts_them(kind: str, sources: dict[str, Any]) -> None:
    result = sources[kind].flat_map(str.split).aggregate(Count()).run(cluster="inline")
    assert result.value == Counter(word for line in LINES for word in line.split())
    assert result.state == "complete"
    assert result.entries == 1_000
    assert result.chunks > 10
    assert set(result.receipts.values()) == {result.chunks}
    assert (result.error, result.counters, result.retries) == (None, {}, 0)


def test_words_of_files_and_of_a_generator_are_counted_on_every_transport(
    cluster: str, sources: dict[str, Any]
) -> None:
    expected = Counter(word for line in LINES for word in line.split())
    for kind in ("text", "generator"):
        result = sources[kind].flat_map(str.split).aggregate(Count()).run(cluster=cluster)
        assert result.value == expected
        assert set(result.receipts.values()) == {result.chunks}


def test_a_range_is_added_up(cluster: str) -> None:
    result = elastic.from_range(10, -10_000, -3, chunk_size=100).aggregate(Sum()).run(cluster=cluster)
    assert result.value == sum(range(10, -10_000, -3))
    assert result.entries == len(range(10, -10_000, -3))


def test_integers_beyond_64_bits_travel() -> None:
    numbers = range(2**80, 2**80 + 1_000)
    result = elastic.from_range(numbers.start, numbers.stop, chunk_size=99).aggregate(Sum()).run(cluster="inline")
    assert result.value == sum(numbers)


def test_an_ordered_aggregator_sees_entries_in_order_however_chunks_come_back(cluster: str) -> None:
    def slow_at_first(entry: int) -> int:
        return sum(range(200_000 if entry < 20 else 1)) * 0 + entry

    flow = elastic.from_range(500, chunk_size=7).map(slow_at_first).filter(lambda entry: entry % 3)
    assert flow.aggregate(Collect()).run(cluster=cluster).value == [n for n in range(500) if n % 3]


def test_an_aggregate_function_sees_what_came_before(cluster: str) -> None:
    def append(new: int, previous: list[int] | None) -> list[int]:
        return [*(previous or []), new]

    assert elastic.from_range(100, chunk_size=9).aggregate(append).run(cluster=cluster).value == list(range(100))


def test_a_user_s_own_aggregator_runs_on_every_transport(cluster: str) -> None:
    class Longest(elastic.Aggregator[str, str, str]):
        def create(self) -> str:
            return ""

        def add(self, state: str, entry: str) -> str:
            return max(state, entry, key=lambda text: (len(text), text))

        def merge(self, state: str, other: str) -> str:
            return self.add(state, other)

        def finish(self, state: str) -> str:
            return state

    words = ["a", "elastic", "chunk", "receipt"]
    assert elastic.from_iterable(words, chunk_size=1).aggregate(Longest()).run(cluster=cluster).value == "receipt"


@pytest.mark.parametrize("aggregator", [None, "count", "collect", lambda new, previous: new])
def test_an_empty_source_has_the_result_of_no_entries(aggregator: Any) -> None:
    result = elastic.from_iterable([]).aggregate(aggregator).run(cluster="inline")
    assert result.value == {None: None, "count": Counter(), "collect": []}.get(
        aggregator if isinstance(aggregator, str | None) else None
    )
    assert (result.state, result.entries, result.chunks) == ("complete", 0, 0)


def test_a_filter_that_leaves_nothing_still_accounts_for_every_entry() -> None:
    result = (
        elastic.from_range(100, chunk_size=7).filter(lambda entry: False).aggregate(Collect()).run(cluster="inline")
    )
    assert (result.value, result.entries, result.receipts["aggregated"]) == ([], 100, 15)


def test_a_result_prints_what_was_counted() -> None:
    text = str(elastic.from_range(2_500, chunk_size=1_000).aggregate("sum").run(cluster="inline", name="numbers"))
    assert text.startswith("complete: 2,500 entries in 3 chunks aggregated exactly once, 0 errors, root ")


@pytest.mark.parametrize("aggregator", [None, Nothing(), "nothing"], ids=str)
def test_a_result_without_an_aggregator_says_that_no_outputs_were_kept(aggregator: Any) -> None:
    flow = elastic.from_range(10).aggregate(aggregator)
    result = flow.run(cluster="inline")
    assert result.value is None
    assert ", 0 errors, outputs not kept (no aggregator), root " in str(result)
    assert ", outputs not kept (no aggregator), root " in str(elastic.result_of(result.run_id, flow))


@pytest.mark.parametrize("aggregator", ["sum", Emit(print)], ids=str)
def test_a_result_whose_outputs_went_somewhere_says_nothing_of_it(aggregator: Any) -> None:
    result = elastic.from_range(10).filter(lambda _: False).aggregate(aggregator).run(cluster="inline")
    assert "kept" not in str(result)


def test_the_same_bytes_come_out_for_any_size_of_chunk() -> None:
    numbers = [0.1 * n for n in range(1_000)] + [1e300, -1e300, 1e-300]
    results = {
        repr(elastic.from_iterable(numbers, chunk_size=size).aggregate(Sum()).run(cluster="inline").value)
        for size in (1, 7, 1_000, 5_000)
    }
    assert len(results) == 1


def test_a_one_shot_source_can_be_run_once() -> None:
    def numbers() -> Iterator[int]:
        yield from range(5)

    flow = elastic.from_iterable(numbers()).aggregate(Sum())
    assert flow.run(cluster="inline").value == 10
    with pytest.raises(elastic.ElasticError, match="pass a new iterable, or a list"):
        flow.run(cluster="inline")


def test_times_keep_their_zone_as_values_and_as_states(cluster: str) -> None:
    times = elastic.from_iterable(HOURS, chunk_size=3)
    kept = times.map(lambda time: time).aggregate(Collect()).run(cluster=cluster).value
    assert list(map(repr, kept)) == list(map(repr, HOURS))
    in_spring = times.map(lambda time: time + dt.timedelta(days=180)).aggregate("max").run(cluster=cluster).value
    assert (in_spring.utcoffset(), in_spring.tzinfo) == (dt.timedelta(hours=2), BERLIN)
    last = times.key_by(lambda time: time.hour).aggregate(GroupBy("max")).run(cluster=cluster).value
    assert repr(last[2]) == repr(dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN))


@inline_and_once_on_ray("shards", [None, 3])
def test_times_are_keys_as_python_has_it(cluster: str, shards: int | None) -> None:
    elsewhere = [time.astimezone(zone) for time in HOURS for zone in (dt.UTC, ZoneInfo("Asia/Tokyo"))]
    times = [*HOURS, *elsewhere, *HOURS[::-1]]
    options = {} if shards is None else {"shards": shards}
    counts = elastic.from_iterable(times, chunk_size=5).aggregate(Count()).run(cluster=cluster, **options).value
    assert dict(counts) == Counter(times)
    assert {type(time.tzinfo) for time in counts} <= {ZoneInfo, dt.timezone}


def test_a_result_shows_its_value_and_its_facts() -> None:
    result = elastic.from_range(5).aggregate("sum").run(cluster="inline", name="total")
    assert repr(result) == f"<Result 'total': {result}; value: 10>"
    assert f"value: {'x' * 199}\u2026>" in repr(replace(result, value="x" * 10**6))
    assert "value: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \u2026]>" in repr(replace(result, value=list(range(10**6))))
    assert "value: {'a': 3, 'b': 1}>" in repr(replace(result, value=Counter("aaba")))
    assert "value: \\ud800\\n>" in repr(replace(result, value="\ud800\n"))
    assert "value: frame of 2 rows and 1 column>" in repr(replace(result, value=pl.DataFrame({"n": [1, 2]})))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Counter("aab"), ["<td style=\"text-align: left\">a</td>", "<p>2 rows</p>"]),
        ({"<b>": [1]}, ["&lt;b&gt;", "[1]", "<p>1 row</p>"]),
        ([{"n": 1}, {"n": 2}], ["<th>n</th>", "<p>2 rows</p>"]),
        (list(range(100)), ["<p>100 rows</p>"]),
        (pl.DataFrame({"n": [1, 2]}), ["<th>n</th>", "<p>2 rows</p>"]),
        ("<script>", ["<p><code>&lt;script&gt;</code></p>"]),
        (None, ["<p><code>None</code></p>"]),
        ("\ud800", ["\\ud800"]),
        ([], ["<p>0 rows</p>"]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_notebook_shows_the_value_and_the_receipts(value: Any, expected: list[str]) -> None:
    result = replace(elastic.from_range(5, chunk_size=2).run(cluster="inline"), value=value)
    page = result._repr_html_()
    for part in expected:
        assert part in page
    assert "<script>" not in page
    assert "<b>" not in page
    assert page.count("<tr><td>") == 6
    assert page.count("width: 100%") == 6
    assert result.run_id in page
    page.encode()


def test_a_notebook_shows_a_step_without_chunks_and_one_that_failed() -> None:
    empty = elastic.from_range(0).run(cluster="inline")
    assert empty._repr_html_().count("width: 0%") == 6
    page = replace(empty, error=elastic.ElasticError("<i>bad</i>"))._repr_html_()
    assert "&lt;i&gt;bad&lt;/i&gt;" in page
