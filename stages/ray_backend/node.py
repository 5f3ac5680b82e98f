"""A node of a Ray cluster as the transport sees it: the master's own, and any other."""

import itertools
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from elastic.core.errors import NodeRefusedError
from elastic.core.ledger.events import BatchLost, NodeLost, WorkerJoined, WorkerLost
from elastic.stages.messages import COLLECT, Call, Reply, decode_reply, encode_call
from elastic.stages.ray_backend.actor_start import ActorPayload, Starting, greeted, said_by
from elastic.stages.ray_backend.actors import StationActor, WorkerActor
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.transport.station import COLLECT_TIMEOUT, Station
from elastic.stages.transport.transport import Arrival
from elastic.stages.worker.liveness import WorkerLiveness

_log = logging.getLogger("elastic.cluster")

#: What Ray must not do: repeat a call, or bring an actor back without what it held. Retries are the ledger's.
NO_RETRIES = {"max_restarts": 0, "max_task_retries": 0}

OnReady = Callable[[Any], list[Arrival]]


@dataclass(slots=True)
class PendingCalls:
    """The answers that are waited for, and what to do with each."""

    pending: dict[Any, OnReady] = field(default_factory=dict)
    #: what is known without waiting
    arrived: list[Arrival] = field(default_factory=list)

    def ready(self, timeout: float) -> list[Arrival]:
        """Return what all answers that are there mean; waits for the first up to `timeout` seconds.

        That a node is lost comes after all else: a worker that joins afterwards would bring back a node that is gone.
        """
        arrivals, self.arrived = self.arrived, []
        refs = list(self.pending)
        if not refs and not arrivals:
            threading.Event().wait(timeout)
        elif refs and ray.wait(refs, num_returns=1, timeout=0 if arrivals else timeout)[0]:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
            arrivals += [arrival for ref in ready for arrival in self.pending.pop(ref)(ref)]
        return sorted(arrivals, key=lambda arrival: isinstance(arrival, NodeLost))


class RayNode(ABC):
    """Starts a node's workers, gives calls to it and reads its answers."""

    on_master: bool

    def __init__(self, node_id: str, ray_id: str, shipment: ActorPayload, watch: PendingCalls) -> None:
        self.node_id, self.ray_id = node_id, ray_id
        self.workers: dict[str, Any] = {}
        #: the process of each worker that was ready
        self.process_ids: dict[str, int] = {}
        self.starting: dict[str, Starting] = {}
        #: why the node takes no part; None while it does
        self.refused: NodeRefusedError | None = None
        #: its station could not be started; the node is to be tried again
        self.failed = False
        self._shipment, self._watch = shipment, watch
        self._started = 0
        #: of the requests for what is held
        self._numbers = itertools.count(1)

    @property
    def size(self) -> int:
        return len(self.workers) + len(self.starting)

    def start_worker(self) -> None:
        """Start one more worker, which joins when it is ready."""
        worker_id = f"{self.node_id}/{self._started}"
        self._started += 1
        worker = self._actor(WorkerActor, num_cpus=1)
        hello = worker.hello.remote()
        started = worker.start.remote(
            self._shipment.pickled, self._shipment.code, (self.node_id, worker_id), self._shipment.depot
        )
        self.starting[worker_id] = Starting(worker, time.monotonic())
        self._watch.pending[hello] = lambda ref: self._on_hello(worker_id, ref)
        self._watch.pending[started] = lambda ref: self._on_started(worker_id, hello, ref)

    def forget(self, worker_id: str) -> None:
        """A worker is gone, and nobody else was told."""
        self.workers.pop(worker_id, None)

    def close(self) -> None:
        """End all actors of this node."""
        for worker in self.all_workers():
            ray.kill(worker)
        self.workers, self.starting = {}, {}

    def all_workers(self) -> list[Any]:
        """Return the workers of this node, those among them that are not ready."""
        return [*self.workers.values(), *(starting.worker for starting in self.starting.values())]

    @abstractmethod
    def send(self, call: Call | None) -> None:
        """Give a call to the node, or ask for what its workers hold."""

    def check(self) -> None:
        """Look for signs of life; called about once a second."""
        now = time.monotonic()
        for worker_id, starting in list(self.starting.items()):
            if not starting.has_spoken and self._shipment.starts.is_overdue(self.node_id, starting.began_at, now):
                # A process that is frozen now is neither up nor gone for Ray, and holds its CPU without end.
                del self.starting[worker_id]
                ray.kill(starting.worker)
                self._shipment.starts.abandoned(self.node_id)

    @abstractmethod
    def kill_station(self) -> None:
        """Let the station end, as chaos does."""

    @abstractmethod
    def _listen(self, worker_id: str, process_id: int, pulse: str) -> None:
        """Look for signs of life of a worker from now on."""

    @abstractmethod
    def _unlisten(self, worker_id: str) -> None:
        """Look no more for signs of life of a worker that has ended."""

    @abstractmethod
    def _add(self, worker_id: str, worker: Any) -> list[Arrival]:
        """Let a worker that is ready take part, at once or once its station knows of it."""

    def _actor(self, kind: type, **options: Any) -> Any:
        there = NodeAffinitySchedulingStrategy(node_id=self.ray_id, soft=False)
        return ray.remote(kind).options(scheduling_strategy=there, **NO_RETRIES, **options).remote()

    def _on_hello(self, worker_id: str, hello: Any) -> list[Arrival]:
        starting = self.starting.get(worker_id)
        if starting is None:
            return []
        try:
            process_id, pulse = greeted(hello, self.node_id)
        except NodeRefusedError as refused:
            self.refused = refused
        except ray.exceptions.RayError:
            # What its start ended with says more.
            pass
        else:
            starting.has_spoken = True
            self._shipment.starts.spoke(self.node_id, starting.began_at, time.monotonic())
            self.process_ids[worker_id] = process_id
            self._listen(worker_id, process_id, pulse)
        return []

    def _on_started(self, worker_id: str, hello: Any, started: Any) -> list[Arrival]:
        if worker_id in self.starting and not self.starting[worker_id].has_spoken:
            # Both answers may come in one; the versions are looked at first.
            self._on_hello(worker_id, hello)
        starting = self.starting.pop(worker_id, None)
        if starting is None or self.refused is not None:
            return []
        try:
            ray.get(started)
        except ray.exceptions.RayError as error:
            self._unlisten(worker_id)
            self._on_failure(error, starting.began_at)
            return []
        self._shipment.starts.succeeded(self.node_id)
        self.workers[worker_id] = starting.worker
        return self._add(worker_id, starting.worker)

    def _on_failure(self, error: Exception, began_at: float) -> bool:
        """Take in why a process of this node did not start; says whether it may be tried again."""
        said = said_by(error)
        if said is not None:
            self.refused = self.refused or NodeRefusedError(self.node_id, said)
            return False
        reason = describe_ray_error(error)
        pause = self._shipment.starts.failed(self.node_id, reason, began_at, time.monotonic())
        _log.info("a process of node %s did not start (%s); another try in %g s", self.node_id, reason, pause)
        return True

    def _joined(self, worker_id: str) -> WorkerJoined:
        return WorkerJoined(self.node_id, worker_id, self.on_master)


