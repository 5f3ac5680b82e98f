"""SIGKILL for workers at work, whole nodes, masters, and Ray's head."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

from elastic.core.errors import ClusterError
from elastic.testing import RayCluster
from tests.faults.cluster_faults import SUSPENDED, Siege, belongs, members, pause

#: Seconds in which there must be something to attack; else the run is let go to its end.
_DROUGHT = 60


def storm(siege: Siege, workers: int, nodes: int, until: float) -> None:
    """Kill workers in the middle of an entry, and the second node again and again while it is at work."""
    done, began = siege.attacks.done, siege.attacks.done.copy()
    siege.begin()
    node = _Node(siege)
    struck_at = time.monotonic()
    while not siege.is_over() and time.monotonic() < until:
        is_enough = done["worker killed"] - began["worker killed"] >= workers
        if is_enough and done["node removed"] - began["node removed"] >= nodes:
            break
        removes = done["node removed"] - began["node removed"] < nodes and node.strike()
        kills = not is_enough and siege.kill_at_work()
        if removes or kills:
            struck_at = time.monotonic()
        elif time.monotonic() - struck_at > _DROUGHT:
            siege.wrong(f"nothing was at work for {_DROUGHT} s: {siege.where()}")
            break
        pause(siege.dice.uniform(0.05, 0.3))
    node.close()
    siege.end()


class _Node:
    """The second node, which is started in a thread while others are attacked."""

    def __init__(self, siege: Siege) -> None:
        self._siege = siege
        self._thread: threading.Thread | None = None
        self._living = len(siege.cluster._nodes) - 1

    def strike(self) -> bool:
        """Remove the node if it is at work; says whether it was."""
        if self._thread is not None and self._thread.is_alive():
            return False
        siege = self._siege
        node = siege.cluster._nodes[-1]
        if not any(belongs(pid, node) for pid in siege.busy()):
            return False
        siege.cluster.stop_node(len(siege.cluster._nodes) - 1)
        siege.attacks.done["node removed"] += 1
        self._thread = threading.Thread(target=self._add, daemon=True)
        self._thread.start()
        return True

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _add(self) -> None:
        try:
            self._siege.cluster._start(1)
            self._siege.attacks.done["node added"] += 1
        except ClusterError as error:
            self._siege.wrong(f"a node was not added: {error}")


def kill_masters(siege: Siege, count: int, until: float) -> None:
    """Kill the master of a run when its workers are at work, and those that go on with it."""
    siege.begin()
    for _ in range(count):
        if not siege.wait_for_work(min(until, time.monotonic() + _DROUGHT)):
            break
        pause(siege.dice.uniform(0.0, 1.5))
        if siege.is_over():
            break
        siege.kill_master()
        siege.resume()
    siege.end()


def behead(siege: Siege, new: Callable[[], RayCluster], count: int, until: float) -> None:
    """Kill the head of a run's cluster, go on on another one, and kill that one's head.

    The driver must end by itself, with 75: suspended.
    """
    siege.begin()
    clusters = []
    try:
        for number in range(count):
            if not siege.wait_for_work(min(until, time.monotonic() + _DROUGHT)):
                break
            pause(siege.dice.uniform(0.5, 1.5))
            if number % 2:
                _kill_node(siege)
            else:
                _kill_server(siege)
            code, _, errors = siege.ended()
            if code != SUSPENDED:
                siege.wrong(f"its driver ended with {code}, not 75, when the head was killed: {errors[-1500:]}")
            siege.cluster.stop()
            clusters.append(new().__enter__())
            siege.resume(clusters[-1])
        siege.end()
    finally:
        for cluster in clusters:
            cluster.stop()


def _kill_server(siege: Siege) -> None:
    (server,) = members(siege.cluster._nodes[0], b"/gcs/gcs_server\0")
    os.kill(server, signal.SIGKILL)
    siege.attacks.done["head killed: its gcs_server"] += 1


def _kill_node(siege: Siege) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(siege.cluster._nodes[0].pid, signal.SIGKILL)
    siege.attacks.done["head killed: its whole node"] += 1
