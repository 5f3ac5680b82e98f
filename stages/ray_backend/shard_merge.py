"""Merge of a sharded result on the workers of a Ray cluster: one job for each shard."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray

from elastic.core.errors import ElasticError, StoreError
from elastic.stages.ray_backend.node import RayNode
from elastic.stages.ray_backend.pending_calls import PendingCalls
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.ray_backend.spill_store import DONE, NO_ACCESS

#: Seconds of one wait for replies; after it the transport checks the nodes.
_POLL_SECONDS = 0.25

#: Id of the spill actor among the ids of workers.
_SPILL_ACTOR = "spill actor"

#: Processes that may die during a job before the merge fails.
_MAX_LOSSES = 4


class RayShardMerge:
    """Job queue over the workers that see the run folder; each worker runs one job at a time.

    Args:
        nodes: The transport's live mapping of nodes, by id.
        calls: Event queue of the transport.
        poll: The transport's `poll`, which handles replies and checks the nodes.
        spill_actor: Handle of a `SpillActor` that runs jobs if no worker can; None without remote nodes.
    """

    def __init__(
        self, nodes: Mapping[str, RayNode], calls: PendingCalls, poll: Callable[[float], object], spill_actor: Any
    ) -> None:
        self._nodes, self._calls, self._poll, self._spill_actor = nodes, calls, poll, spill_actor
        self._busy: set[str] = set()
        #: Workers that do not see the run folder.
        self._without_access: set[str] = set()
        #: Number and reply of finished jobs; the reply of a job that must run again is None.
        self._finished: deque[tuple[int, Any]] = deque()
        #: Processes that died, by number of the job.
        self._losses: Counter[int] = Counter()

    def run(self, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        """Yield the number and the reply of each job, and None after every poll."""
        waiting, remaining = deque(range(len(jobs))), len(jobs)
        while remaining:
            for worker_id, worker in self._idle():
                if waiting:
                    self._start(worker_id, worker, waiting.popleft(), jobs)
            self._poll(_POLL_SECONDS)
            yield None
            while self._finished:
                number, reply = self._finished.popleft()
                if reply is None:
                    waiting.append(number)
                else:
                    remaining -= 1
                    yield number, reply

    def _idle(self) -> list[tuple[str, Any]]:
        workers = {worker_id: worker for node in self._nodes.values() for worker_id, worker in node.workers.items()}
        are_starting = any(node.starting for node in self._nodes.values())
        usable = {worker_id: worker for worker_id, worker in workers.items() if worker_id not in self._without_access}
        if workers and not usable and not are_starting:
            usable = {_SPILL_ACTOR: self._require_spill_actor()}
        return [(worker_id, worker) for worker_id, worker in sorted(usable.items()) if worker_id not in self._busy]

    def _require_spill_actor(self) -> Any:
        if self._spill_actor is None or _SPILL_ACTOR in self._without_access:
            raise StoreError("no worker sees the run folder and the output folder; add a node that does.")
        return self._spill_actor

    def _start(self, worker_id: str, worker: Any, number: int, jobs: Sequence[bytes]) -> None:
        self._busy.add(worker_id)
        reply = worker.reduce.remote(jobs[number])
        self._calls.add(reply, lambda ref: self._on_reply(worker_id, number, ref))

    def _on_reply(self, worker_id: str, number: int, ref: Any) -> list[Any]:
        self._busy.discard(worker_id)
        try:
            outcome, reply = ray.get(ref)
        except ray.exceptions.RayError as error:
            # No reply names the files that the dead process had begun, so they do not become part of the result.
            self._remove_worker(worker_id)
            self._losses[number] += 1
            if self._losses[number] >= _MAX_LOSSES:
                raise StoreError(
                    f"shard {number} of the result was lost {_MAX_LOSSES} times "
                    f"({describe_ray_error(error)}); resume the run."
                ) from error
            outcome, reply = NO_ACCESS, None
        if outcome == DONE:
            self._finished.append((number, reply))
        elif outcome == NO_ACCESS:
            self._without_access.add(worker_id)
            self._finished.append((number, None))
        else:
            failure: ElasticError = reply
            raise failure
        return []

    def _remove_worker(self, worker_id: str) -> None:
        """Remove a dead worker; the transport starts another one."""
        for node in self._nodes.values():
            node.remove_worker(worker_id)
        if worker_id == _SPILL_ACTOR:
            self._spill_actor = None
