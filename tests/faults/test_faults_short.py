"""A short amount of the fault campaign; `python -m tests.faults` runs more of it and prints the figures."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from elastic.testing import RayCluster
from tests.faults import partition
from tests.faults.master_job import simulate_schedulers
from tests.faults.mutant import SCHEDULED, SIMULATED, Mutant, SchedulerMutant, WithoutBitCheck
from tests.faults.mutant_hunt import ON_DISK, check_of, on_disk
from tests.faults.power import can_record
from tests.faults.report import Layer
from tests.faults.sample_flows import difference
from tests.faults.simulation import Parts, play
from tests.faults.writing import attack_writes

ROOT = Path(__file__).parents[2]


def campaign(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.faults", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


#: Runs of the suite; `make faults` plays more.
SEEDS, SCHEDULER_SEEDS = 40, 12


def test_thousands_of_simulated_faults_lose_nothing_and_count_nothing_twice() -> None:
    faults: Counter[str] = Counter()
    counters: Counter[str] = Counter()
    for seed in range(SEEDS):
        outcome = play(seed)
        assert outcome.problems == [], f"seed {seed}; replay it with `python -m tests.faults --seed {seed}`"
        faults += outcome.faults
        counters += outcome.counters
    assert faults.total() >= 5_000
    # Otherwise the campaign tried nothing.
    assert counters["duplicates_dropped"] > 500
    assert counters["chunks_sent_again"] > 500
    assert counters["receipts_refused"] > 25
    assert sum(times for kind, times in faults.items() if kind.startswith("master")) > 25


@pytest.mark.parametrize("seed", [3, 22])
def test_a_seed_replays_in_another_process(seed: int) -> None:
    here, there = play(seed), campaign("--seed", str(seed))
    assert there.returncode == 0, there.stderr
    assert f"{here.masters} masters, {here.seconds:.1f} simulated seconds" in there.stdout
    told = {line.split(maxsplit=1)[1]: int(line.split()[0]) for line in there.stdout.splitlines()[2:]}
    assert told == dict(here.faults)


def test_a_flow_that_writes_keeps_each_record_once_when_its_master_is_killed() -> None:
    layer = Layer()
    attack_writes(layer, ("folder",), 1, 3, lambda text: None)
    assert (layer.problems, layer.faults.total()) == ([], 1)


@pytest.mark.parametrize("mutant", SIMULATED, ids=lambda mutant: mutant.name)
def test_a_mechanism_that_is_missing_is_noticed(mutant: Mutant) -> None:
    assert any(list(map(check_of, play(seed, mutant.parts).problems)) for seed in range(60))


def test_under_schedulers_that_die_and_freeze_every_instance_succeeds_once() -> None:
    faults: Counter[str] = Counter()
    counters: Counter[str] = Counter()
    for seed in range(SCHEDULER_SEEDS):
        outcome = simulate_schedulers(seed)
        assert outcome.problems == [], f"seed {seed}"
        faults += outcome.faults
        counters += outcome.counters
    assert faults["process of a task stood still"] > 5
    assert counters["leases_expired"] > 5
    assert counters["processes_refused"] > 1


@pytest.mark.parametrize("mutant", SCHEDULED, ids=lambda mutant: mutant.name)
def test_a_mechanism_of_schedulers_that_is_missing_is_noticed(mutant: SchedulerMutant) -> None:
    assert any(
        list(map(check_of, simulate_schedulers(seed, mutant.mutation, by_host_clock=mutant.by_host_clock).problems))
        for seed in range(40)
    )


def test_a_failing_seed_is_printed_with_the_names_of_the_entries() -> None:
    problems = [problem for seed in range(20) for problem in play(seed, Parts(ledger=WithoutBitCheck)).problems]
    assert problems
    census: dict[str, Any] = {"count": 3, "sum": 6, "max": 3, "entries": [(1, 1), (2, 1), (3, 1)]}
    assert difference(census, {**census, "entries": [(1, 1), (3, 2)]}) == [
        "entries lost: 1 (2 x 1, ...)",
        "entries counted twice: 1 (3 x 1, ...)",
    ]


@pytest.mark.skipif(can_record() is not None, reason=str(can_record()))
@pytest.mark.parametrize("name", ON_DISK)
def test_a_sync_or_a_check_that_is_missing_on_disk_is_noticed(name: str) -> None:
    catch = on_disk(name, ON_DISK[name])
    assert catch.caught
    assert catch.by


def test_some_crash_points_are_as_they_should_be() -> None:
    done = campaign("--layers", "B", "--scenarios", "gone", "directory", "letters", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["problems"] == []
    covered = told["layers"]["B"]["covered"]
    assert covered["process killed before a call"] >= 20
    if can_record() is None:
        assert covered["power lost after a call"] >= 15
        assert covered["EIO from fdatasync"] >= 1


def test_the_second_node_of_a_divided_cluster_starts_in_its_own_network() -> None:
    cluster = partition.DividedCluster(far=7)
    try:
        assert "_command" in vars(RayCluster)  # the method that the subclass replaces
        assert cluster._command(0)[0].endswith("ray")
        assert cluster._command(1)[:3] == ["nsenter", "--target=7", "--net"]
        called = set(partition.DividedCluster._command.__code__.co_names)
        assert {name for name in called if name.startswith("_") and not hasattr(cluster, name)} == set()
    finally:
        cluster.stop()
