"""Runs under injected faults: the answer stays the same, and every fault is counted."""

from typing import Any

import pytest

import elastic
from elastic.core.errors import UsageError
from elastic.core.policies.chaos import CARRIED, Chaos, Fault

SUM = sum(range(2000))
#: Options for many calls and collections, so that there are many occasions for faults.
BUSY: dict[str, Any] = {"target_call_seconds": 1e-9, "collect_interval": 1e-3}


def numbers(aggregator: str = "sum") -> elastic.Flow:
    return elastic.from_range(2000, chunk_size=20).map(lambda number: number).aggregate(aggregator)


@pytest.mark.parametrize("spirit", [spirit for spirit in CARRIED if spirit is not Fault.SLOW])
@pytest.mark.parametrize("aggregator", ["sum", "collect"])
def test_the_answer_is_the_same_whatever_strikes(spirit: Fault, aggregator: str) -> None:
    clean = numbers(aggregator).run(cluster="inline", **BUSY)
    # A busy machine makes few collections, so that few results are occasions for a fault.
    for seed in range(20):
        chaos = Chaos(spirits=(spirit,), rate=0.3, seed=seed)
        result = numbers(aggregator).run(cluster="inline", chaos=chaos, **BUSY)
        if spirit.counter in result.counters:
            break
    assert (result.value, result.root, result.entries) == (clean.value, clean.root, clean.entries)
    assert result.counters[spirit.counter] >= 1
    assert set(result.receipts.values()) == {100}


def test_answers_that_are_late_are_waited_for() -> None:
    result = numbers().run(cluster="inline", chaos=Chaos(spirits=(Fault.SLOW,), rate=0.15), **BUSY)
    assert result.value == SUM
    assert result.counters["chaos_slow"] >= 1
    assert result.retries == 0


def test_all_of_them_at_once() -> None:
    chaos = Chaos(spirits=tuple(spirit for spirit in CARRIED if spirit is not Fault.SLOW), rate=0.2, seed=5)
    result = numbers().run(cluster="inline", chaos=chaos, **BUSY)
    assert result.value == SUM
    assert all(result.counters[spirit.counter] for spirit in chaos.spirits)
    assert result.counters["duplicates_dropped"] >= 1
    assert result.counters["receipts_refused"] >= 1


def test_lost_answers_do_not_drag_all_other_results_along() -> None:
    result = numbers().run(
        cluster="inline", chaos=Chaos(spirits=(Fault.DROP,), rate=0.5), target_call_seconds=1e-9, collect_interval=1e9
    )
    assert result.value == SUM
    assert result.counters["chaos_drop"] >= 20
    # Earlier versions counted a held result twice if the answer to its collection was lost.
    assert result.counters.get("duplicates_dropped", 0) == 0


@pytest.mark.parametrize("number", [1, 20, 45])
def test_spirits_are_given_as_elasticflow_does(number: int) -> None:
    for name in ("chaos_spirits", "chaos"):
        result = numbers().run(cluster="inline", **{name: number}, **BUSY)
        assert result.value == SUM
    if number == 1:
        # Sender and receiver each drop 45.5 % of the calls, so 0.7 of all calls are retried.
        assert result.counters["chaos_raise"] == result.retries >= 100


def test_46_and_no_chaos_leave_a_run_alone() -> None:
    for given in ({"chaos_spirits": 46}, {"chaos": None}, {}):
        result = numbers().options(chaos="raise").run(**{"chaos": None, "cluster": "inline", **given}, **BUSY)
        assert (result.value, result.counters) == (SUM, {})


@pytest.mark.parametrize("number", [0, 47, "wild", True])
def test_other_numbers_are_refused_before_anything_runs(number: Any) -> None:
    with pytest.raises(UsageError, match="whole number from 1"):
        numbers().run(cluster="inline", chaos_spirits=number)


@pytest.mark.parametrize("spirit", ["hang", "kill-worker", "kill-sender", "kill-receiver", "kill-node"])
def test_faults_without_a_target_process_are_refused_by_name(spirit: str) -> None:
    with pytest.raises(UsageError, match=f"fault {spirit} needs .*, but cluster='inline' has none"):
        numbers().run(cluster="inline", chaos=f"drop,{spirit}")


def test_an_embedded_ray_has_no_other_node_to_kill() -> None:
    with pytest.raises(UsageError, match=r"fault kill-node needs other nodes.*\(host:port\)"):
        numbers().run(cluster="local", chaos="kill-node")


def test_a_run_does_not_kill_its_own_process() -> None:
    with pytest.raises(UsageError, match="fault kill-master kills the process that runs the flow; use `elastic chaos`"):
        numbers().run(cluster="inline", chaos="kill-master")


def test_steps_of_a_queue_may_have_chaos() -> None:
    with elastic.StepQueue() as queue:
        queue.add(numbers().step(cluster="inline", chaos=Chaos(spirits=(Fault.DROP,), rate=0.5), **BUSY))
        queue.add(numbers().step(cluster="inline", **BUSY))
        struck, calm = queue.wait()
    assert struck.value == calm.value == SUM
    assert struck.counters["chaos_drop"] >= 1
    assert "chaos_drop" not in calm.counters


def test_a_failure_of_user_code_is_reported_under_faults_too() -> None:
    flow = elastic.from_range(100, chunk_size=5).map(lambda number: 1 // (number - 60)).aggregate("sum")
    with pytest.raises(elastic.ElasticError, match="ZeroDivisionError"):
        flow.run(cluster="inline", chaos=Chaos(rate=0.3), **BUSY)
    result = flow.run(cluster="inline", chaos=Chaos(rate=0.1), on_error="skip", **BUSY)
    assert (result.errors, result.entries) == (1, 100)
