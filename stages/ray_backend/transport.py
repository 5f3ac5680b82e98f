"""The Ray transport: a worker for each CPU, and a station on every node."""

import logging
import time
from collections.abc import Iterator, Sequence, Set
from functools import cached_property
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.errors import NoWorkerError, UsageError
from elastic.core.ledger.events import NodeLost
from elastic.core.policies.worker_starts import WorkerStarts
from elastic.core.program import Program
from elastic.stages.messages import Call
from elastic.stages.ray_backend.actor_start import ActorPayload
from elastic.stages.ray_backend.code_shipping import DriverCode, archive_of, driver_folders
from elastic.stages.ray_backend.connection import connect
from elastic.stages.ray_backend.membership import ClusterMembership, cpus_of
from elastic.stages.ray_backend.node import NO_RETRIES, LocalNode, PendingCalls, RayNode, RemoteNode
from elastic.stages.ray_backend.process_faults import RayProcessFaults
from elastic.stages.ray_backend.program_pickle import can_pickle, pickled_program
from elastic.stages.ray_backend.shard_merge import RayShardMerge
from elastic.stages.ray_backend.spill_store import DepotActor
from elastic.stages.transport.process_faults import ProcessFaults
from elastic.stages.transport.transport import Arrival, Limits, Transport

_log = logging.getLogger("elastic.cluster")

#: Seconds between two looks at which nodes the cluster has.
_LOOK_SECONDS = 1.0


