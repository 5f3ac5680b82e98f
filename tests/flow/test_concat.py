"""Flows that are joined: the entries of one after those of another, wherever they come from."""

import bz2
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, Count
from elastic.core.encoding import unpack
from elastic.core.errors import SourceError, StepFailedError, UsageError

QUICK: dict[str, Any] = {"cluster": "inline", "commit_interval": 1e-9, "collect_interval": 1e-9}


def length(entry: Any) -> int:
    return len(entry)


@pytest.fixture
def flows(tmp_path: Path) -> list[elastic.Flow]:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n4,5\n")
    (tmp_path / "b.jsonl").write_text('{"a": 6}\n{"a":\n')
    (tmp_path / "c.txt.bz2").write_bytes(bz2.compress(b"one\ntwo\n"))
    return [
        elastic.read_csv(tmp_path / "a.csv", chunk_bytes=5),
        elastic.read_jsonl(tmp_path / "b.jsonl", chunk_bytes=5),
        elastic.read_text(tmp_path / "c.txt.bz2", chunk_bytes=3),
        elastic.from_iterable([1, 2, 3], chunk_size=2),
        elastic.from_range(4, 6),
    ]


EXPECTED = [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}, {"a": 6}, "one", "two", 1, 2, 3, 4, 5]


def test_entries_of_all_flows_come_in_order(flows: list[elastic.Flow]) -> None:
    flow = elastic.concat(*flows).aggregate(Collect())
    result = flow.run(cluster="inline", on_error="dead-letter")
    assert (result.value, result.entries, result.errors) == (EXPECTED, 12, 2)
    places = [letter.failure.place.rpartition("/")[2] for letter in elastic.dead_letters(result.run_id)]
    assert places == ["a.csv' (byte 8)", "b.jsonl' (byte 9)"]
    assert elastic.verify(result.run_id, flow, recompute=1.0).ok
    added = (flows[0] + flows[1] + flows[2] + flows[3] + flows[4]).aggregate(Collect())
    assert added.run(cluster="inline", on_error="skip").root == result.root


def test_bad_records_are_redriven_by_the_reader_of_their_own_source(flows: list[elastic.Flow], tmp_path: Path) -> None:
    result = elastic.concat(*flows[:2]).map(length).aggregate("sum").run(cluster="inline", on_error="dead-letter")
    assert [unpack(letter.entry).source for letter in elastic.dead_letters(result.run_id)] == [(0,), (1,)]
    repaired = elastic.concat(elastic.read_csv("no.csv", fields=["a"]), elastic.read_text("no.txt")).map(length)
    again = elastic.redrive(result.run_id, repaired.aggregate("sum"), cluster="inline")
    assert (again.value, again.errors) == (2 + 2 + 1 + 1 + len('{"a":'), 0)


@pytest.mark.parametrize("part", [lambda flow: flow.limit(10), lambda flow: flow.sample(1)])
def test_bad_records_of_nested_flows_are_redriven_by_their_own_reader(
    part: Any, flows: list[elastic.Flow], tmp_path: Path
) -> None:
    (tmp_path / "z.csv").write_text("c,d,e\n1,2,3\n4,5\n")
    flow = part(flows[0] + flows[1]) + elastic.read_csv(tmp_path / "z.csv")
    result = flow.map(length).aggregate("sum").run(cluster="inline", on_error="dead-letter")
    records = [unpack(letter.entry) for letter in elastic.dead_letters(result.run_id)]
    assert [(record.data, record.source) for record in records] == [(b"3", (0, 0)), (b'{"a":', (0, 1)), (b"4,5", (1,))]
    text, row = elastic.read_text("no.txt"), elastic.read_csv("no.csv", fields=["a"])
    repaired = part(row + text) + elastic.read_csv("no.csv", fields=["c", "d"])
    again = elastic.redrive(result.run_id, repaired.map(length).aggregate("sum"), cluster="inline")
    assert (again.value, again.errors) == (result.value + 1 + len('{"a":') + 2, 0)


@pytest.mark.parametrize(
    ("repair", "problem"),
    [
        (lambda text: text, "the record is of source 1 of a concat, and the flow has none there"),
        (lambda text: elastic.concat(text), "the record is of source 1, and the flow joins 1"),
        (lambda text: text + (text + text).limit(9), "the record has no source number, and the flow joins 2"),
    ],
)
def test_a_record_of_an_unknown_source_is_not_parsed(repair: Any, problem: str, flows: list[elastic.Flow]) -> None:
    flow = elastic.concat(flows[3], flows[1])
    result = flow.map(str).aggregate(Count()).run(cluster="inline", on_error="dead-letter")
    repaired = repair(elastic.read_text("no.txt")).map(str).aggregate(Count())
    again = elastic.redrive(result.run_id, repaired, cluster="inline", on_error="dead-letter")
    assert (again.value, again.errors) == (result.value, 1)
    assert problem in elastic.dead_letters(result.run_id)[0].failure.message


