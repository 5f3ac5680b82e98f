"""Untouched runs verify, and their root depends only on the input."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, Emit
from elastic.core.errors import StepFailedError, UnknownRunError, UsageError
from elastic.core.receipts.merkle import ROOT_VERSION
from elastic.engine.run import run

LINES = [f"line {number} " + "x" * (number % 50) for number in range(2_000)]


def text(folder: Path) -> elastic.Flow:
    for number in range(3):
        (folder / f"{number}.txt").write_text("\n".join(LINES[number * 600 :]) + "\n")
    return elastic.read_text(str(folder / "*.txt"), chunk_bytes=3_000)


def by_value(folder: Path) -> elastic.Flow:
    (folder / "a.txt").write_text("\n".join(LINES))
    return elastic.read_text(str(folder / "a.txt"), chunk_bytes=3_000, ship="value")


def jsonl(folder: Path) -> elastic.Flow:
    (folder / "a.jsonl").write_text("".join(json.dumps({"line": line}) + "\n" for line in LINES))
    return elastic.read_jsonl(folder / "a.jsonl", chunk_bytes=5_000)


def csv(folder: Path) -> elastic.Flow:
    (folder / "a.csv").write_text("number,line\n" + "".join(f"{n},{line}\n" for n, line in enumerate(LINES)))
    return elastic.read_csv(folder / "a.csv", chunk_bytes=5_000, newlines_in_values=True)


def compressed(folder: Path) -> elastic.Flow:
    import gzip

    (folder / "a.txt.gz").write_bytes(gzip.compress("\n".join(LINES).encode()))
    return elastic.read_text(folder / "a.txt.gz", chunk_bytes=5_000)


def sql(folder: Path) -> elastic.Flow:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("CREATE TABLE line (text TEXT)")
        connection.executemany("INSERT INTO line VALUES (?)", [(line,) for line in LINES])
    connection.close()
    return elastic.read_sql("SELECT text FROM line", f"sqlite:///{folder / 'a.db'}", chunk_size=77)


def generator() -> Iterator[str]:
    yield from LINES


SOURCES: dict[str, Callable[[Path], elastic.Flow]] = {
    "text": text,
    "text by value": by_value,
    "jsonl": jsonl,
    "csv": csv,
    "compressed": compressed,
    "sql": sql,
    "range": lambda folder: elastic.from_range(10_000, chunk_size=99),
    "list": lambda folder: elastic.from_iterable(LINES, chunk_size=13),
    "generator": lambda folder: elastic.from_iterable(generator(), chunk_size=13),
    "iterables": lambda folder: elastic.from_iterables([LINES[:100], LINES[100:150], []], chunk_size=13),
    "empty": lambda folder: elastic.from_iterable([]),
}
REPLAYABLE = [name for name in SOURCES if name not in ("sql", "generator")]


@pytest.mark.parametrize("aggregator", ["size", Collect(), None], ids=["unordered", "ordered", "completion"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_clean_run_verifies(name: str, aggregator: Any, tmp_path: Path) -> None:
    result = SOURCES[name](tmp_path).aggregate(aggregator).run(cluster="inline")
    verification = elastic.verify(result.run_id)
    assert verification.findings == ()
    (step,) = verification.steps
    assert (step.entries, step.chunks, step.errors) == (result.entries, result.chunks, 0)
    assert step.root == result.root
    assert len(result.root) == 64
    assert step.notes == ()
    assert f"root {result.root[:16]}" in str(result)
    chunks = "1 chunk" if result.chunks == 1 else f"{result.chunks:,} chunks"
    assert str(verification) == (
        f"verified: {result.entries:,} entries in {chunks} aggregated exactly once, 0 errors, "
        f"root {result.root[:16]}, step 0, run {result.run_id}"
    )


def test_one_entry_of_one_chunk_is_named_as_one() -> None:
    result = elastic.from_iterable(["x"]).aggregate("size").run(cluster="inline")
    assert "verified: 1 entry in 1 chunk aggregated exactly once" in str(elastic.verify(result.run_id))


@pytest.mark.parametrize("aggregator", ["size", Collect()], ids=["unordered", "ordered"])
@pytest.mark.parametrize("name", REPLAYABLE)
def test_a_clean_run_is_the_same_when_it_is_recomputed(name: str, aggregator: Any, tmp_path: Path) -> None:
    flow = SOURCES[name](tmp_path).aggregate(aggregator)
    result = flow.run(cluster="inline")
    for share, read in [(1.0, result.chunks), (0.01, -(-result.chunks // 100))]:
        verification = elastic.verify(result.run_id, flow, recompute=share)
        assert verification.findings == ()
        (step,) = verification.steps
        assert step.chunks_recomputed == read
        assert step.chunks_rerun == read or share < 1
        assert step.notes == ()


@pytest.mark.parametrize(
    "options",
    [{"max_chunks_per_call": 1}, {"max_chunks_per_call": 7}, {"target_call_seconds": 9.0}, {"collect_interval": 1e-6}],
)
def test_the_root_does_not_depend_on_how_a_run_was_carried_out(options: dict[str, Any], tmp_path: Path) -> None:
    flow = text(tmp_path)
    expected = flow.aggregate("size").run(cluster="inline").root
    for aggregator in ("size", Collect()):
        result = flow.aggregate(aggregator).run(cluster="inline", **options)
        assert result.root == expected
        assert elastic.verify(result.run_id).ok


@pytest.mark.parametrize("aggregator", ["size", "max", None])
def test_partials_with_equal_states_are_distinguished(aggregator: str | None) -> None:
    flow = elastic.from_range(500, chunk_size=1).map(lambda number: 1).aggregate(aggregator)
    result = flow.run(cluster="inline", collect_interval=1e-9, max_chunks_per_call=5)
    assert elastic.verify(result.run_id).findings == ()


def test_a_file_has_the_same_root_for_every_reader(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    flows = [elastic.read_text(tmp_path / "a.txt", chunk_bytes=4_000, ship=ship) for ship in ("reference", "value")]
    one, other = [flow.aggregate("size").run(cluster="inline").root for flow in flows]
    assert one == other


def test_the_root_tells_inputs_apart() -> None:
    runs = [elastic.from_iterable(LINES, chunk_size=13), elastic.from_iterable(LINES[::-1], chunk_size=13)]
    runs += [elastic.from_iterable(LINES, chunk_size=14), elastic.from_iterable(LINES[:-1], chunk_size=13)]
    assert len({flow.aggregate("size").run(cluster="inline").root for flow in runs}) == 4


@pytest.mark.cluster
def test_the_root_is_the_same_on_ray(tmp_path: Path, cluster: str) -> None:
    flow = text(tmp_path).aggregate("size")
    result = flow.run(cluster=cluster)
    assert result.root == flow.run(cluster="inline").root
    assert elastic.verify(result.run_id, flow, recompute=1.0).findings == ()


def fail_on_some(number: int) -> int:
    if number % 1000 == 7:
        raise ValueError(number)
    return number


@pytest.mark.parametrize(("mode", "notes"), [("dead-letter", 0), ("skip", 1)])
@pytest.mark.parametrize("aggregator", ["sum", Collect()], ids=["unordered", "ordered"])
def test_entries_that_failed_are_accounted_for(mode: str, notes: int, aggregator: Any) -> None:
    flow = elastic.from_range(10_000, chunk_size=100).map(fail_on_some).aggregate(aggregator)
    result = flow.run(cluster="inline", on_error=mode)
    verification = elastic.verify(result.run_id, flow, recompute=1.0)
    assert verification.findings == ()
    (step,) = verification.steps
    assert (step.entries, step.errors, len(step.notes)) == (10_000, 10, notes)
    assert "10 failed and left out" in str(verification)
    assert result.root != elastic.from_range(10_000, chunk_size=100).aggregate("sum").run(cluster="inline").root


def test_a_run_whose_dead_letters_were_redriven_verifies_again() -> None:
    numbers = elastic.from_range(10_000, chunk_size=100)
    result = numbers.map(fail_on_some).aggregate("sum").run(cluster="inline", on_error="dead-letter")
    worse = numbers.map(lambda number: fail_on_some(number) if number > 5_000 else number).aggregate("sum")
    elastic.redrive(result.run_id, worse, cluster="inline")
    half = elastic.verify(result.run_id)
    assert half.findings == ()
    assert (half.steps[0].entries, half.steps[0].errors) == (10_000, 5)
    mended = elastic.redrive(result.run_id, numbers.aggregate("sum"), cluster="inline")
    whole = elastic.verify(result.run_id)
    assert whole.findings == ()
    assert (whole.steps[0].entries, whole.steps[0].errors) == (10_000, 0)
    assert whole.steps[0].root == mended.root != result.root


def test_results_that_left_through_the_aggregator_are_noted(tmp_path: Path) -> None:
    result = elastic.from_range(100).aggregate(Emit(lambda entry: None)).run(cluster="inline")
    verification = elastic.verify(result.run_id)
    assert verification.ok
    assert "stores no partial results" in verification.steps[0].notes[0]


def test_a_run_that_failed_is_not_proved_and_says_which_step() -> None:
    with pytest.raises(StepFailedError):
        elastic.from_range(10_000, chunk_size=100).map(fail_on_some).aggregate("sum").run(cluster="inline")
    (finding,) = elastic.verify().findings
    assert "step 0: it is error and not complete; run `elastic resume" in str(finding)


@pytest.mark.parametrize("one_shot", [False, True])
def test_a_run_that_was_resumed_verifies_with_the_root_of_a_clean_one(*, one_shot: bool) -> None:
    def numbers() -> elastic.Flow:
        return elastic.from_iterable(iter(range(5_000)) if one_shot else list(range(5_000)), chunk_size=50)

    clean = numbers().aggregate("sum").run(cluster="inline")
    options: dict[str, Any] = {
        "cluster": "inline",
        "max_chunks_per_call": 4,
        "commit_interval": 1e-9,
        "collect_interval": 1e-9,
    }
    with pytest.raises(StepFailedError) as raised:
        numbers().map(lambda number: 1 // (number - 3_000) and number).aggregate("sum").run(**options)
    run_id = raised.value.run_id
    (finding,) = elastic.verify(run_id).findings
    assert "not complete" in finding.what
    again = numbers().map(lambda number: number).aggregate("sum")
    resumed = elastic.resume(run_id, again, allow_code_change=True, reread_source=one_shot, **options)
    assert resumed.counters["resumes"] == 1
    assert (resumed.value, resumed.root) == (clean.value, clean.root)
    assert elastic.verify(run_id).findings == ()


def test_a_chunk_that_waits_on_the_disk_is_checked(home: Path) -> None:
    source = elastic.from_iterable(iter(range(5_000)), chunk_size=50)
    with pytest.raises(StepFailedError) as raised:
        source.map(lambda number: 1 // (number - 3_000)).aggregate("sum").run(cluster="inline", max_chunks_per_call=4)
    folder = home / "runs" / raised.value.run_id / "chunks" / "step-0000"
    for segment in folder.iterdir():
        data = bytearray(segment.read_bytes())
        data[-20] ^= 1  # in the payload of the last chunk
        segment.write_bytes(data)
    findings = elastic.verify(raised.value.run_id).findings
    assert [finding.what.partition(":")[0] for finding in findings] == [
        "it is error and not complete; run `elastic resume " + raised.value.run_id + "`",
        "its stored payload is damaged",
    ]
    assert findings[1].first is not None


def test_all_steps_of_a_queue_are_verified_or_one_of_them() -> None:
    with elastic.StepQueue() as queue:
        for size in (10, 20):
            queue.add(elastic.from_range(1_000, chunk_size=size).aggregate("sum").step(cluster="inline"))
    verification = elastic.verify(queue.run_id)
    assert verification.ok
    assert [step.chunks for step in verification.steps] == [100, 50]
    assert [step.step for step in elastic.verify(queue.run_id, step_number=1).steps] == [1]


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        ((), {"step_number": 7}, "has no step 7"),
        ((), {"recompute": 0.5}, "recompute needs the flow"),
        ((), {"recompute": 2}, "must be a share from 0 to 1"),
        ((), {"root": "abc"}, "is not a root"),
        ((), {"root": "not hexadecimal"}, "is not a root"),
        ((elastic.from_range(11).aggregate("sum"),), {"recompute": 1.0}, "give the flow that the run began with"),
        ((elastic.from_range(10).aggregate("size"),), {"recompute": 1.0}, "aggregates by"),
        ((7,), {"recompute": 1.0}, "neither a Step nor a Flow"),
    ],
)
def test_what_cannot_be_verified_is_refused(arguments: tuple[Any, ...], options: dict[str, Any], told: str) -> None:
    elastic.from_range(10).aggregate("sum").run(cluster="inline")
    with pytest.raises(UsageError, match=told):
        elastic.verify("last", *arguments, **options)


def test_a_source_for_one_reading_cannot_be_recomputed() -> None:
    flow = elastic.from_iterable(generator()).aggregate("size")
    flow.run(cluster="inline")
    with pytest.raises(UsageError, match="can be read only once"):
        elastic.verify("last", flow, recompute=1.0)


def test_a_run_that_is_not_there_is_unknown() -> None:
    with pytest.raises(UnknownRunError):
        elastic.verify("20261120-231512-4f9a2c1b7d3e")


def test_a_run_whose_root_has_another_definition_says_so_and_is_compared_with_nothing_of_today() -> None:
    step = elastic.from_range(100, chunk_size=10).aggregate("sum").step(cluster="inline")
    run_id = run(step, metadata={"root": 1}).run_id
    verified = elastic.verify(run_id)
    [seen] = verified.steps
    assert verified.ok
    assert seen.root_version == 1
    assert "its root is of definition 1" in seen.notes[0]
    with pytest.raises(UsageError, match="input digests of definition 1"):
        elastic.verify(run_id, step, recompute=1.0)


def test_a_run_whose_root_has_the_definition_of_today_has_no_note() -> None:
    run_id = elastic.from_range(100, chunk_size=10).aggregate("sum").run(cluster="inline").run_id
    [seen] = elastic.verify(run_id).steps
    assert (seen.root_version, seen.notes) == (ROOT_VERSION, ())