class LocalNode(RayNode):
    """The master's own node: its station lives in the master's process."""

    on_master = True

    def __init__(self, node_id: str, ray_id: str, shipment: ActorPayload, watch: PendingCalls) -> None:
        super().__init__(node_id, ray_id, shipment, watch)
        self._station = Station.of(shipment.program, node_id, combine=False)
        self._health = WorkerLiveness(shipment.heartbeat)
        self._collections: list[_Collection] = []

    def check(self) -> None:
        super().check()
        self._health.check()
        self._collections = [collection for collection in self._collections if not collection.is_sent]
        for collection in self._collections:
            if time.monotonic() - collection.asked_at > COLLECT_TIMEOUT:
                self._watch.arrived.append(self._station.sender.send(collection.take()))

    def kill_station(self) -> None:
        self._station.replace_endpoints(Station.of(self._shipment.program, self.node_id, combine=False))

    def send(self, call: Call | None) -> None:
        if call is None:
            self._collect()
            return
        try:
            received, worker_id = self._station.receive_call(call)
        except LookupError as error:
            self._watch.arrived.append(BatchLost(call.batch_id, str(error), suspect=False))
            return
        answer = self.workers[worker_id].work.remote(encode_call(received))
        self._watch.pending[answer] = lambda ref: self._on_answer(call.batch_id, worker_id, ref)

    def _collect(self) -> None:
        asked = self._station.workers_to_collect()
        collection = _Collection(len(asked), [Reply(node_id=self.node_id, worker_id="", batch_id=COLLECT)])
        if asked:
            self._collections.append(collection)
        else:
            self._watch.arrived += collection.replies
        for worker_id in asked:
            answer = self.workers[worker_id].collect.remote(next(self._numbers))
            self._watch.pending[answer] = self._on_collected(worker_id, collection)

    def _on_collected(self, worker_id: str, collection: "_Collection") -> OnReady:
        def on_ready(ref: Any) -> list[Arrival]:
            arrivals: list[Arrival] = []
            try:
                collection.replies.append(decode_reply(ray.get(ref)))
            except ray.exceptions.RayError as error:
                arrivals += self._on_death(worker_id, describe_ray_error(error))
            collection.expected -= 1
            if collection.expected and not collection.is_sent:
                return arrivals
            return [*arrivals, self._station.sender.send(collection.take())]

        return on_ready

    def _on_answer(self, batch_id: int, worker_id: str, ref: Any) -> list[Arrival]:
        try:
            return [self._station.return_reply(decode_reply(ray.get(ref)))]
        except ray.exceptions.RayError as error:
            reason = describe_ray_error(error)
            died = self._on_death(worker_id, reason)
            return [*died, BatchLost(batch_id, reason, suspect=self._station.is_suspect(batch_id))]

    def forget(self, worker_id: str) -> None:
        self._on_death(worker_id, "it ended")

    def _on_death(self, worker_id: str, reason: str) -> list[Arrival]:
        self._station.remove_worker(worker_id)
        self._health.forget(worker_id)
        self.workers.pop(worker_id, None)
        return [WorkerLost(self.node_id, worker_id, reason)]

    def _listen(self, worker_id: str, process_id: int, pulse: str) -> None:
        self._health.watch(worker_id, process_id, pulse)

    def _unlisten(self, worker_id: str) -> None:
        self._health.forget(worker_id)

    def _add(self, worker_id: str, worker: Any) -> list[Arrival]:
        self._station.add_worker(worker_id)
        return [self._joined(worker_id)]