def test_the_same_functions_stay_and_words_are_counted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name} x\n\xe9 {name}\n")
    parts = [elastic.read_text(tmp_path / name).words() for name in ("a", "b")]
    assert elastic.concat(*parts).aggregate(Count()).run(cluster="inline").value == {"a": 2, "b": 2, "x": 2, "\xe9": 2}
    mapped = [part.map(length) for part in parts]
    assert elastic.concat(*mapped).aggregate("sum").run(cluster="inline").value == 8


def test_frames_are_joined() -> None:
    pl = pytest.importorskip("polars")
    frames = [elastic.from_polars(pl.DataFrame({"n": [n, n + 1]})) for n in (1, 5)]
    summed = elastic.concat(*frames).aggregate(elastic.aggregators.FrameSum("n"))
    assert summed.run(cluster="inline").value == {"n": 14}


def test_generators_are_joined_with_lists() -> None:
    flow = elastic.from_iterable(n for n in range(5)) + elastic.from_iterable([5, 6]) + elastic.from_iterable(iter("7"))
    assert flow.aggregate("collect").run(cluster="inline").value == [0, 1, 2, 3, 4, 5, 6, "7"]


def test_a_failed_run_resumes_in_the_second_flow(tmp_path: Path) -> None:
    path = tmp_path / "n.txt"
    path.write_text("".join(f"{n}\n" for n in range(500)))

    def flow(bad: int) -> elastic.Flow:
        numbers = elastic.from_iterable([str(n) for n in range(500)], chunk_size=50)
        return elastic.concat(numbers, elastic.read_text(path, chunk_bytes=100)).map(
            lambda text: int(text) if text != str(bad) else 1 / 0
        )

    (tmp_path / "n.txt").write_text("".join(f"{n}\n" for n in range(500, 1000)))
    with pytest.raises(StepFailedError, match=r"line 201 of .*n\.txt"):
        flow(700).aggregate("sum").run(target_call_seconds=1e-9, max_chunks_per_call=1, **QUICK)
    run_id = elastic.runs()[0].run_id
    result = elastic.resume(run_id, flow(-1).aggregate("sum"), allow_code_change=True, cluster="inline")
    assert (result.value, result.entries) == (sum(range(1000)), 1000)


@pytest.mark.parametrize("part", [lambda flow: flow, lambda flow: flow.limit(900), lambda flow: flow.sample(0.9)])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("ship", ["reference", "value"])
def test_a_resume_with_other_entries_beside_a_file_is_refused(part: Any, order: int, ship: str, tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("".join(f"{n}\n" for n in range(500, 1000)))

    def flow(numbers: list[str], bad: int) -> elastic.Flow:
        flows = [
            elastic.from_iterable(numbers, chunk_size=50),
            elastic.read_text(tmp_path / "n.txt", chunk_bytes=100, ship=ship),
        ]
        return part(elastic.concat(*flows[::order])).map(lambda text: int(text) if text != str(bad) else 1 / 0)

    numbers = [str(n) for n in range(500)]
    bad = flow(numbers, -1).take(850)[-1]
    with pytest.raises(StepFailedError):
        flow(numbers, bad).aggregate("sum").run(max_chunks_in_flight=1, **QUICK)
    run_id = elastic.runs()[0].run_id
    others = flow(["999", *numbers[1:]], -1).aggregate("sum")
    with pytest.raises(SourceError, match=r"the entries of chunk \d+ differ"):
        elastic.resume(run_id, others, allow_code_change=True, cluster="inline")
    same = flow(numbers, -1).aggregate("sum")
    assert elastic.resume(run_id, same, allow_code_change=True, cluster="inline").value == sum(
        flow(numbers, -1).take(1000)
    )


def test_a_look_reads_the_first_entries_of_the_first_flow(flows: list[elastic.Flow]) -> None:
    flow = elastic.concat(*flows)
    assert flow.take(1) == EXPECTED[:1]
    assert flow.options(on_error="skip").take(100) == EXPECTED
    assert elastic.concat(*flows[3:]).count() == 5


@pytest.mark.parametrize(
    ("join", "problem"),
    [
        (lambda a, b: elastic.concat(), "concat takes flows"),
        (lambda a, b: elastic.concat(a, [1]), "concat takes flows"),
        (lambda a, b: a + b.map(length), r"flow 0 of the concat has no functions and flow 1 map\(.*length"),
        (lambda a, b: a.map(length) + b.filter(length), r"flow 1 filter\(.*length"),
        (lambda a, b: a + b.aggregate("sum"), "flow 1 of the concat ends in Sum.*; join the flows before that"),
        (lambda a, b: a.options(name="x") + b, "flow 0 and flow 1 of the concat have different options"),
        (
            lambda a, b: elastic.from_iterable(iter([1])) + elastic.from_range(3),
            r"read once \(IterableSource\) cannot be joined with a RangeSource",
        ),
    ],
)
def test_flows_that_cannot_be_joined_are_refused(join: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        join(elastic.from_iterable([1]), elastic.from_iterable([2]))


def test_a_flow_is_not_added_to_anything_else() -> None:
    with pytest.raises(TypeError):
        elastic.from_range(3) + 1  # type: ignore[operator]
