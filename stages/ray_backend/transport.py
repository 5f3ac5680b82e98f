"""Transport over a Ray cluster: one worker for each CPU, and one station on every node."""

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
from elastic.stages.ray_backend.local_node import LocalNode
from elastic.stages.ray_backend.membership import ClusterMembership, cpus_of
from elastic.stages.ray_backend.node import NO_RETRIES, RayNode
from elastic.stages.ray_backend.pending_calls import PendingCalls
from elastic.stages.ray_backend.process_faults import RayProcessFaults
from elastic.stages.ray_backend.remote_node import RemoteNode
from elastic.stages.ray_backend.shard_merge import RayShardMerge
from elastic.stages.ray_backend.spill_store import SpillActor
from elastic.stages.ray_backend.startup.actor_payload import ActorPayload
from elastic.stages.ray_backend.startup.code_shipping import DriverCode, archive_of, driver_folders
from elastic.stages.ray_backend.startup.connection import connect
from elastic.stages.ray_backend.startup.program_pickle import can_pickle, pickled_program
from elastic.stages.transport.process_faults import ProcessFaults
from elastic.stages.transport.transport import Arrival, Limits, Transport

_log = logging.getLogger("elastic.cluster")

_CHECK_SECONDS = 1.0


class RayTransport(Transport):
    """Transport that sends calls to the nodes of a Ray cluster.

    Ray restarts and repeats nothing. The transport reports a dead worker and starts another one in its place.

    Args:
        cluster: `local`, `auto` or `host:port`.
        limits: Share of the cluster that the run may use.
    """

    def __init__(self, cluster: str, limits: Limits) -> None:
        connect(cluster, cpus=limits.workers, start_timeout=limits.start_timeout)
        self._limits = limits
        self._own_ray_id = ray.get_runtime_context().get_node_id()
        self._nodes: dict[str, RayNode] = {}
        #: Reason of every refused node, by its id.
        self._refused: dict[str, str] = {}
        #: Nodes of the cluster at the last check.
        self._alive: Set[str] = frozenset()
        self._calls = PendingCalls()
        self._membership = ClusterMembership(limits.heartbeat)
        #: Monotonic seconds.
        self._checked_at = 0.0
        self.node_id = next(_name(node) for node in ray.nodes() if node["NodeID"] == self._own_ray_id)

    def open(self, program: Program) -> None:
        self._program, self._pickled = program, _pickled(program)
        self._starts = WorkerStarts(self._limits.start_timeout, time.monotonic())
        self._check_nodes()

    def send(self, node_id: str, call: Call | None) -> None:
        self._nodes[node_id].send(call)

    def poll(self, timeout: float) -> list[Arrival]:
        arrivals = self._calls.poll(timeout)
        for arrival in arrivals:
            if isinstance(arrival, NodeLost):
                self._remove_node(arrival.node_id)
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_SECONDS:
            self._check_nodes()
        if any(node.workers for node in self._nodes.values()):
            self._starts.worked(now)
        elif self._starts.is_hopeless(now) and self._membership.head_answers():
            raise NoWorkerError(self._why_no_worker(self._starts.waited(now)))
        elif self._starts.should_warn(now) and self._membership.head_answers():
            timeout = self._limits.start_timeout
            _log.warning("%s. The run waits up to %g s.", self._why_no_worker(self._starts.waited(now)), timeout)
        return arrivals + self._remove_failed_nodes()

    def reduce(self, aggregator: ShardedAggregator, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        is_remote = any(not node.on_master for node in self._nodes.values())
        return RayShardMerge(self._nodes, self._calls, self.poll, self._spill_actor if is_remote else None).run(jobs)

    def close(self) -> None:
        if (spill_actor := self.__dict__.pop("_spill_actor", None)) is not None:
            ray.kill(spill_actor)
        for node in self._nodes.values():
            node.close()
        self._nodes = {}
        self._membership.close()
        self._calls.clear()

    def process_faults(self) -> ProcessFaults:
        return RayProcessFaults(self._nodes)

    def _check_nodes(self) -> None:
        """Report nodes that left or are silent, and start workers on free CPUs."""
        self._checked_at = time.monotonic()
        alive = {_name(node): node for node in self._membership.nodes()}
        self._alive = alive.keys()
        for node_id, node in self._nodes.items():
            node.check_liveness()
            if node_id not in alive:
                self._calls.report(NodeLost(node_id, f"node {node_id} has left the cluster"))
        if self._membership.head_answers():
            self._start_workers(alive)

    def _start_workers(self, alive: dict[str, dict[str, Any]]) -> None:
        now = time.monotonic()
        for node_id, facts in sorted(alive.items()):
            if node_id not in {**self._nodes, **self._refused} and self._starts.may_start(node_id, now):
                own = facts["NodeID"] == self._own_ray_id
                kind = LocalNode if own else RemoteNode
                self._nodes[node_id] = kind(node_id, facts["NodeID"], self._payload(own=own), self._calls)
        free_cpus = [
            (node, cpus_of(alive[node_id]) - node.worker_count)
            for node_id, node in self._nodes.items()
            if node_id in alive and self._starts.may_start(node_id, now)
        ]
        for node in _round_robin(free_cpus, self._remaining_workers()):
            node.start_worker()

    def _payload(self, *, own: bool) -> ActorPayload:
        needs_spill_actor = isinstance(self._program.aggregator, ShardedAggregator) and not own
        return ActorPayload(
            self._program,
            self._pickled,
            self._local_code if own else self._remote_code,
            self._limits.heartbeat,
            self._starts,
            self._spill_actor if needs_spill_actor else None,
        )

    @cached_property
    def _spill_actor(self) -> Any:
        on_own_node = NodeAffinitySchedulingStrategy(node_id=self._own_ray_id, soft=False)
        actor: Any = ray.remote(SpillActor)
        spill_actor = actor.options(num_cpus=0, scheduling_strategy=on_own_node, **NO_RETRIES).remote()
        spill_actor.start.remote(self._pickled, self._local_code)
        return spill_actor

    @cached_property
    def _local_code(self) -> DriverCode:
        return DriverCode(folders=tuple(map(str, driver_folders())))

    @cached_property
    def _remote_code(self) -> DriverCode:
        folders = driver_folders()
        return DriverCode(archive=archive_of(folders[0]) if folders else b"")

    def _remaining_workers(self) -> int | None:
        """Return the number of workers that the run may still start; None if it has no limit."""
        if self._limits.workers is None:
            return None
        return max(0, self._limits.workers - sum(node.worker_count for node in self._nodes.values()))

    def _remove_failed_nodes(self) -> list[Arrival]:
        """Remove refused nodes and nodes whose station did not start, and return their losses.

        The transport tries a node whose station failed again after a pause.

        Raises:
            NodeRefusedError: No node of the cluster can take part.
        """
        refused = [node for node in self._nodes.values() if node.refused is not None]
        failed = [node for node in self._nodes.values() if node.refused is None and node.station_failed]
        for node in (*refused, *failed):
            self._remove_node(node.node_id)
        for node in refused:
            self._refused[node.node_id] = str(node.refused)
            _log.warning("%s", node.refused)
            if node.refused is not None and not self._nodes and self._refused.keys() >= self._alive:
                raise node.refused
        return [
            *(NodeLost(node.node_id, str(node.refused)) for node in refused),
            *(NodeLost(node.node_id, "its station could not be started") for node in failed),
        ]

    def _remove_node(self, node_id: str) -> None:
        node = self._nodes.pop(node_id, None)
        if node is not None:
            node.close()

    def _why_no_worker(self, seconds: float) -> str:
        """Return the reason why a run has had no worker for some seconds, and what to do."""
        if self._starts.deaths is not None:
            return (
                f"no worker started within {seconds:.3g} s: {self._starts.deaths}. Find out why "
                "these processes end (Ray's log files, memory of the nodes, preempted machines)"
            )
        nodes = self._membership.nodes()
        total, free = ray.cluster_resources().get("CPU", 0), ray.available_resources().get("CPU", 0)
        return (
            f"no worker started within {seconds:.3g} s: the cluster has {len(nodes)} "
            f"node(s) with {total:g} CPU(s), {free:g} of them free, and a worker takes 1. Free some CPUs, add a node, "
            "or raise start_timeout"
        )


def _pickled(program: Program) -> bytes:
    try:
        return pickled_program(program)
    except Exception as error:
        names = [*map(str, program.transforms), f"aggregator {program.aggregator}", "the source"]
        parts = [*(transform.function for transform in program.transforms), program.aggregator, program.reader]
        culprits = [name for name, part in zip(names, parts, strict=True) if not can_pickle(part)]
        functions = ", ".join(culprits or names)
        raise UsageError(
            f"the flow ({functions}) cannot be sent to workers ({type(error).__name__}: {error}); create locks, open "
            "files and connections inside its functions, when they are called."
        ) from error


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']}-{node['NodeID'][:8]}"


def _round_robin(free_cpus: list[tuple[RayNode, int]], count: int | None) -> list[RayNode]:
    """Return the node of each of `count` new workers, node by node in turn; None fills all free CPUs."""
    rounds = range(max((free for _, free in free_cpus), default=0))
    nodes = [node for number in rounds for node, free in free_cpus if free > number]
    return nodes if count is None else nodes[:count]
