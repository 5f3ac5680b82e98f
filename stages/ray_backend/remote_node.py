"""Any node but the master's own: its station is an actor on that node, and all data passes through it."""

import time
from typing import Any

import ray
from ray import cloudpickle

from elastic.core.errors import NodeRefusedError
from elastic.core.ledger.events import NodeLost
from elastic.stages.messages import Call, decode_reply, encode_call
from elastic.stages.ray_backend.actors import StationActor
from elastic.stages.ray_backend.node import RayNode
from elastic.stages.ray_backend.pending_calls import PendingCalls
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.ray_backend.startup.actor_payload import ActorPayload, read_greeting
from elastic.stages.transport.transport import Arrival


class RemoteNode(RayNode):
    """Node whose station is an actor; the master pings the station to notice its death."""

    on_master = False

    def __init__(self, node_id: str, ray_id: str, payload: ActorPayload, calls: PendingCalls) -> None:
        super().__init__(node_id, ray_id, payload, calls)
        #: Monotonic seconds of the station's last sign of life; None until the station has started.
        self._alive_at: float | None = None
        #: A ping has no reply yet.
        self._is_pinged = False
        self._is_closed = False
        self._began_at = time.monotonic()
        self._station = self._start_actor(StationActor, num_cpus=0)
        greeting = self._station.greet.remote()
        heartbeat = cloudpickle.dumps(payload.heartbeat)
        started = self._station.start.remote(payload.pickled, payload.code, node_id, heartbeat)
        self._calls.add(started, lambda ref: self._on_station_started(greeting, ref))

    def send(self, call: Call | None) -> None:
        if call is None:
            reply = self._station.collect.remote(next(self._collect_numbers))
        else:
            reply = self._station.work.remote(encode_call(call))
        self._calls.add(reply, self._on_reply)

    def close(self) -> None:
        super().close()
        self._is_closed = True
        ray.kill(self._station)

    def kill_station(self) -> None:
        ray.kill(self._station)

    def check_liveness(self) -> None:
        super().check_liveness()
        if self._alive_at is None:
            if self._payload.starts.is_overdue(self.node_id, self._began_at, time.monotonic()):
                self._payload.starts.abandoned(self.node_id)
                self.station_failed = True
            return
        silence = time.monotonic() - self._alive_at
        if self._payload.heartbeat.is_lost("station", silence):
            reason = f"the station of node {self.node_id} has been silent for {silence:.0f} s"
            self._calls.report(NodeLost(self.node_id, reason))
        elif not self._is_pinged:
            self._is_pinged = True
            self._calls.add(self._station.ping.remote(), self._on_pong)

    def _on_pong(self, ref: Any) -> list[Arrival]:
        try:
            ray.get(ref)
        except ray.exceptions.RayError as error:
            return self._node_lost(error)
        self._is_pinged, self._alive_at = False, time.monotonic()
        return []

    def _on_station_started(self, greeting: Any, started: Any) -> list[Arrival]:
        try:
            read_greeting(greeting, self.node_id)
            ray.get(started)
            self._alive_at = time.monotonic()
        except NodeRefusedError as refused:
            self.refused = refused
        except ray.exceptions.RayError as error:
            self.station_failed = not self._is_closed and self._record_failed_start(error, self._began_at)
        return []

    def _on_reply(self, ref: Any) -> list[Arrival]:
        try:
            reply = decode_reply(ray.get(ref))
        except ray.exceptions.RayError as error:
            return self._node_lost(error)
        for worker_id, _ in reply.dead_workers:
            self.workers.pop(worker_id, None)
        return [reply]

    def _node_lost(self, error: BaseException) -> list[Arrival]:
        # A closed node has been replaced by another object of the same id, to which this error does not apply.
        reason = f"the station of node {self.node_id} is gone: {describe_ray_error(error)}"
        return [] if self._is_closed else [NodeLost(self.node_id, reason)]

    def _watch_heartbeat(self, worker_id: str, process_id: int, heartbeat_file: str) -> None:
        watched = self._station.watch_heartbeat.remote(worker_id, process_id, heartbeat_file)
        self._calls.add(watched, self._on_acknowledged)

    def _unwatch_heartbeat(self, worker_id: str) -> None:
        self._calls.add(self._station.unwatch_heartbeat.remote(worker_id), self._on_acknowledged)

    def _on_acknowledged(self, ref: Any) -> list[Arrival]:
        try:
            ray.get(ref)
        except ray.exceptions.RayError as error:
            return self._node_lost(error)
        return []

    def _add_to_station(self, worker_id: str, actor: Any) -> list[Arrival]:
        added = self._station.add_worker.remote(worker_id, actor)
        self._calls.add(added, lambda ref: self._on_added(worker_id, ref))
        return []

    def _on_added(self, worker_id: str, ref: Any) -> list[Arrival]:
        # Report the worker only now: calls to an asyncio actor may overtake each other, so a batch could otherwise
        # reach the station before its worker does.
        try:
            ray.get(ref)
        except ray.exceptions.RayError as error:
            return self._node_lost(error)
        return [self._joined(worker_id)] if worker_id in self.workers else []
