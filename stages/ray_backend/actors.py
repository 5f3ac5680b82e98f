"""Ray actors: thin shells around the station and the worker of a node."""

import asyncio
import itertools
import os
import platform
from dataclasses import replace
from typing import Any

import ray
from ray import cloudpickle

from elastic.core.errors import ClusterError
from elastic.core.program import Program
from elastic.stages.messages import COLLECT, Reply, decode_call, decode_reply, encode_call, encode_reply
from elastic.stages.ray_backend.code_shipping import DriverCode
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.ray_backend.serializers import defer_serializer_imports, register_if_needed
from elastic.stages.ray_backend.spill_store import reduced, with_spill_store
from elastic.stages.transport.station import COLLECT_TIMEOUT, Station
from elastic.stages.worker.entry_probe import EntryProbe
from elastic.stages.worker.liveness import WorkerLiveness, start_heartbeat
from elastic.stages.worker.worker import Worker
from elastic.version import __version__


def versions() -> dict[str, str]:
    """Return the versions that must be the same on all nodes."""
    return {"Elastic": __version__, "Ray": ray.__version__, "Python": platform.python_version()}


class CollectRequests:
    """The requests for what an actor holds, by their numbers: each is answered once.

    What was handed out is held no more. When the answer is lost and the call is repeated, an empty answer would hide
    that; an error says it.
    """

    def __init__(self) -> None:
        self._last = 0

    def check_not_repeated(self, number: int) -> None:
        """Take in the next request.

        Raises:
            ClusterError: It was answered before.
        """
        if number <= self._last:
            raise ClusterError(f"request {number} was answered before; its answer was lost on the way, and is no more.")
        self._last = number


class WorkerActor:
    """A worker in a process of its own."""

    def __init__(self) -> None:
        defer_serializer_imports()

    def hello(self) -> tuple[dict[str, str], int, str]:
        """Return the versions of this node, this process's id, and the file of its signs of life; called once.

        It gives them from now on: loading the program may take long, and a process may freeze at that too.
        """
        return versions(), os.getpid(), start_heartbeat()

    def start(self, program: bytes, code: DriverCode, place: tuple[str, str], depot: Any) -> None:
        """Load the program; called once.

        Args:
            program: What is run, pickled.
            code: The code beside the driver.
            place: The node, and this worker.
            depot: Keeps files for this node; None where that is not needed.
        """
        code.install()
        node_id, worker_id = place
        loaded: Program = with_spill_store(cloudpickle.loads(program), depot)
        register_if_needed()
        self._worker = Worker(loaded, node_id=node_id, worker_id=worker_id, cell=EntryProbe(program))
        self._requests = CollectRequests()

    def work(self, call: bytes) -> bytes:
        return encode_reply(self._worker.work(decode_call(call)))

    def collect(self, number: int) -> bytes:
        self._requests.check_not_repeated(number)
        return encode_reply(self._worker.collect())

    def reduce(self, job: bytes) -> tuple[str, Any]:
        return reduced(self._worker.program, job)


class StationActor:
    """The station of a node that is not the master's."""

    def __init__(self) -> None:
        defer_serializer_imports()

    def hello(self) -> tuple[dict[str, str], int, str]:
        """Return the versions of this node, and this process's id; its signs of life are its answers to `ping`."""
        return versions(), os.getpid(), ""

    def start(self, program: bytes, code: DriverCode, node_id: str, heartbeat: bytes) -> None:
        """Load the program; called once, before any worker is added."""
        code.install()
        self._station = Station.of(cloudpickle.loads(program), node_id, combine=True)
        register_if_needed()
        self._workers: dict[str, Any] = {}
        self._health = WorkerLiveness(cloudpickle.loads(heartbeat))
        #: requests to workers that are not answered
        self._asked: set[asyncio.Future[Reply]] = set()
        self._requests, self._numbers = CollectRequests(), itertools.count(1)

    def listen(self, worker_id: str, process_id: int, pulse: str) -> None:
        """Look for signs of life of a worker that is being started."""
        self._health.watch(worker_id, process_id, pulse)

    def unlisten(self, worker_id: str) -> None:
        self._health.forget(worker_id)

    def add_worker(self, worker_id: str, worker: Any) -> None:
        self._workers[worker_id] = worker
        self._station.add_worker(worker_id)

    async def ping(self) -> None:
        """Give a sign of life, and look for those of the workers."""
        self._health.check()

    async def work(self, call: bytes) -> bytes:
        """Have a call done by one of this node's workers."""
        decoded = decode_call(call)
        try:
            received, worker_id = self._station.receive_call(decoded)
        except LookupError as error:
            return encode_reply(self._lost("", decoded.batch_id, str(error)))
        try:
            answer = await self._workers[worker_id].work.remote(encode_call(received))
        except ray.exceptions.RayError as error:
            lost = self._lost(worker_id, decoded.batch_id, describe_ray_error(error))
            return encode_reply(replace(lost, suspect=self._station.is_suspect(decoded.batch_id)))
        return encode_reply(self._station.return_reply(decode_reply(answer)))

    async def collect(self, number: int) -> bytes:
        """Return what the workers of this node hold, merged into one partial.

        A worker that does not answer in time is not waited for; what it says then is in the next answer.
        """
        self._requests.check_not_repeated(number)
        for worker_id in self._station.workers_to_collect():
            self._asked.add(asyncio.ensure_future(self._answer_of(worker_id)))
        replies = [Reply(node_id=self._station.node_id, worker_id="", batch_id=COLLECT)]
        if self._asked:
            answered, self._asked = await asyncio.wait(self._asked, timeout=COLLECT_TIMEOUT)
            replies += [task.result() for task in answered]
        return encode_reply(self._station.sender.send(replies))

    async def _answer_of(self, worker_id: str) -> Reply:
        try:
            return decode_reply(await self._workers[worker_id].collect.remote(next(self._numbers)))
        except ray.exceptions.RayError as error:
            return self._lost(worker_id, COLLECT, describe_ray_error(error))

    def _lost(self, worker_id: str, batch_id: int, reason: str) -> Reply:
        self._workers.pop(worker_id, None)
        self._station.remove_worker(worker_id)
        self._health.forget(worker_id)
        return Reply(
            node_id=self._station.node_id, worker_id=worker_id, batch_id=batch_id, dead_workers=((worker_id, reason),)
        )
