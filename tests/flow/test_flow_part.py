"""Limits and samples take the same entries in a look, in a run, on any cluster, and after a resume."""

import gzip
import json
import math
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import elastic
from elastic.aggregators import Distinct
from elastic.core.errors import EntryError, SourceError, SourceNotFoundError, StepFailedError, UsageError
from elastic.core.model.step import StepState
from elastic.recovery.resume import resume

LINES = [f"line {number}" for number in range(100)]


class Drawn:
    """An iterator over numbers that counts those that were drawn from it."""

    def __init__(self, count: int) -> None:
        self.drawn, self._count = 0, count

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if self.drawn >= self._count:
            raise StopIteration
        self.drawn += 1
        return self.drawn - 1


def database(folder: Path) -> str:
    with sqlite3.connect(folder / "lines.db") as connection:
        connection.execute("CREATE TABLE lines (number INTEGER, line TEXT)")
        connection.executemany("INSERT INTO lines VALUES (?, ?)", list(enumerate(LINES)))
    connection.close()
    return f"sqlite:///{folder / 'lines.db'}"


def files(folder: Path) -> Path:
    for first in range(0, 100, 30):
        (folder / f"{first:02}.txt").write_text("\n".join(LINES[first : first + 30]))
    return folder


def compressed(folder: Path) -> Path:
    (folder / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, LINES)).encode()))
    return folder / "a.jsonl.gz"


def table(folder: Path) -> Path:
    (folder / "a.csv").write_text("line\n" + "\n".join(LINES))
    return folder / "a.csv"


SOURCES: dict[str, Callable[[Path], elastic.Flow]] = {
    "list": lambda folder: elastic.from_iterable(LINES, chunk_size=7),
    "generator": lambda folder: elastic.from_iterable(iter(LINES), chunk_size=7),
    "window": lambda folder: elastic.from_iterable(iter(LINES), window=lambda chunk: chunk + 1),
    "iterables": lambda folder: elastic.from_iterables([LINES[:33], iter(LINES[33:])], chunk_size=7),
    "range": lambda folder: elastic.from_range(100, chunk_size=7).map(lambda n: f"line {n}"),
    "files": lambda folder: elastic.read_text(files(folder), chunk_bytes=50),
    "whole files": lambda folder: elastic.read_text(files(folder), one_file_per_chunk=True),
    "by value": lambda folder: elastic.read_text(files(folder), chunk_bytes=50, ship="value"),
    "compressed": lambda folder: elastic.read_jsonl(compressed(folder), chunk_bytes=50),
    "csv": lambda folder: elastic.read_csv(table(folder), chunk_bytes=50).map(lambda row: row["line"]),
    "sql": lambda folder: elastic.read_sql(
        "SELECT line FROM lines ORDER BY number", database(folder), chunk_size=7
    ).map(lambda row: row["line"]),
}

kinds = pytest.mark.parametrize("kind", SOURCES)


def collected(flow: elastic.Flow, **options: Any) -> list[Any]:
    found: list[Any] = flow.aggregate("collect").run(**{"cluster": "inline", **options}).value
    return found


# -- limit


@kinds
@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 33, 99, 100, 101, 10**9])
def test_a_limit_is_exact_for_every_source(kind: str, count: int, tmp_path: Path) -> None:
    flow = SOURCES[kind](tmp_path).limit(count)
    assert flow.take(200) == LINES[:count]
    assert flow.take(3) == LINES[: min(count, 3)]
    result = flow.aggregate("collect").run(cluster="inline")
    assert result.value == LINES[:count]
    assert result.entries == min(count, 100)


@pytest.mark.parametrize("count", [0, 1, 10, 15, 20])
def test_a_limit_draws_no_entry_too_many_from_a_generator(count: int) -> None:
    drawn = Drawn(1_000)
    flow = elastic.from_iterable(drawn, chunk_size=10).limit(count)
    assert collected(flow) == list(range(count))
    assert drawn.drawn == count
    assert next(drawn) == count


