"""Processes that are frozen are noticed by their silence, ended and replaced."""

import os
import signal
from pathlib import Path

import pytest
from cluster_driver import RENDEZVOUS, printed_by, run_driver

import elastic
from elastic.testing import RayCluster

pytestmark = pytest.mark.cluster


def freeze_once(flag: str, number: int) -> int:
    if number == 500 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def test_a_frozen_worker_is_ended_and_its_chunks_are_done_again(embedded_ray: None, tmp_path: Path) -> None:
    from functools import partial

    flow = elastic.from_range(1000, chunk_size=10).map(partial(freeze_once, str(tmp_path / "flag"))).aggregate("sum")
    result = flow.run(cluster="local", heartbeat=elastic.Heartbeat(timeout=5))
    assert result.value == sum(range(1000))
    assert result.counters["workers_lost"] >= 1, (
        "and others, if the machine is so busy that they say nothing for a while"
    )


DRIVER = """
import contextlib, json, os, signal, sys
import elastic, rendezvous
from pathlib import Path

port, flag, pids = rendezvous.hold(), Path(sys.argv[1]), Path(sys.argv[1]).parent

def relatives():
    # The processes that the same raylet has started as this worker.
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getppid():
                yield int(folder.name), (folder / "cmdline").read_text()
        except OSError:
            continue

def work(number):
    rendezvous.meet(port)
    stations = [pid for pid, name in relatives() if "StationActor" in name]
    if stations and not flag.exists():
        flag.write_text(str(stations[0]))
        os.kill(stations[0], signal.SIGSTOP)
    return number

flow = elastic.from_range(1000, chunk_size=10).map(work).aggregate("sum")
result = flow.run(heartbeat=elastic.Heartbeat(timeout=5), call_chunks=2)
print(json.dumps({"value": result.value, "counters": result.counters}))
with contextlib.suppress(ProcessLookupError):
    os.kill(int(flag.read_text()), signal.SIGKILL)
"""


def test_a_frozen_station_costs_only_what_its_node_had(ray_nodes: RayCluster, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    (tmp_path / "rendezvous.py").write_text(RENDEZVOUS)
    done = run_driver(script, ray_nodes, str(tmp_path / "flag"))
    told = printed_by(done)
    assert told["value"] == sum(range(1000))
    assert told["counters"]["nodes_lost"] >= 1
