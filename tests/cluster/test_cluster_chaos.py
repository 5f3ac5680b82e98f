"""Faults injected into processes, on an embedded Ray and on a cluster of two nodes."""

import os
from pathlib import Path
from typing import Any

import pytest
from cluster_driver import RENDEZVOUS, printed_by, run_driver

import elastic
from elastic.core.policies.chaos import Chaos, Fault
from elastic.testing import RayCluster

pytestmark = pytest.mark.cluster

SUM = sum(range(3000))


def work(number: int) -> int:
    return number + sum(range(5000)) * 0


def disturbed(*spirits: str, most: int = 2, **more: Any) -> elastic.Result:
    chaos = Chaos(spirits=tuple(map(Fault, spirits)), rate=0.3, seed=3, most=most)
    flow = elastic.from_range(3000, chunk_size=10).map(work).aggregate("sum")
    return flow.run(cluster="local", chaos=chaos, target_call_seconds=0.005, collect_interval=0.1, **more)


def test_workers_that_are_killed_are_replaced(embedded_ray: None) -> None:
    result = disturbed("kill-worker")
    assert result.value == SUM
    # Fewer are lost if the second fault hits a process whose end was not noticed yet.
    assert 1 <= result.counters["workers_lost"] <= result.counters["chaos_kill_worker"] == 2


def test_workers_that_hang_are_found_out(embedded_ray: None) -> None:
    result = disturbed("hang", heartbeat=elastic.Heartbeat(timeout=3))
    assert result.value == SUM
    assert result.counters["chaos_hang"] >= 1
    assert _frozen_workers() == []


def _frozen_workers() -> list[str]:
    """Return the names of the stopped workers below this process; other tests may have stopped some of theirs."""
    names, states, parents = {}, {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        pid = int(stat.parent.name)
        names[pid], (states[pid], parent) = name, rest.split()[:2]
        parents[pid] = int(parent)
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    workers = [pid for pid in ours if "ray::" in names[pid]]
    assert workers, "Ray keeps idle ones"
    return [names[pid] for pid in workers if states[pid] == "T"]


def test_a_worker_that_hangs_when_the_step_ends_is_ended_with_it(embedded_ray: None) -> None:
    result = disturbed("hang", most=1, heartbeat=elastic.Heartbeat(timeout=600), speculation_timeout=0.5)
    assert result.value == SUM
    assert result.counters["chaos_hang"] == 1
    assert _frozen_workers() == []


def test_sender_and_receiver_of_the_master_s_own_node_are_replaced(embedded_ray: None) -> None:
    result = disturbed("kill-sender", "kill-receiver")
    assert result.value == SUM
    assert result.counters["chaos_kill_sender"] == result.counters["chaos_kill_receiver"] == 2
    assert "nodes_lost" not in result.counters
    assert result.retries >= 1


def test_answers_that_are_lost_doubled_late_and_changed_do_not_matter(embedded_ray: None) -> None:
    result = disturbed("raise", "drop", "duplicate", "slow", "corrupt")
    assert result.value == SUM
    assert all(result.counters[f"chaos_{name}"] for name in ("raise", "drop", "duplicate", "slow"))


DRIVER = """
import json, sys
import elastic, rendezvous
from elastic.core.policies.chaos import Chaos, Fault

port = rendezvous.hold()

def work(number):
    rendezvous.meet(port)
    return number + sum(range(5000)) * 0

chaos = Chaos(spirits=tuple(map(Fault, sys.argv[1].split(","))), rate=0.2, seed=2, most=1)
flow = elastic.from_range(6000, chunk_size=10).map(work).aggregate("sum")
result = flow.run(
    chaos=chaos, target_call_seconds=0.005, collect_interval=0.1, heartbeat=elastic.Heartbeat(timeout=8),
    max_chunks_per_call=8
)
print(json.dumps({"value": result.value, "counters": result.counters}))
"""


@pytest.mark.parametrize(
    ("spirits", "nodes_lost"),
    [("kill-node", 1), ("kill-worker,hang,drop", 0)],
)
def test_processes_of_another_node_are_struck(
    spirits: str, nodes_lost: int, ray_nodes: RayCluster, tmp_path: Path
) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    (tmp_path / "rendezvous.py").write_text(RENDEZVOUS)
    told = printed_by(run_driver(script, ray_nodes, spirits))
    assert told["value"] == sum(range(6000))
    counters = told["counters"]
    assert all(counters[f"chaos_{spirit.replace('-', '_')}"] for spirit in spirits.split(","))
    assert counters.get("nodes_lost", 0) == nodes_lost


def test_a_station_that_is_killed_costs_its_node_once(ray_nodes: RayCluster, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    (tmp_path / "rendezvous.py").write_text(RENDEZVOUS)
    counters = printed_by(run_driver(script, ray_nodes, "kill-receiver,kill-sender"))["counters"]
    struck = counters["chaos_kill_receiver"] + counters["chaos_kill_sender"]
    assert struck == 2
    assert counters.get("nodes_lost", 0) <= struck