def test_a_look_and_a_limit_share_what_a_generator_gave() -> None:
    flow = elastic.from_iterable(Drawn(100), chunk_size=10)
    limited = flow.limit(12)
    assert flow.take(5) == limited.take(5) == [0, 1, 2, 3, 4]
    assert collected(limited) == list(range(12))


@pytest.mark.cluster
def test_a_limit_and_a_sample_are_the_same_on_a_cluster(embedded_ray: None, tmp_path: Path) -> None:
    for kind in ("files", "list", "compressed"):
        folder = tmp_path / kind
        folder.mkdir()
        flow = SOURCES[kind](folder)
        assert collected(flow.limit(37), cluster="local") == LINES[:37]
        assert collected(flow.sample(0.4, seed=1), cluster="local") == collected(flow.sample(0.4, seed=1))


def test_a_limit_after_functions_of_one_entry_is_that_of_the_source() -> None:
    calls: list[int] = []
    flow = elastic.from_range(50, chunk_size=4).map(lambda n: calls.append(n) or n).key_by(lambda n: n % 2).limit(6)
    assert collected(flow.filter(lambda pair: pair[0])) == [(1, 1), (1, 3), (1, 5)]
    assert sorted(set(calls)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "change",
    [
        lambda flow: flow.filter(str),
        lambda flow: flow.flat_map(str),
        lambda flow: flow.map_chunks(list),
        lambda flow: flow.words(),
        lambda flow: flow.map_frames(lambda frame: frame),
    ],
)
def test_a_limit_after_another_number_of_entries_is_refused(change: Callable[[elastic.Flow], elastic.Flow]) -> None:
    flow = change(elastic.from_iterable(LINES))
    with pytest.raises(UsageError, match=r"limit cannot follow \w+\(.*\), because it takes entries of the source"):
        flow.limit(5)


