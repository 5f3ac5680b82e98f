"""A result partitioned by key: the same answer and receipts, despite faults."""

import json
import math
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, Count, GroupBy, Sum, SumByKey
from elastic.aggregators.sharded.mapping_result import ShardedMapping
from elastic.chaos.rounds import ChaosTest
from elastic.core.policies.chaos import chaos_of


def pairs(number: int) -> list[tuple[str, int]]:
    return [(f"k{(number * 7919 + index * 31) % 500}", index) for index in range(20)]


def keys(number: int) -> list[str]:
    return [key for key, _ in pairs(number)]


def fragile(number: int) -> list[tuple[str, int]]:
    if number % 50 == 7:
        raise ValueError(number)
    return pairs(number)


def fragile_at_the_end(number: int) -> list[tuple[str, int]]:
    return fragile(number) if number > 350 else pairs(number)


def flow(aggregator: Any = SumByKey, function: Any = pairs) -> elastic.Flow:
    return elastic.from_range(400, chunk_size=10).flat_map(function).aggregate(aggregator)


SUMS = Counter[str]()
for _number in range(400):
    for _key, _value in pairs(_number):
        SUMS[_key] += _value


def files_of(result: elastic.Result, home: Path) -> list[Path]:
    folder = home / "runs" / result.run_id / "shards" / "step-0000"
    return sorted(path for path in folder.iterdir() if not path.name.startswith("mark-"))


