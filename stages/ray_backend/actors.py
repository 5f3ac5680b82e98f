"""Ray actors that run a worker or a station in a process of its own."""

import asyncio
import itertools
import os
from dataclasses import replace
from typing import Any

import ray
from ray import cloudpickle

from elastic.core.errors import ClusterError
from elastic.core.program import Program
from elastic.stages.messages import COLLECT, Reply, decode_call, decode_reply, encode_call, encode_reply
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.ray_backend.spill_store import reduce_job, with_spill_store
from elastic.stages.ray_backend.startup.actor_payload import versions
from elastic.stages.ray_backend.startup.code_shipping import DriverCode
from elastic.stages.ray_backend.startup.serializers import defer_serializer_imports, register_if_needed
from elastic.stages.transport.station import COLLECT_TIMEOUT, Station
from elastic.stages.worker.entry_probe import EntryProbe
from elastic.stages.worker.liveness import WorkerLiveness, start_heartbeat
from elastic.stages.worker.worker import Worker


class CollectRequests:
    """At-most-once guard of an actor's collect requests, which carry ascending numbers.

    An actor gives up its state with the reply. A repeated request would return an empty state and so hide the loss of
    the first reply.
    """

    def __init__(self) -> None:
        self._last = 0

    def check_not_repeated(self, number: int) -> None:
        """Record the next request.

        Raises:
            ClusterError: The actor has already answered this request.
        """
        if number <= self._last:
            raise ClusterError(
                f"request {number} was already answered and its reply was lost; the collected state is gone."
            )
        self._last = number


class WorkerActor:
    """Worker in a process of its own. Ray calls one method at a time."""

    def __init__(self) -> None:
        defer_serializer_imports()

    def greet(self) -> tuple[dict[str, str], int, str]:
        """Return the versions of this node, the process id and the heartbeat file; called once, before `start`.

        The heartbeat starts here because loading the program may take long and may hang as well.
        """
        return versions(), os.getpid(), start_heartbeat()

    def start(self, program: bytes, code: DriverCode, place: tuple[str, str], spill_actor: Any) -> None:
        """Load the program; called once.

        Args:
            program: The pickled program.
            code: Modules beside the driver script.
            place: Node id and worker id.
            spill_actor: `SpillActor` of the master's node; None if this worker needs none.
        """
        code.install()
        node_id, worker_id = place
        loaded: Program = with_spill_store(cloudpickle.loads(program), spill_actor)
        register_if_needed()
        self._worker = Worker(loaded, node_id=node_id, worker_id=worker_id, probe=EntryProbe(program))
        self._requests = CollectRequests()

    def work(self, call: bytes) -> bytes:
        return encode_reply(self._worker.work(decode_call(call)))

    def collect(self, number: int) -> bytes:
        self._requests.check_not_repeated(number)
        return encode_reply(self._worker.collect())

    def reduce(self, job: bytes) -> tuple[str, Any]:
        return reduce_job(self._worker.program, job)


class StationActor:
    """Station of a remote node: an asyncio actor that calls the workers of its node."""

    def __init__(self) -> None:
        defer_serializer_imports()

    def greet(self) -> tuple[dict[str, str], int, str]:
        """Return the versions of this node, the process id, and no heartbeat file: the master pings a station."""
        return versions(), os.getpid(), ""

    def start(self, program: bytes, code: DriverCode, node_id: str, heartbeat: bytes) -> None:
        """Load the program; called once, before any worker is added."""
        code.install()
        self._station = Station.of(cloudpickle.loads(program), node_id, combine=True)
        register_if_needed()
        self._workers: dict[str, Any] = {}
        self._liveness = WorkerLiveness(cloudpickle.loads(heartbeat))
        #: Collect requests to workers that have no reply yet.
        self._collecting: set[asyncio.Future[Reply]] = set()
        self._requests, self._numbers = CollectRequests(), itertools.count(1)

    def watch_heartbeat(self, worker_id: str, process_id: int, heartbeat_file: str) -> None:
        """Begin to watch the heartbeat of a worker that is starting."""
        self._liveness.watch(worker_id, process_id, heartbeat_file)

    def unwatch_heartbeat(self, worker_id: str) -> None:
        self._liveness.forget(worker_id)

    def add_worker(self, worker_id: str, worker: Any) -> None:
        self._workers[worker_id] = worker
        self._station.add_worker(worker_id)

    async def ping(self) -> None:
        """Answer the master's ping, and kill workers whose heartbeat stopped."""
        self._liveness.check()

    async def work(self, call: bytes) -> bytes:
        """Let a worker of this node process a call, and return its reply."""
        decoded = decode_call(call)
        try:
            received, worker_id = self._station.receive_call(decoded)
        except LookupError as error:
            return encode_reply(self._worker_lost("", decoded.batch_id, str(error)))
        try:
            reply = await self._workers[worker_id].work.remote(encode_call(received))
        except ray.exceptions.RayError as error:
            lost = self._worker_lost(worker_id, decoded.batch_id, describe_ray_error(error))
            return encode_reply(replace(lost, may_be_poison=self._station.may_be_poison(decoded.batch_id)))
        return encode_reply(self._station.return_reply(decode_reply(reply)))

    async def collect(self, number: int) -> bytes:
        """Return the states of this node's workers, merged into one partial.

        The reply leaves without workers that need more than `COLLECT_TIMEOUT`; their states are in the next one.
        """
        self._requests.check_not_repeated(number)
        for worker_id in self._station.workers_to_collect():
            self._collecting.add(asyncio.ensure_future(self._collect_from(worker_id)))
        replies = [Reply(node_id=self._station.node_id, worker_id="", batch_id=COLLECT)]
        if self._collecting:
            finished, self._collecting = await asyncio.wait(self._collecting, timeout=COLLECT_TIMEOUT)
            replies += [task.result() for task in finished]
        return encode_reply(self._station.sender.send(replies))

    async def _collect_from(self, worker_id: str) -> Reply:
        try:
            return decode_reply(await self._workers[worker_id].collect.remote(next(self._numbers)))
        except ray.exceptions.RayError as error:
            return self._worker_lost(worker_id, COLLECT, describe_ray_error(error))

    def _worker_lost(self, worker_id: str, batch_id: int, reason: str) -> Reply:
        self._workers.pop(worker_id, None)
        self._station.remove_worker(worker_id)
        self._liveness.forget(worker_id)
        dead = ((worker_id, reason),)
        return Reply(node_id=self._station.node_id, worker_id=worker_id, batch_id=batch_id, dead_workers=dead)
