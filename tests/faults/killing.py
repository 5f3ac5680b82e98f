"""SIGKILL for workers at work, whole nodes, masters, and Ray's head."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

from elastic.core.errors import ClusterError
from elastic.testing import RayCluster
from tests.faults.cluster_faults import SUSPENDED, AttackedRun, belongs, members, pause

#: Seconds in which a target must exist; otherwise the run continues to its end.
_DROUGHT = 60


def storm(attacked: AttackedRun, workers: int, nodes: int, until: float) -> None:
    """Kill workers in the middle of an entry, and the busy second node repeatedly."""
    done, began = attacked.attacks.done, attacked.attacks.done.copy()
    attacked.begin()
    node = _Node(attacked)
    struck_at = time.monotonic()
    while not attacked.is_over() and time.monotonic() < until:
        is_enough = done["worker killed"] - began["worker killed"] >= workers
        if is_enough and done["node removed"] - began["node removed"] >= nodes:
            break
        removes = done["node removed"] - began["node removed"] < nodes and node.strike()
        kills = not is_enough and attacked.kill_at_work()
        if removes or kills:
            struck_at = time.monotonic()
        elif time.monotonic() - struck_at > _DROUGHT:
            attacked.wrong(f"nothing was at work for {_DROUGHT} s: {attacked.where()}")
            break
        pause(attacked.rng.uniform(0.05, 0.3))
    node.close()
    attacked.end()


class _Node:
    """The second node, which a thread starts while others are attacked."""

    def __init__(self, attacked: AttackedRun) -> None:
        self._attacked = attacked
        self._thread: threading.Thread | None = None
        self._living = len(attacked.cluster._nodes) - 1

    def strike(self) -> bool:
        """Remove the node if it is busy; return whether it was."""
        if self._thread is not None and self._thread.is_alive():
            return False
        attacked = self._attacked
        node = attacked.cluster._nodes[-1]
        if not any(belongs(pid, node) for pid in attacked.busy()):
            return False
        attacked.cluster.stop_node(len(attacked.cluster._nodes) - 1)
        attacked.attacks.done["node removed"] += 1
        self._thread = threading.Thread(target=self._add, daemon=True)
        self._thread.start()
        return True

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _add(self) -> None:
        try:
            self._attacked.cluster._start(1)
            self._attacked.attacks.done["node added"] += 1
        except ClusterError as error:
            self._attacked.wrong(f"a node was not added: {error}")


def kill_masters(attacked: AttackedRun, count: int, until: float) -> None:
    """Kill the master of a run and the resuming masters, each while its workers are busy."""
    attacked.begin()
    for _ in range(count):
        if not attacked.wait_for_work(min(until, time.monotonic() + _DROUGHT)):
            break
        pause(attacked.rng.uniform(0.0, 1.5))
        if attacked.is_over():
            break
        attacked.kill_master()
        attacked.resume()
    attacked.end()


def kill_heads(attacked: AttackedRun, new: Callable[[], RayCluster], count: int, until: float) -> None:
    """Kill the head of a run's cluster, resume on another cluster, and kill that head too.

    The driver must end by itself, with 75: suspended.
    """
    attacked.begin()
    clusters = []
    try:
        for number in range(count):
            if not attacked.wait_for_work(min(until, time.monotonic() + _DROUGHT)):
                break
            pause(attacked.rng.uniform(0.5, 1.5))
            if number % 2:
                _kill_node(attacked)
            else:
                _kill_server(attacked)
            code, _, errors = attacked.ended()
            if code != SUSPENDED:
                attacked.wrong(f"its driver ended with {code}, not 75, when the head was killed: {errors[-1500:]}")
            attacked.cluster.stop()
            clusters.append(new().__enter__())
            attacked.resume(clusters[-1])
        attacked.end()
    finally:
        for cluster in clusters:
            cluster.stop()


def _kill_server(attacked: AttackedRun) -> None:
    (server,) = members(attacked.cluster._nodes[0], b"/gcs/gcs_server\0")
    os.kill(server, signal.SIGKILL)
    attacked.attacks.done["head killed: its gcs_server"] += 1


def _kill_node(attacked: AttackedRun) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(attacked.cluster._nodes[0].pid, signal.SIGKILL)
    attacked.attacks.done["head killed: its whole node"] += 1