def test_the_answer_and_the_receipts_are_those_of_one_dict(cluster: str) -> None:
    whole = flow().run(cluster=cluster)
    assert whole.value == SUMS
    digests = set()
    for shards in (1, 2, 5):
        result = flow().run(cluster=cluster, shards=shards)
        assert isinstance(result.value, ShardedMapping)
        assert dict(result.value.items()) == SUMS
        assert len(result.value) == sum(result.value.counts) == len(SUMS)
        assert len(result.value.counts) == result.value.shards == shards
        assert (result.root, result.receipts, result.entries) == (whole.root, whole.receipts, whole.entries)
        assert elastic.verify(result.run_id).ok
        digests.add(result.value.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("aggregator", [Count, "count"], ids=str)
def test_words_are_counted(aggregator: Any) -> None:
    result = flow(aggregator, keys).run(cluster="inline", shards=2)
    assert dict(result.value) == Counter(key for number in range(400) for key in keys(number))
    assert result.value["k17"] == flow(aggregator, keys).run(cluster="inline").value["k17"]


@pytest.mark.parametrize("inner", [Sum, Collect], ids=["unordered", "ordered"])
def test_groups_are_divided_and_those_in_order_stay_so(inner: Any) -> None:
    result = flow(GroupBy(inner())).run(cluster="inline", shards=3, target_call_seconds=1e-9)
    assert dict(result.value) == flow(GroupBy(inner())).run(cluster="inline").value
    assert elastic.verify(result.run_id, flow(GroupBy(inner())), recompute=1.0).ok


def unsound(number: int) -> Any:
    nan = float("nan")
    return [("DE", nan), nan, frozenset({"x", (nan,)}), Decimal("NaN"), ("DE", Decimal("NaN")), ("DE", 1.5)][number % 6]


@pytest.mark.parametrize(
    ("aggregator", "of_each"),
    [
        ("count", lambda number: unsound(number)),
        ("sum_by_key", lambda number: (unsound(number), 1)),
        (GroupBy("size"), lambda number: (unsound(number), number)),
        ("merge_mappings", lambda number: {unsound(number): 1}),
        ("by_type", lambda number: {unsound(number): 1}),
    ],
    ids=["count", "sum-by-key", "group-by", "merge-mappings", "by-type"],
)
@pytest.mark.parametrize("collect_interval", [1e-9, 60.0], ids=["collected often", "collected once"])
def test_keys_that_hold_nan_are_one_however_often_they_are_collected(
    aggregator: Any, of_each: Any, collect_interval: float
) -> None:
    flow = elastic.from_range(120, chunk_size=3).map(of_each).aggregate(aggregator)
    options: dict[str, Any] = {"cluster": "inline", "target_call_seconds": 1e-9, "collect_interval": collect_interval}
    whole = flow.run(**options).value
    assert sorted(whole.values()) == [20] * 6
    assert whole[("DE", math.nan)] == whole[math.nan] == 20
    if aggregator == "by_type":
        return
    digests = set()
    for shards in (1, 3):
        result = flow.run(**options, shards=shards)
        wide = result.value
        assert sorted(dict(wide).values()) == [20] * 6
        assert dict(wide) == dict(wide.items())
        assert [wide[unsound(number)] for number in range(6)] == [20] * 6
        assert len(wide) == 6
        assert elastic.verify(result.run_id).ok
        digests.add(wide.digest)
    assert len(digests) == 1


def test_nothing_gives_an_empty_result() -> None:
    result = elastic.from_range(0).map(str).aggregate("count").run(cluster="inline", shards=2)
    assert (dict(result.value), len(result.value), result.value.counts) == ({}, 0, [0, 0])
    assert elastic.verify(result.run_id).ok


def test_the_manifest_names_a_file_for_each_shard(home: Path) -> None:
    result = flow().run(cluster="inline", shards=2)
    (path,) = [path for path in files_of(result, home) if path.name == "manifest-1.json"]
    told = json.loads(path.read_text())
    assert (told["run_id"], told["keys"], told["digest"]) == (result.run_id, len(SUMS), result.value.digest)
    assert [each["keys"] for each in told["shards"]] == result.value.counts
    for each in told["shards"]:
        assert (path.parent / each["file"]).stat().st_size == each["bytes"]
    # Only the spill files that the log of states names are left.
    assert {path.name.split("-")[0] for path in files_of(result, home)} == {"manifest", "piece", "result"}
    assert len(files_of(result, home)) == 1 + 2 + 1


def test_a_kept_result_is_read_by_a_later_process() -> None:
    result = flow().run(cluster="inline", shards=3)
    kept = elastic.result_of(result.run_id, flow())
    assert dict(kept.value) == SUMS
    assert (kept.value.digest, kept.root) == (result.value.digest, result.root)


def test_what_there_is_so_far_can_be_read(home: Path) -> None:
    with pytest.raises(elastic.ElasticError):
        flow(function=fragile_at_the_end).run(
            cluster="inline",
            shards=2,
            target_call_seconds=1e-9,
            max_chunks_in_flight=4,
            collect_interval=1e-9,
            commit_interval=1e-9,
        )
    so_far = elastic.result_of("last", flow(function=fragile_at_the_end))
    assert so_far.value
    assert set(so_far.value) <= set(SUMS)
    assert all(so_far.value[key] <= SUMS[key] for key in so_far.value)
    resumed = elastic.resume("last", flow(), allow_code_change=True, cluster="inline", workers=1)
    assert dict(resumed.value) == SUMS
    assert elastic.verify(resumed.run_id).ok
    # Unnamed files of the first master were removed.
    assert not [path for path in files_of(resumed, home) if path.name.startswith("result-1-")]


def test_dead_letters_are_redriven_into_the_files() -> None:
    options: dict[str, Any] = {"cluster": "inline", "on_error": "dead-letter"}
    failed = flow(function=fragile).run(shards=2, **options)
    assert failed.errors == 8
    before = flow(function=fragile).run(**options).value
    assert dict(failed.value) == before
    redriven = elastic.redrive(failed.run_id, flow(), cluster="inline")
    assert dict(redriven.value) == SUMS
    assert dict(elastic.result_of(failed.run_id, flow()).value) == SUMS
    assert elastic.verify(failed.run_id).ok
    assert redriven.value.digest == flow().run(cluster="inline", shards=5).value.digest


def test_injected_faults_change_nothing() -> None:
    def step() -> elastic.Step:
        return flow().step(cluster="inline", shards=2, target_call_seconds=1e-9)

    trial = ChaosTest(step=step, chaos=chaos_of("drop,duplicate,corrupt,raise"), options={})
    clean = trial.clean()
    rounds = list(trial.rounds(clean, 2))
    assert [each.verdict for each in rounds] == ["same", "same"]


def test_steps_of_a_queue_have_folders_of_their_own() -> None:
    with elastic.StepQueue() as queue:
        queue.add(flow().step(cluster="inline", shards=2, name="sums"))
        queue.add(flow("count", keys).step(cluster="inline", shards=3, name="counts"))
        sums, counts = queue.wait()
    assert dict(sums.value) == SUMS
    assert sum(counts.value.values()) == 8000


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: flow().run(shards=0), "shards=0 must be a whole number from 1 to 256"),
        (lambda: flow().run(shards=True), "shards=True must be a whole number"),
        (lambda: flow().run(shards=2, persist=False), "leave out one"),
        (lambda: flow(Sum).run(cluster="inline", shards=2), "shards=2 partitions a result by key, and Sum has no keys"),
    ],
    ids=["zero", "boolean", "not durable", "one number"],
)
def test_what_cannot_be_divided_is_refused(make: Any, said: str) -> None:
    with pytest.raises(elastic.ElasticError, match=said):
        make()


def test_a_run_goes_on_with_as_many_shards_as_it_began_with() -> None:
    with pytest.raises(elastic.ElasticError):
        flow(function=fragile).run(cluster="inline", shards=2)
    with pytest.raises(elastic.ElasticError, match="began with shards=2, which cannot become shards=3"):
        elastic.resume("last", flow(function=fragile), cluster="inline", shards=3)
    with pytest.raises(elastic.ElasticError):
        flow(function=fragile).run(cluster="inline")
    with pytest.raises(elastic.ElasticError, match="began without shards, which cannot become shards=3"):
        elastic.resume("last", flow(function=fragile), cluster="inline", shards=3)
