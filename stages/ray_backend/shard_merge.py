"""Making a wide result on the workers of a Ray cluster: a job for each shard, each of them done by whoever can."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray

from elastic.core.errors import ElasticError, StoreError
from elastic.stages.ray_backend.node import PendingCalls, RayNode
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.ray_backend.spill_store import BLIND, DONE

#: Seconds to wait for an answer before it is looked for signs of life.
_WAIT_SECONDS = 0.25

#: The id of the depot's actor among those of workers.
_DEPOT = "depot"

#: Processes that a job may end before it is given up.
_MOST_LOSSES = 4


class RayShardMerge:
    """Does jobs, on workers that see the folder of the run, one job at a time on each.

    Args:
        nodes: The nodes of the transport, by id, as it goes on changing them.
        watch: Where answers are waited for.
        wait: Waits for answers up to some seconds, and looks for signs of life.
        depot: The actor that does what no worker can; None where all nodes are the master's own.
    """

    def __init__(
        self, nodes: Mapping[str, RayNode], watch: PendingCalls, wait: Callable[[float], object], depot: Any
    ) -> None:
        self._nodes, self._watch, self._wait, self._depot = nodes, watch, wait, depot
        self._busy: set[str] = set()
        #: workers that do not see the folder
        self._blind: set[str] = set()
        self._answers: deque[tuple[int, Any]] = deque()
        self._losses: Counter[int] = Counter()

    def run(self, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        """Yield number and answer of each job, and None now and then."""
        waiting, left = deque(range(len(jobs))), len(jobs)
        while left:
            for worker_id, worker in self._idle():
                if waiting:
                    self._give(worker_id, worker, waiting.popleft(), jobs)
            self._wait(_WAIT_SECONDS)
            yield None
            while self._answers:
                number, answer = self._answers.popleft()
                if answer is None:
                    waiting.append(number)
                else:
                    left -= 1
                    yield number, answer

    def _idle(self) -> list[tuple[str, Any]]:
        workers = {worker_id: worker for node in self._nodes.values() for worker_id, worker in node.workers.items()}
        starting = any(node.starting for node in self._nodes.values())
        seeing = {worker_id: worker for worker_id, worker in workers.items() if worker_id not in self._blind}
        if workers and not seeing and not starting:
            seeing = {_DEPOT: self._the_depot()}
        return [(worker_id, worker) for worker_id, worker in sorted(seeing.items()) if worker_id not in self._busy]

    def _the_depot(self) -> Any:
        if self._depot is None or _DEPOT in self._blind:
            raise StoreError("no worker sees the folder of the run, or that of its output; use a node that does.")
        return self._depot

    def _give(self, worker_id: str, worker: Any, number: int, jobs: Sequence[bytes]) -> None:
        self._busy.add(worker_id)
        answer = worker.reduce.remote(jobs[number])
        self._watch.pending[answer] = lambda ref: self._on_answer(worker_id, number, ref)

    def _on_answer(self, worker_id: str, number: int, ref: Any) -> list[Any]:
        self._busy.discard(worker_id)
        try:
            how, answer = ray.get(ref)
        except ray.exceptions.RayError as error:
            # Its process ended; what it had begun to write is named by nobody.
            self._lose(worker_id)
            self._losses[number] += 1
            if self._losses[number] >= _MOST_LOSSES:
                raise StoreError(
                    f"shard {number} of the result was lost {_MOST_LOSSES} times "
                    f"({describe_ray_error(error)}); resume the run."
                ) from error
            how, answer = BLIND, None
        if how == DONE:
            self._answers.append((number, answer))
        elif how == BLIND:
            self._blind.add(worker_id)
            self._answers.append((number, None))
        else:
            failed: ElasticError = answer
            raise failed
        return []

    def _lose(self, worker_id: str) -> None:
        """Have no more to do with a worker that is gone; another one is started in its place."""
        for node in self._nodes.values():
            node.forget(worker_id)
        if worker_id == _DEPOT:
            self._depot = None
