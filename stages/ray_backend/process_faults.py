"""Harm to the processes of a Ray cluster: signals to workers, also on other nodes, and stations that end."""

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from elastic.core.process_stat import read_process_stat
from elastic.stages.ray_backend.node import RayNode
from elastic.stages.transport.process_faults import Pick, ProcessFaults

#: Seconds in which a signal must have reached a process of another node.
_SIGNAL_SECONDS = 15.0


class RayProcessFaults(ProcessFaults):
    """Strikes the processes that a transport has started.

    Args:
        nodes: The nodes of the transport, by id, as it goes on changing them.
    """

    def __init__(self, nodes: Mapping[str, RayNode]) -> None:
        self._nodes = nodes
        #: Ray's node, unless it is the master's own, and process id of every worker that was frozen
        self._frozen: list[tuple[str | None, int]] = []

    def kill_or_freeze_worker(self, node_id: str, pick: Pick, *, freeze: bool) -> bool:
        node = self._nodes.get(node_id)
        if node is None or not node.workers:
            return False
        ready = sorted(node.workers)
        worker_id = ready[pick(len(ready))]
        if not freeze and not node.on_master:
            ray.kill(node.workers[worker_id])
            return True
        spot = (None if node.on_master else node.ray_id, node.process_ids[worker_id])
        if freeze:
            self._frozen.append(spot)
        return _signal(*spot, signal.SIGSTOP if freeze else signal.SIGKILL)

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
        # What is frozen does not hear that it should end.
        for spot in self._frozen:
            _signal(*spot, signal.SIGKILL, only_frozen=True)
        self._frozen = []


def _signal(ray_id: str | None, process_id: int, number: int, *, only_frozen: bool = False) -> bool:
    """Send a signal to a process of a node, None for this one; says whether it was there."""
    if ray_id is None:
        return send_signal(process_id, number, only_frozen=only_frozen)
    there = NodeAffinitySchedulingStrategy(node_id=ray_id, soft=False)
    function: Any = send_signal
    sender = ray.remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    try:
        sent: bool = ray.get(sender.remote(process_id, number, only_frozen=only_frozen), timeout=_SIGNAL_SECONDS)
    except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
        return False
    return sent


def send_signal(process_id: int, number: int, *, only_frozen: bool) -> bool:
    """Send a signal to a process of this machine; says whether it was there.

    Args:
        process_id: The process.
        number: The signal.
        only_frozen: Leave it alone unless it is stopped, because its number may be another's by now.
    """
    if only_frozen and Path("/proc").is_dir() and not _is_stopped(process_id):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, number)
        return True
    return False


def _is_stopped(process_id: int) -> bool:
    try:
        return read_process_stat(process_id).is_stopped
    except OSError:
        return False
