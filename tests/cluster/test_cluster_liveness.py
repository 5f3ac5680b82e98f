"""Processes that freeze or die at any moment are detected, killed and replaced."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cluster_driver import RENDEZVOUS, printed_by, run_driver

import elastic
from elastic.core.errors import StepSuspendedError
from elastic.testing import RayCluster

pytestmark = pytest.mark.cluster


def freeze_once(flag: str, number: int) -> int:
    if number == 500 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def test_a_frozen_worker_is_ended_and_its_chunks_are_done_again(embedded_ray: None, tmp_path: Path) -> None:
    flow = elastic.from_range(1000, chunk_size=10).map(partial(freeze_once, str(tmp_path / "flag"))).aggregate("sum")
    result = flow.run(cluster="local", heartbeat=elastic.Heartbeat(timeout=5))
    assert result.value == sum(range(1000))
    assert result.counters["workers_lost"] >= 1, (
        "and others, if the machine is so busy that they say nothing for a while"
    )


class Struck:
    """Sends a signal to each worker that loads it while a file exists; with `once`, only to the first."""

    def __init__(self, number: int, flag: Path, *, once: bool) -> None:
        self.number, self.flag, self.once = number, flag, once

    def __reduce__(self) -> Any:
        return loaded, (self.number, str(self.flag), self.once, os.getpid())


def loaded(number: int, flag: str, once: bool, driver: int) -> Struck:
    if Path(flag).exists() and os.getpid() != driver:
        if once:
            Path(flag).unlink()
        os.kill(os.getpid(), number)
    return Struck(number, Path(flag), once=once)


def plus(struck: Struck, number: int) -> int:
    return number


@pytest.mark.timeout(600)
def test_a_worker_that_freezes_as_it_starts_is_replaced(embedded_ray: None, tmp_path: Path) -> None:
    (tmp_path / "flag").touch()
    struck = Struck(signal.SIGSTOP, tmp_path / "flag", once=True)
    flow = elastic.from_range(1000, chunk_size=10).map(partial(plus, struck)).aggregate("sum")
    result = flow.run(cluster="local", workers=1, heartbeat=elastic.Heartbeat(timeout=5), start_timeout=180)
    assert result.value == sum(range(1000))
    assert not (tmp_path / "flag").exists()


@pytest.mark.timeout(600)
def test_a_run_whose_workers_all_die_as_they_start_is_suspended_and_goes_on(embedded_ray: None, tmp_path: Path) -> None:
    (tmp_path / "flag").touch()
    struck = Struck(signal.SIGKILL, tmp_path / "flag", once=False)
    flow = elastic.from_range(1000, chunk_size=10).map(partial(plus, struck)).aggregate("sum")
    with pytest.raises(StepSuspendedError, match=r"died as they started.*its process died") as suspended:
        flow.run(cluster="local", start_timeout=30)
    assert "refused" not in str(suspended.value)
    (tmp_path / "flag").unlink()
    assert elastic.resume("last", flow, cluster="local", start_timeout=180).value == sum(range(1000))


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
result = flow.run(heartbeat=elastic.Heartbeat(timeout=5), max_chunks_per_call=2)
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
