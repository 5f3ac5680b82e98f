"""Fault injection into the processes of a Ray cluster, on all nodes."""

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from elastic.core.process_stat import is_stopped
from elastic.stages.ray_backend.node import RayNode
from elastic.stages.transport.process_faults import Pick, ProcessFaults

#: Seconds in which a signal must reach a process of another node.
_SIGNAL_TIMEOUT = 15.0


class RayProcessFaults(ProcessFaults):
    """Kills and freezes the processes of a Ray transport.

    Args:
        nodes: The transport's live mapping of nodes, by id.
    """

    def __init__(self, nodes: Mapping[str, RayNode]) -> None:
        self._nodes = nodes
        #: Every frozen worker: Ray's id of its node (None for the master's node) and its process id.
        self._frozen: list[tuple[str | None, int]] = []

    def kill_or_freeze_worker(self, node_id: str, pick: Pick, *, freeze: bool) -> bool:
        node = self._nodes.get(node_id)
        if node is None or not node.workers:
            return False
        worker_ids = sorted(node.workers)
        worker_id = worker_ids[pick(len(worker_ids))]
        if not freeze and not node.on_master:
            ray.kill(node.workers[worker_id])
            return True
        process = (None if node.on_master else node.ray_id, node.process_ids[worker_id])
        if freeze:
            self._frozen.append(process)
        return _signal(*process, signal.SIGSTOP if freeze else signal.SIGKILL)

    def kill_station(self, node_id: str) -> bool:
        node = self._nodes.get(node_id)
        if node is None:
            return False
        node.kill_station()
        return not node.on_master

    def kill_node(self, node_id: str) -> bool:
        node = self._nodes.get(node_id)
        if node is None or node.on_master:
            return False
        node.kill_station()
        for worker in node.all_workers():
            ray.kill(worker)
        return True

    def close(self) -> None:
        # A frozen process does not react to a request to exit.
        for process in self._frozen:
            _signal(*process, signal.SIGKILL, only_frozen=True)
        self._frozen = []


def _signal(ray_id: str | None, process_id: int, number: int, *, only_frozen: bool = False) -> bool:
    """Send a signal to a process of a node (None: this one); return whether the process existed."""
    if ray_id is None:
        return send_signal(process_id, number, only_frozen=only_frozen)
    on_node = NodeAffinitySchedulingStrategy(node_id=ray_id, soft=False)
    function: Any = send_signal
    sender = ray.remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=on_node)
    try:
        sent: bool = ray.get(sender.remote(process_id, number, only_frozen=only_frozen), timeout=_SIGNAL_TIMEOUT)
    except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
        return False
    return sent


def send_signal(process_id: int, number: int, *, only_frozen: bool) -> bool:
    """Send a signal to a process of this machine; return whether the process existed.

    Args:
        process_id: Id of the process.
        number: Number of the signal.
        only_frozen: Signal only a stopped process: the system may have given the id to another process by now.
    """
    if only_frozen and Path("/proc").is_dir() and not is_stopped(process_id):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, number)
        return True
    return False
