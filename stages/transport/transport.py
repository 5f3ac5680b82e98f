"""The transport contract: how calls reach the nodes and replies come back."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.ledger.events import BatchLost, NodeLost, WorkerJoined, WorkerLost
from elastic.core.program import Program
from elastic.stages.messages import Call, Reply
from elastic.stages.transport.process_faults import ProcessFaults

#: What a transport reports.
Arrival = Reply | WorkerJoined | WorkerLost | NodeLost | BatchLost


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take of a cluster."""

    #: workers at most; None for one per CPU
    workers: int | None = None
    #: seconds to wait for the first worker
    start_timeout: float = 30.0
    #: when a silent process counts as lost
    heartbeat: Heartbeat = field(default_factory=Heartbeat)


class Transport(ABC):
    """Carries calls to nodes. Used by one thread; it decides nothing and repeats nothing by itself."""

    #: the master's own node, for receipts
    node_id: str

    @abstractmethod
    def open(self, program: Program) -> None:
        """Start stations and workers; those that are ready later join later, as `WorkerJoined` tells.

        Raises:
            ClusterError: The cluster cannot be reached, has no node that can take part, or no worker in time.
        """

    @abstractmethod
    def send(self, node_id: str, call: Call | None) -> None:
        """Give a call to a node without waiting; None asks for everything that its workers hold.

        Each call, and each request, is answered by exactly one `Reply`, `BatchLost` or `NodeLost`.
        """

    @abstractmethod
    def poll(self, timeout: float) -> list[Arrival]:
        """Return what has arrived; waits up to `timeout` seconds when nothing has.

        Raises:
            NoWorkerError: No worker is left, and none can be started.
        """

    def cause(self) -> BaseException | None:
        """Return what user code raised where the last call failed; None where only its text came back."""
        return None

    def reduce(self, aggregator: ShardedAggregator, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        """Have jobs of an aggregator done, and yield the number and the answer of each.

        Yields None while there is nothing to tell. The body given here does them in this process.

        Raises:
            StoreError: Something is not as it was left, or cannot be written.
            NoWorkerError: No worker is left, and none can be started.
        """
        yield from ((number, aggregator.reduce(job)) for number, job in enumerate(jobs))

    @abstractmethod
    def close(self) -> None:
        """End all workers and stations that this transport started; may be called at any time, and twice."""

    def process_faults(self) -> ProcessFaults | None:
        """Return what chaos can do to the processes behind this transport; None when there are none."""
        return None