@pytest.mark.parametrize("part", [lambda flow: flow.limit(5), lambda flow: flow.sample(0.5)])
def test_a_part_of_a_result_is_refused(part: Callable[[elastic.Flow], elastic.Flow], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot follow Sum"):
        part(elastic.from_range(5).aggregate("sum"))
    with pytest.raises(UsageError, match="cannot follow"):
        part(elastic.from_range(5).map(str).write_text(tmp_path / "out"))


@pytest.mark.parametrize("count", [-1, 1.0, math.nan, "5", None, True])
def test_a_limit_that_is_no_number_is_refused(count: Any) -> None:
    with pytest.raises(UsageError, match=r"limit\(.*\): expected a whole number"):
        elastic.from_range(5).limit(count)


def test_a_missing_file_is_found_before_the_run(tmp_path: Path, home: Path) -> None:
    for flow in (elastic.read_text(tmp_path / "x").limit(5), elastic.read_csv(tmp_path / "x").sample(0.5)):
        with pytest.raises(SourceNotFoundError):
            flow.run(cluster="inline")
    assert list(home.iterdir()) == []


def test_a_limit_of_frames_is_a_limit_of_entries() -> None:
    rows = [{"n": n} for n in range(20)]
    flow = (
        elastic.from_iterable(rows, chunk_size=6).limit(8).map_frames(lambda frame: frame.with_columns(m=pl.col("n")))
    )
    assert flow.take(99) == [{"n": n, "m": n} for n in range(8)]
    assert flow.count(cluster="inline") == 8


def test_words_of_the_first_lines_are_counted(tmp_path: Path) -> None:
    flow = elastic.read_text(files(tmp_path), chunk_bytes=50).limit(31).words()
    assert flow.aggregate("count").run(cluster="inline").value["line"] == 31
    assert flow.take(100) == " ".join(LINES[:31]).split()


def test_a_bad_record_behind_a_limit_is_not_met(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("1\n2\nbad\n4\n")
    assert collected(elastic.read_jsonl(path).limit(2)) == [1, 2] == elastic.read_jsonl(path).limit(2).take()
    for count in (3, 4):
        with pytest.raises(StepFailedError, match="line 3 of"):
            elastic.read_jsonl(path).limit(count).run(cluster="inline")
        flow = elastic.read_jsonl(path).limit(count).options(on_error="dead-letter")
        assert collected(flow) == flow.take() == [1, 2, 4][: count - 1]
    assert [letter.failure.chunk_id for letter in elastic.dead_letters(elastic.runs()[0].run_id)] == [0]


@pytest.mark.parametrize(
    "part", [lambda flow: flow.limit(80), lambda flow: flow.sample(0.7, seed=2), lambda flow: flow.limit(90).sample(1)]
)
def test_bad_records_of_a_part_are_redriven(part: Callable[[elastic.Flow], elastic.Flow], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,m\n" + "".join(f"{number}\n" if number % 3 else f"{number},0\n" for number in range(100)))

    def flow(**options: Any) -> elastic.Flow:
        read = elastic.read_csv(path, chunk_bytes=50, **options)
        return part(read).map(lambda row: int(row["n"])).aggregate(Distinct())

    result = flow().run(cluster="inline", on_error="dead-letter")
    assert {number % 3 for number in result.value} == {0}
    assert result.errors == result.entries - len(result.value) > 40
    path.unlink()
    again = elastic.redrive(result.run_id, flow(fields=["n"]), cluster="inline")
    assert again.errors == 0
    assert len(again.value) == result.entries
    assert max(again.value) < 100


def test_a_bad_record_outside_a_sample_is_not_met(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{number}\n" for number in range(100)))
    sample = elastic.read_jsonl(path).sample(0.5, seed=4).take(100)
    left_out = next(number for number in range(100) if number not in sample)
    path.write_text("".join("bad\n" if number == left_out else f"{number}\n" for number in range(100)))
    assert collected(elastic.read_jsonl(path).sample(0.5, seed=4)) == sample
    path.write_text("".join("bad\n" if number == sample[3] else f"{number}\n" for number in range(100)))
    flow = elastic.read_jsonl(path).sample(0.5, seed=4)
    with pytest.raises(StepFailedError, match=f"line {sample[3] + 1} of"):
        flow.run(cluster="inline")
    assert collected(flow, on_error="skip") == [number for number in sample if number != sample[3]]


def test_whole_files_and_tables_are_limited(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert collected(elastic.read_json(tmp_path / "a.json").limit(2)) == [1, 2]
    assert elastic.read_json(tmp_path / "a.json").sample(1.0).take() == [1, 2, 3]
    pytest.importorskip("pyarrow")
    pl.DataFrame({"n": list(range(50))}).write_parquet(tmp_path / "a.parquet", row_group_size=7)
    flow = elastic.read_parquet(tmp_path / "a.parquet")
    assert collected(flow.limit(9)) == [{"n": n} for n in range(9)]
    assert collected(flow.sample(0.4)) == flow.sample(0.4).take(99) != []


# -- sample


@kinds
def test_a_sample_is_the_same_in_a_look_and_in_every_run(kind: str, tmp_path: Path) -> None:
    def made(name: str) -> elastic.Flow:
        (tmp_path / name).mkdir()
        return SOURCES[kind](tmp_path / name).sample(0.3, seed=7)

    first = made("a")
    sample = first.take(1_000)
    assert 10 < len(sample) < 60
    assert [line for line in LINES if line in set(sample)] == sample
    assert collected(first) == sample
    assert collected(made("b"), max_chunks_per_call=1) == sample


def test_the_share_of_a_sample_is_that_which_was_asked_for() -> None:
    numbers = elastic.from_range(20_000, chunk_size=999)
    for fraction in (0.01, 0.3, 0.9):
        assert abs(numbers.sample(fraction).count(cluster="inline") - 20_000 * fraction) < 350
    assert numbers.sample(0).take() == []
    assert collected(elastic.from_range(50).sample(1)) == list(range(50))
    assert collected(elastic.from_range(50).sample(0.0)) == []


def test_another_seed_is_another_sample() -> None:
    samples = {tuple(elastic.from_range(1_000).sample(0.1, seed=seed).take(1_000)) for seed in (-1, 0, 1, 10**30)}
    assert len(samples) == 4
    assert elastic.from_range(1_000).sample(0.1).take(99) == elastic.from_range(1_000).sample(0.1, seed=0).take(99)


def test_a_sample_of_equal_entries_is_no_matter_of_their_value() -> None:
    assert 300 < len(collected(elastic.from_iterable(["same"] * 1_000, chunk_size=10).sample(0.5))) < 700


def test_a_filter_may_come_before_or_after_a_sample() -> None:
    numbers = elastic.from_range(500, chunk_size=50)
    before = numbers.filter(lambda n: n % 3).sample(0.2, seed=3)
    after = numbers.sample(0.2, seed=3).filter(lambda n: n % 3)
    assert collected(before) == collected(after) != []


def test_a_sample_of_other_entries_is_refused() -> None:
    for flow in (elastic.from_iterable(LINES).flat_map(str.split), elastic.from_iterable(LINES).words()):
        with pytest.raises(UsageError, match=r"sample cannot follow (flat_map|words)\("):
            flow.sample(0.5)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan, math.inf, "0.5", None, True, 10**400])
def test_a_fraction_that_is_none_is_refused(fraction: Any) -> None:
    with pytest.raises(UsageError, match="the fraction must be a number from 0 to 1"):
        elastic.from_range(5).sample(fraction)


@pytest.mark.parametrize("seed", [1.0, None, "a", True, math.nan])
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with pytest.raises(UsageError, match="the seed must be a whole number"):
        elastic.from_range(5).sample(0.5, seed=seed)


def test_parts_of_parts_are_parts() -> None:
    numbers = elastic.from_range(1_000, chunk_size=30)
    sample = numbers.sample(0.5, seed=1)
    assert collected(sample.limit(10)) == sample.take(10) == collected(sample)[:10]
    first = numbers.limit(100).sample(0.5, seed=1)
    assert collected(first) == first.take(200)
    assert 0 < len(first.take(200)) < 100
    assert collected(numbers.limit(100).limit(5)) == collected(numbers.limit(5).limit(100)) == list(range(5))


@pytest.mark.parametrize("part", [lambda flow: flow.limit(80), lambda flow: flow.sample(0.7, seed=2)])
@kinds
def test_a_failure_names_the_place_in_the_source(
    kind: str, part: Callable[[elastic.Flow], elastic.Flow], tmp_path: Path
) -> None:
    def made() -> elastic.Flow:
        for path in tmp_path.iterdir():
            path.unlink()
        return SOURCES[kind](tmp_path)

    bad = part(made()).take(200)[41]

    def fail(line: str) -> str:
        if line == bad:
            raise ValueError(line)
        return line

    with pytest.raises(EntryError) as whole:
        made().map(fail).take(200)
    place = str(whole.value).partition(" failed on ")[2].partition(" (chunk")[0]
    with pytest.raises(EntryError) as looked:
        part(made()).map(fail).take(200)
    with pytest.raises(StepFailedError) as ran:
        part(made()).map(fail).run(cluster="inline")
    assert place in ran.value.reason
    assert place in str(looked.value)


# -- resume and verify


class Stumbling:
    """A function that fails on one line while a file exists."""

    def __init__(self, flag: Path, line: str) -> None:
        self._flag, self._line = str(flag), line

    def __call__(self, line: str) -> str:
        if line == self._line and Path(self._flag).exists():
            raise ValueError("stumbled")
        return line


@pytest.mark.parametrize("part", [lambda flow: flow.limit(80), lambda flow: flow.sample(0.7, seed=2)])
@pytest.mark.parametrize("kind", ["list", "range", "files", "by value", "compressed", "csv"])
def test_a_resumed_part_is_the_whole_part(
    kind: str, part: Callable[[elastic.Flow], elastic.Flow], tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    (tmp_path / "data").mkdir()
    made = part(SOURCES[kind](tmp_path / "data"))
    expected = made.take(200)
    flow = made.map(Stumbling(flag, expected[50])).aggregate("collect")
    flag.touch()
    with pytest.raises(StepFailedError) as failed:
        flow.run(cluster="inline", max_chunks_per_call=1, collect_interval=1e-9, commit_interval=1e-9)
    flag.unlink()
    result = resume(failed.value.run_id, flow, cluster="inline")
    assert (result.value, result.state) == (expected, StepState.COMPLETE_WITH_RETRIES)
    verified = elastic.verify(result.run_id, flow, recompute=1.0)
    assert verified.ok, str(verified)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (lambda rows: elastic.from_iterable(rows, chunk_size=7).limit(79), "limit=80"),
        (lambda rows: elastic.from_iterable(rows, chunk_size=7), "kind='limit'"),
        (lambda rows: elastic.from_iterable(rows, chunk_size=8).limit(80), "source="),
        (lambda rows: elastic.from_iterable(["changed", *rows[1:]], chunk_size=7).limit(80), "the entries of chunk 0"),
    ],
    ids=["count", "no limit", "chunks", "entries"],
)
def test_a_resume_with_another_part_is_refused(other: Callable[[Any], elastic.Flow], text: str, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    stumble = Stumbling(flag, "line 50")
    flow = elastic.from_iterable(LINES, chunk_size=7).limit(80).map(stumble).aggregate("collect")
    with pytest.raises(StepFailedError) as failed:
        flow.run(cluster="inline", max_chunks_per_call=1, collect_interval=1e-9, commit_interval=1e-9)
    with pytest.raises((UsageError, SourceError), match=text):
        resume(failed.value.run_id, other(LINES).map(stumble).aggregate("collect"), cluster="inline")


# -- explain


def test_an_explanation_of_files_has_sizes_and_reads_nothing(tmp_path: Path) -> None:
    flow = elastic.read_text(files(tmp_path), chunk_bytes=500).map(str.upper).aggregate("count")
    for path in tmp_path.iterdir():
        assert path.stat().st_size
    explained = flow.options(cluster="local", workers=3, shards=4).explain()
    assert (explained.reading, explained.replayable) == ("the workers, by byte range", True)
    assert explained.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert (explained.chunks, explained.entries) == (4, None)
    assert (explained.aggregator, explained.shards, explained.cluster, explained.workers) == ("Count", 4, "local", 3)
    text = str(explained)
    assert text == repr(explained)
    for part in ("files: paths=", "read by the workers", "4 chunks", "map(str.upper), on the workers", "4 shards"):
        assert part in text


def test_an_explanation_says_who_reads(tmp_path: Path) -> None:
    assert elastic.read_jsonl(compressed(tmp_path)).explain().reading == "the master, one file after another"
    assert elastic.read_text(files(tmp_path), ship="value").explain().reading.startswith("the master")
    generator = elastic.from_iterable(Drawn(5))
    explained = generator.explain()
    assert (explained.replayable, explained.chunks, explained.entries) == (False, None, None)
    assert "can be read once" in str(explained)
    assert collected(generator) == [0, 1, 2, 3, 4]
    assert elastic.from_range(10**12).explain().entries == 10**12
    assert "the master counts the first 5 entries" in elastic.from_range(10).limit(5).explain().reading
    assert "0.5 of the entries" in str(elastic.from_range(10).sample(0.5).explain())


def test_an_explanation_names_what_is_written(tmp_path: Path, home: Path) -> None:
    text = str(elastic.from_range(3).map(str).write_text(tmp_path / "out").explain())
    assert "writes" in text
    assert "out" in text
    assert not (tmp_path / "out").exists()
    assert list(home.iterdir()) == []


def test_an_explanation_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        elastic.read_text(tmp_path / "nowhere").explain()


def test_an_explanation_keeps_control_characters_from_the_terminal() -> None:
    text = str(elastic.from_iterable([1]).options(name="x", cluster="local").explain())
    assert text.isprintable() or "\n" in text
    assert all(line.isprintable() for line in text.splitlines())
