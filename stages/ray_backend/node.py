"""Contract of a Ray node as the transport sees it, and the start of its workers."""

import itertools
import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from elastic.core.errors import NodeRefusedError
from elastic.core.ledger.events import WorkerJoined
from elastic.stages.messages import Call
from elastic.stages.ray_backend.actors import WorkerActor
from elastic.stages.ray_backend.pending_calls import PendingCalls
from elastic.stages.ray_backend.ray_errors import describe_ray_error, startup_error
from elastic.stages.ray_backend.startup.actor_payload import ActorPayload, read_greeting
from elastic.stages.transport.transport import Arrival

_log = logging.getLogger("elastic.cluster")

#: Ray neither repeats calls nor restarts actors, because a restarted actor has lost its state. The ledger retries.
NO_RETRIES = {"max_restarts": 0, "max_task_retries": 0}


@dataclass(slots=True)
class StartingWorker:
    """Worker actor that is not ready: it waits for a CPU or a process, or loads its program."""

    actor: Any
    #: Monotonic seconds.
    began_at: float
    #: Its process has answered `greet`, and the node watches its heartbeat since then.
    has_greeted: bool = False


class RayNode(ABC):
    """Node of the cluster: starts workers, sends calls to them and reads their replies.

    Args:
        node_id: Name of the node in receipts and messages.
        ray_id: Ray's id of the node.
        payload: Arguments of every actor of the step.
        calls: Event queue of the transport.
    """

    on_master: bool

    def __init__(self, node_id: str, ray_id: str, payload: ActorPayload, calls: PendingCalls) -> None:
        self.node_id, self.ray_id = node_id, ray_id
        #: Actors of workers that are ready, by worker id.
        self.workers: dict[str, Any] = {}
        #: Process id of every worker that has greeted.
        self.process_ids: dict[str, int] = {}
        self.starting: dict[str, StartingWorker] = {}
        #: Reason why the node is excluded for the rest of the step; None while it takes part.
        self.refused: NodeRefusedError | None = None
        #: The station did not start; the transport tries the node again after a pause.
        self.station_failed = False
        self._payload, self._calls = payload, calls
        self._workers_started = 0
        self._collect_numbers = itertools.count(1)

    @property
    def worker_count(self) -> int:
        """Number of workers that are ready or starting."""
        return len(self.workers) + len(self.starting)

    def start_worker(self) -> None:
        """Start one more worker; the node reports `WorkerJoined` when it is ready."""
        worker_id = f"{self.node_id}/{self._workers_started}"
        self._workers_started += 1
        actor = self._start_actor(WorkerActor, num_cpus=1)
        greeting = actor.greet.remote()
        started = actor.start.remote(
            self._payload.pickled, self._payload.code, (self.node_id, worker_id), self._payload.spill_actor
        )
        self.starting[worker_id] = StartingWorker(actor, time.monotonic())
        self._calls.add(greeting, lambda ref: self._on_greeting(worker_id, ref))
        self._calls.add(started, lambda ref: self._on_started(worker_id, greeting, ref))

    def remove_worker(self, worker_id: str) -> None:
        """Remove a worker that died during a call of which only the caller knows; unknown ids do nothing."""
        self.workers.pop(worker_id, None)

    def close(self) -> None:
        """Kill all actors of this node."""
        for actor in self.all_workers():
            ray.kill(actor)
        self.workers, self.starting = {}, {}

    def all_workers(self) -> list[Any]:
        """Return the actors of all workers, ready or starting."""
        return [*self.workers.values(), *(starting.actor for starting in self.starting.values())]

    @abstractmethod
    def send(self, call: Call | None) -> None:
        """Send a call to one of the workers; None collects the states that the workers hold."""

    def check_liveness(self) -> None:
        """Kill processes that are silent for too long. The transport calls this about once a second."""
        now = time.monotonic()
        for worker_id, starting in list(self.starting.items()):
            if not starting.has_greeted and self._payload.starts.is_overdue(self.node_id, starting.began_at, now):
                # Ray waits without limit for a process that is frozen at its start, and keeps the CPU reserved.
                del self.starting[worker_id]
                ray.kill(starting.actor)
                self._payload.starts.abandoned(self.node_id)

    @abstractmethod
    def kill_station(self) -> None:
        """End the station, as fault injection does."""

    @abstractmethod
    def _watch_heartbeat(self, worker_id: str, process_id: int, heartbeat_file: str) -> None:
        """Begin to watch the heartbeat of a worker."""

    @abstractmethod
    def _unwatch_heartbeat(self, worker_id: str) -> None:
        """Stop watching the heartbeat of a worker whose process has ended."""

    @abstractmethod
    def _add_to_station(self, worker_id: str, actor: Any) -> list[Arrival]:
        """Add a ready worker to the station, and return the arrivals that are known at once."""

    def _start_actor(self, kind: type, **options: Any) -> Any:
        on_node = NodeAffinitySchedulingStrategy(node_id=self.ray_id, soft=False)
        return ray.remote(kind).options(scheduling_strategy=on_node, **NO_RETRIES, **options).remote()

    def _on_greeting(self, worker_id: str, greeting: Any) -> list[Arrival]:
        starting = self.starting.get(worker_id)
        if starting is None:
            return []
        try:
            process_id, heartbeat_file = read_greeting(greeting, self.node_id)
        except NodeRefusedError as refused:
            self.refused = refused
        except ray.exceptions.RayError:
            # The reply to `start` fails too, with a better reason.
            pass
        else:
            starting.has_greeted = True
            self._payload.starts.spoke(self.node_id, starting.began_at, time.monotonic())
            self.process_ids[worker_id] = process_id
            self._watch_heartbeat(worker_id, process_id, heartbeat_file)
        return []

    def _on_started(self, worker_id: str, greeting: Any, started: Any) -> list[Arrival]:
        if worker_id in self.starting and not self.starting[worker_id].has_greeted:
            # Both replies may arrive in one poll, in any order; the version check comes first.
            self._on_greeting(worker_id, greeting)
        starting = self.starting.pop(worker_id, None)
        if starting is None or self.refused is not None:
            return []
        try:
            ray.get(started)
        except ray.exceptions.RayError as error:
            self._unwatch_heartbeat(worker_id)
            self._record_failed_start(error, starting.began_at)
            return []
        self._payload.starts.succeeded(self.node_id)
        self.workers[worker_id] = starting.actor
        return self._add_to_station(worker_id, starting.actor)

    def _record_failed_start(self, error: Exception, began_at: float) -> bool:
        """Record why a process of this node did not start; return False if another try would fail as well."""
        reason = startup_error(error)
        if reason is not None:
            self.refused = self.refused or NodeRefusedError(self.node_id, reason)
            return False
        reason = describe_ray_error(error)
        pause = self._payload.starts.failed(self.node_id, reason, began_at, time.monotonic())
        _log.info("a process of node %s did not start (%s); next attempt in %g s", self.node_id, reason, pause)
        return True

    def _joined(self, worker_id: str) -> WorkerJoined:
        return WorkerJoined(self.node_id, worker_id, self.on_master)