class RayTransport(Transport):
    """Carries calls to the nodes of a Ray cluster.

    Nothing is restarted or repeated by Ray; a worker that dies is reported and another one started in its place.

    Args:
        cluster: `local`, `auto` or `host:port`.
        limits: What the run may take of the cluster.
    """

    def __init__(self, cluster: str, limits: Limits) -> None:
        connect(cluster, cpus=limits.workers, start_timeout=limits.start_timeout)
        self._limits = limits
        self._own_ray_id = ray.get_runtime_context().get_node_id()
        self._nodes: dict[str, RayNode] = {}
        self._refused: dict[str, str] = {}
        #: the nodes that the cluster had at the last look
        self._alive: Set[str] = frozenset()
        self._watch = PendingCalls()
        self._roster = ClusterMembership(limits.heartbeat)
        self._looked_at = 0.0
        self.node_id = next(_name(node) for node in ray.nodes() if node["NodeID"] == self._own_ray_id)

    def open(self, program: Program) -> None:
        self._program, self._pickled = program, _pickled(program)
        self._starts = WorkerStarts(self._limits.start_timeout, time.monotonic())
        self._look()

    def send(self, node_id: str, call: Call | None) -> None:
        self._nodes[node_id].send(call)

    def poll(self, timeout: float) -> list[Arrival]:
        arrivals = self._watch.ready(timeout)
        for arrival in arrivals:
            if isinstance(arrival, NodeLost):
                self._forget(arrival.node_id)
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._look()
        if any(node.workers for node in self._nodes.values()):
            self._starts.worked(now)
        elif self._starts.is_hopeless(now) and self._roster.answers():
            raise NoWorkerError(self._shortage())
        return arrivals + self._refuse()

    def reduce(self, aggregator: ShardedAggregator, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        depot = self._depot if any(not node.on_master for node in self._nodes.values()) else None
        return RayShardMerge(self._nodes, self._watch, self.poll, depot).run(jobs)

    def close(self) -> None:
        if (depot := self.__dict__.pop("_depot", None)) is not None:
            ray.kill(depot)
        for node in self._nodes.values():
            node.close()
        self._nodes = {}
        self._roster.close()
        self._watch.pending.clear()
        self._watch.arrived.clear()

    def process_faults(self) -> ProcessFaults:
        return RayProcessFaults(self._nodes)

    def _look(self) -> None:
        """Look for signs of life, and start workers on nodes that have CPUs and no workers for them."""
        self._looked_at = time.monotonic()
        alive = {_name(node): node for node in self._roster.nodes()}
        self._alive = alive.keys()
        for node_id, present in self._nodes.items():
            present.check()
            if node_id not in alive:
                self._watch.arrived.append(NodeLost(node_id, f"node {node_id} has left the cluster"))
        if self._roster.answers():
            self._start(alive)

    def _start(self, alive: dict[str, dict[str, Any]]) -> None:
        now = time.monotonic()
        for node_id, node in sorted(alive.items()):
            if node_id not in {**self._nodes, **self._refused} and self._starts.may_start(node_id, now):
                own = node["NodeID"] == self._own_ray_id
                kind = LocalNode if own else RemoteNode
                self._nodes[node_id] = kind(node_id, node["NodeID"], self._shipment(own=own), self._watch)
        ready = {node_id: node for node_id, node in self._nodes.items() if self._starts.may_start(node_id, now)}
        known = [(node, alive[node_id]) for node_id, node in ready.items() if node_id in alive]
        for chosen in _share([(node, cpus_of(facts) - node.size) for node, facts in known], self._left()):
            chosen.start_worker()

    def _shipment(self, *, own: bool) -> ActorPayload:
        needs_depot = isinstance(self._program.aggregator, ShardedAggregator) and not own
        code, depot = self._near if own else self._far, self._depot if needs_depot else None
        return ActorPayload(self._program, self._pickled, code, self._limits.heartbeat, self._starts, depot)

    @cached_property
    def _depot(self) -> Any:
        there = NodeAffinitySchedulingStrategy(node_id=self._own_ray_id, soft=False)
        actor: Any = ray.remote(DepotActor)
        depot = actor.options(num_cpus=0, scheduling_strategy=there, **NO_RETRIES).remote()
        depot.start.remote(self._pickled, self._near)
        return depot

    @cached_property
    def _near(self) -> DriverCode:
        return DriverCode(folders=tuple(map(str, driver_folders())))

    @cached_property
    def _far(self) -> DriverCode:
        folders = driver_folders()
        return DriverCode(archive=archive_of(folders[0]) if folders else b"")

    def _left(self) -> int | None:
        if self._limits.workers is None:
            return None
        return max(0, self._limits.workers - sum(node.size for node in self._nodes.values()))

    def _refuse(self) -> list[Arrival]:
        """Leave out nodes that cannot take part, and tell of those that did; an error when none is left.

        A node whose station could not be started is forgotten too, and tried again after a pause.
        """
        refused = [node for node in self._nodes.values() if node.refused is not None]
        failed = [node for node in self._nodes.values() if node.refused is None and node.failed]
        for node in (*refused, *failed):
            self._forget(node.node_id)
        for node in refused:
            self._refused[node.node_id] = str(node.refused)
            _log.warning("%s", node.refused)
            if node.refused is not None and not self._nodes and self._refused.keys() >= self._alive:
                raise node.refused
        return [
            *(NodeLost(node.node_id, str(node.refused)) for node in refused),
            *(NodeLost(node.node_id, "its station could not be started") for node in failed),
        ]

    def _forget(self, node_id: str) -> None:
        node = self._nodes.pop(node_id, None)
        if node is not None:
            node.close()

    def _shortage(self) -> str:
        """Say what the cluster has, when none of it is to be had."""
        if self._starts.deaths is not None:
            return (
                f"no worker could be started within {self._limits.start_timeout:g} s: {self._starts.deaths}; find out "
                "what ends them (the log of Ray, the memory of the nodes, machines that are taken back)"
            )
        nodes = self._roster.nodes()
        total, free = ray.cluster_resources().get("CPU", 0), ray.available_resources().get("CPU", 0)
        return (
            f"no worker could be started within {self._limits.start_timeout:g} s: the cluster has {len(nodes)} "
            f"node(s) with {total:g} CPU(s), of which {free:g} are free, and a worker takes 1; free some, add a node, "
            "or wait longer with start_timeout"
        )


def _pickled(program: Program) -> bytes:
    try:
        return pickled_program(program)
    except Exception as error:
        named = [*map(str, program.transforms), f"aggregator {program.aggregator}", "the source"]
        parts = [*(transform.function for transform in program.transforms), program.aggregator, program.reader]
        culprits = [name for name, part in zip(named, parts, strict=True) if not can_pickle(part)]
        functions = ", ".join(culprits or named)
        raise UsageError(
            f"the flow ({functions}) cannot be sent to workers ({type(error).__name__}: {error}); let its functions "
            "make what cannot be sent (locks, open files, connections) when they are called."
        ) from error


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']}-{node['NodeID'][:8]}"


def _share(rooms: list[tuple[RayNode, int]], count: int | None) -> list[RayNode]:
    """Return the node of each of `count` new workers, one by one in turn; None for as many as there is room for."""
    turns = [node for turn in range(max((room for _, room in rooms), default=0)) for node, room in rooms if room > turn]
    return turns if count is None else turns[:count]
