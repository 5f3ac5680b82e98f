"""The master's own node: its station runs in the master's process and calls the workers directly."""

import time
from dataclasses import dataclass, field
from typing import Any

import ray

from elastic.core.ledger.events import BatchLost, WorkerLost
from elastic.stages.messages import COLLECT, Call, Reply, decode_reply, encode_call
from elastic.stages.ray_backend.node import RayNode
from elastic.stages.ray_backend.pending_calls import OnReply, PendingCalls
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.ray_backend.startup.actor_payload import ActorPayload
from elastic.stages.transport.station import COLLECT_TIMEOUT, Station
from elastic.stages.transport.transport import Arrival
from elastic.stages.worker.liveness import WorkerLiveness


class LocalNode(RayNode):
    """Node whose station is an object of the master's process."""

    on_master = True

    def __init__(self, node_id: str, ray_id: str, payload: ActorPayload, calls: PendingCalls) -> None:
        super().__init__(node_id, ray_id, payload, calls)
        self._station = Station.of(payload.program, node_id, combine=False)
        self._liveness = WorkerLiveness(payload.heartbeat)
        self._collections: list[_Collection] = []

    def check_liveness(self) -> None:
        super().check_liveness()
        self._liveness.check()
        self._collections = [collection for collection in self._collections if not collection.is_sent]
        for collection in self._collections:
            if time.monotonic() - collection.began_at > COLLECT_TIMEOUT:
                self._calls.report(self._station.sender.send(collection.take_replies()))

    def kill_station(self) -> None:
        self._station.replace_endpoints(Station.of(self._payload.program, self.node_id, combine=False))

    def send(self, call: Call | None) -> None:
        if call is None:
            self._collect()
            return
        try:
            received, worker_id = self._station.receive_call(call)
        except LookupError as error:
            self._calls.report(BatchLost(call.batch_id, str(error), may_be_poison=False))
            return
        reply = self.workers[worker_id].work.remote(encode_call(received))
        self._calls.add(reply, lambda ref: self._on_reply(call.batch_id, worker_id, ref))

    def remove_worker(self, worker_id: str) -> None:
        self._on_death(worker_id, "it ended")

    def _collect(self) -> None:
        worker_ids = self._station.workers_to_collect()
        collection = _Collection(len(worker_ids), [Reply(node_id=self.node_id, worker_id="", batch_id=COLLECT)])
        if worker_ids:
            self._collections.append(collection)
        else:
            self._calls.report(*collection.replies)
        for worker_id in worker_ids:
            reply = self.workers[worker_id].collect.remote(next(self._collect_numbers))
            self._calls.add(reply, self._on_collected(worker_id, collection))

    def _on_collected(self, worker_id: str, collection: "_Collection") -> OnReply:
        def on_reply(ref: Any) -> list[Arrival]:
            arrivals: list[Arrival] = []
            try:
                collection.replies.append(decode_reply(ray.get(ref)))
            except ray.exceptions.RayError as error:
                arrivals += self._on_death(worker_id, describe_ray_error(error))
            collection.missing -= 1
            if collection.missing and not collection.is_sent:
                return arrivals
            return [*arrivals, self._station.sender.send(collection.take_replies())]

        return on_reply

    def _on_reply(self, batch_id: int, worker_id: str, ref: Any) -> list[Arrival]:
        try:
            return [self._station.return_reply(decode_reply(ray.get(ref)))]
        except ray.exceptions.RayError as error:
            reason = describe_ray_error(error)
            died = self._on_death(worker_id, reason)
            return [*died, BatchLost(batch_id, reason, may_be_poison=self._station.may_be_poison(batch_id))]

    def _on_death(self, worker_id: str, reason: str) -> list[Arrival]:
        self._station.remove_worker(worker_id)
        self._liveness.forget(worker_id)
        self.workers.pop(worker_id, None)
        return [WorkerLost(self.node_id, worker_id, reason)]

    def _watch_heartbeat(self, worker_id: str, process_id: int, heartbeat_file: str) -> None:
        self._liveness.watch(worker_id, process_id, heartbeat_file)

    def _unwatch_heartbeat(self, worker_id: str) -> None:
        self._liveness.forget(worker_id)

    def _add_to_station(self, worker_id: str, actor: Any) -> list[Arrival]:
        self._station.add_worker(worker_id)
        return [self._joined(worker_id)]


@dataclass(slots=True)
class _Collection:
    """Replies of the workers to one collect request of the master."""

    #: Replies that are still missing.
    missing: int
    replies: list[Reply]
    #: Monotonic seconds.
    began_at: float = field(default_factory=time.monotonic)
    #: The combined reply has been sent; every later reply is sent alone.
    is_sent: bool = False

    def take_replies(self) -> list[Reply]:
        """Return the replies that were not sent before, and mark the collection as sent."""
        empty = Reply(node_id=self.replies[0].node_id, worker_id="", batch_id=COLLECT)
        replies, self.replies, self.is_sent = self.replies, [empty], True
        return replies