@dataclass(slots=True)
class _Collection:
    """What the workers of the master's node answer to one request."""

    expected: int
    replies: list[Reply]
    asked_at: float = field(default_factory=time.monotonic)
    #: it was sent without those that are late; each of these is sent by itself
    is_sent: bool = False

    def take(self) -> list[Reply]:
        """Return the answers that were not sent yet."""
        empty = Reply(node_id=self.replies[0].node_id, worker_id="", batch_id=COLLECT)
        answers, self.replies, self.is_sent = self.replies, [empty], True
        return answers


class RemoteNode(RayNode):
    """Another node: its station is an actor there, and everything passes through that actor."""

    on_master = False

    def __init__(self, node_id: str, ray_id: str, shipment: ActorPayload, watch: PendingCalls) -> None:
        super().__init__(node_id, ray_id, shipment, watch)
        #: monotonic seconds of the station's last sign of life; None before the first
        self._heard_at: float | None = None
        self._pinged = self._closed = False
        self._began_at = time.monotonic()
        self._station = self._actor(StationActor, num_cpus=0)
        hello = self._station.hello.remote()
        heartbeat = cloudpickle.dumps(shipment.heartbeat)
        started = self._station.start.remote(shipment.pickled, shipment.code, node_id, heartbeat)
        self._watch.pending[started] = lambda ref: self._on_station(hello, ref)

    def send(self, call: Call | None) -> None:
        station = self._station
        number = next(self._numbers)
        answer = station.collect.remote(number) if call is None else station.work.remote(encode_call(call))
        self._watch.pending[answer] = self._on_answer

    def close(self) -> None:
        super().close()
        self._closed = True
        ray.kill(self._station)

    def kill_station(self) -> None:
        ray.kill(self._station)

    def check(self) -> None:
        super().check()
        if self._heard_at is None:
            if self._shipment.starts.is_overdue(self.node_id, self._began_at, time.monotonic()):
                self._shipment.starts.abandoned(self.node_id)
                self.failed = True
            return
        silence = time.monotonic() - self._heard_at
        if self._shipment.heartbeat.is_lost("station", silence):
            reason = f"the station of node {self.node_id} has been silent for {silence:.0f} s"
            self._watch.arrived.append(NodeLost(self.node_id, reason))
        elif not self._pinged:
            self._pinged = True
            self._watch.pending[self._station.ping.remote()] = self._on_pong

    def _on_pong(self, ref: Any) -> list[Arrival]:
        try:
            ray.get(ref)
        except ray.exceptions.RayError as error:
            return self._lost(error)
        self._pinged, self._heard_at = False, time.monotonic()
        return []

    def _on_station(self, hello: Any, started: Any) -> list[Arrival]:
        try:
            greeted(hello, self.node_id)
            ray.get(started)
            self._heard_at = time.monotonic()
        except NodeRefusedError as refused:
            self.refused = refused
        except ray.exceptions.RayError as error:
            self.failed = not self._closed and self._on_failure(error, self._began_at)
        return []

    def _on_answer(self, ref: Any) -> list[Arrival]:
        try:
            reply = decode_reply(ray.get(ref))
        except ray.exceptions.RayError as error:
            return self._lost(error)
        for worker_id, _ in reply.dead_workers:
            self.workers.pop(worker_id, None)
        return [reply]

    def _lost(self, error: BaseException) -> list[Arrival]:
        # What was asked before this node was given up tells nothing about the one that has taken its place.
        reason = f"the station of node {self.node_id} is gone: {describe_ray_error(error)}"
        return [] if self._closed else [NodeLost(self.node_id, reason)]

    def _listen(self, worker_id: str, process_id: int, pulse: str) -> None:
        self._watch.pending[self._station.listen.remote(worker_id, process_id, pulse)] = self._on_heard

    def _unlisten(self, worker_id: str) -> None:
        self._watch.pending[self._station.unlisten.remote(worker_id)] = self._on_heard

    def _on_heard(self, ref: Any) -> list[Arrival]:
        try:
            ray.get(ref)
        except ray.exceptions.RayError as error:
            return self._lost(error)
        return []

    def _add(self, worker_id: str, worker: Any) -> list[Arrival]:
        added = self._station.add_worker.remote(worker_id, worker)
        self._watch.pending[added] = lambda ref: self._on_added(worker_id, ref)
        return []

    def _on_added(self, worker_id: str, ref: Any) -> list[Arrival]:
        # Ray keeps no order among the calls of an actor that waits: a batch could come before the worker for it.
        try:
            ray.get(ref)
        except ray.exceptions.RayError as error:
            return self._lost(error)
        return [self._joined(worker_id)] if worker_id in self.workers else []
