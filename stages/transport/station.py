"""Station of a node: its receiver, its sender, and the choice of a worker for each call."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.program import Program
from elastic.stages.messages import Call, Reply
from elastic.stages.transport.receiver import NodeReceiver
from elastic.stages.transport.sender import NodeSender

#: Seconds to wait for all replies to a collect request, before the available ones are sent without the others.
COLLECT_TIMEOUT = 1.0


@dataclass(slots=True)
class Station:
    """Gateway for all data to and from a node."""

    node_id: str
    receiver: NodeReceiver
    sender: NodeSender
    #: Unanswered batches of each worker, in the order in which it processes them.
    calls: dict[str, list[int]] = field(default_factory=dict)

    #: Logical time (count of starts and ends of calls) of the last start or end on each worker.
    _active_at: dict[str, int] = field(default_factory=dict)
    _events: Iterator[int] = field(default_factory=count)
    _in_progress_when_lost: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, program: Program, node_id: str, *, combine: bool) -> "Station":
        """Return the station of a node; with `combine`, its sender merges the states of its workers."""
        signer = program.signer
        aggregator: AnyAggregator | None = program.aggregator if combine else None
        return cls(node_id, NodeReceiver(signer, node_id), NodeSender(signer, node_id, aggregator, program.frame))

    def replace_endpoints(self, other: "Station") -> None:
        """Continue with the receiver and the sender of another station, as after a restart."""
        self.receiver, self.sender = other.receiver, other.sender

    def add_worker(self, worker_id: str) -> None:
        self.calls[worker_id] = []
        self._active_at[worker_id] = next(self._events)

    def workers_to_collect(self) -> list[str]:
        """Return idle workers, or all workers if none is idle."""
        idle = [worker_id for worker_id, calls in self.calls.items() if not calls]
        return idle or list(self.calls)

    def remove_worker(self, worker_id: str) -> None:
        """Remove a worker, and remember the batch that it was processing."""
        lost = self.calls.pop(worker_id, [])
        self._active_at.pop(worker_id, None)
        self._in_progress_when_lost.update(lost[:1])

    def may_be_poison(self, batch_id: int) -> bool:
        """Return whether a dead worker was processing a batch."""
        return batch_id in self._in_progress_when_lost

    def receive_call(self, call: Call) -> tuple[Call, str]:
        """Receive a call and assign it to the worker with the fewest calls.

        A speculative copy must not wait behind the call that it copies. It goes to an idle worker, or to the one that
        was last active, because the worker that has the chunks has been silent for long.

        Raises:
            LookupError: The node has no worker.
        """
        if not self.calls:
            raise LookupError(f"node {self.node_id} has no worker")
        if call.is_copy:
            worker_id = min(self.calls, key=lambda worker: (len(self.calls[worker]) > 0, -self._active_at[worker]))
        else:
            worker_id = min(self.calls, key=lambda worker: (len(self.calls[worker]), worker))
        if not self.calls[worker_id]:
            self._active_at[worker_id] = next(self._events)
        self.calls[worker_id].append(call.batch_id)
        return self.receiver.receive(call), worker_id

    def return_reply(self, reply: Reply) -> Reply:
        """Send a worker's reply to a batch on to the master."""
        if reply.worker_id in self.calls:
            self.calls[reply.worker_id].remove(reply.batch_id)
            self._active_at[reply.worker_id] = next(self._events)
        return self.sender.send([reply])
