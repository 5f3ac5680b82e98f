"""Contract of transports: how calls reach the nodes and replies come back."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.ledger.events import BatchLost, NodeLost, WorkerJoined, WorkerLost
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.program import Program
from elastic.stages.messages import Call, Reply
from elastic.stages.transport.process_faults import ProcessFaults

#: Event that a transport reports.
Arrival = Reply | WorkerJoined | WorkerLost | NodeLost | BatchLost


@dataclass(frozen=True, slots=True)
class Limits:
    """Share of a cluster that a run may use."""

    #: Maximum number of workers; None for one per CPU.
    workers: int | None = None
    #: Seconds to wait for the first worker.
    start_timeout: float = EngineTuning().start_timeout
    #: Decides when a silent process counts as lost.
    heartbeat: Heartbeat = field(default_factory=Heartbeat)


class Transport(ABC):
    """Sends calls to nodes. Used by one thread; it makes no decisions and repeats nothing by itself."""

    #: Id of the master's own node, for receipts.
    node_id: str

    @abstractmethod
    def open(self, program: Program) -> None:
        """Start stations and workers; each worker joins with a `WorkerJoined` when it is ready.

        Raises:
            ClusterError: The cluster cannot be reached, no node can take part, or no worker starts in time.
        """

    @abstractmethod
    def send(self, node_id: str, call: Call | None) -> None:
        """Send a call to a node without waiting; None collects the states of its workers.

        The transport answers each call and each collection with exactly one `Reply`, `BatchLost` or `NodeLost`.
        """

    @abstractmethod
    def poll(self, timeout: float) -> list[Arrival]:
        """Return the events that have arrived; wait up to `timeout` seconds if there are none.

        Raises:
            NoWorkerError: No worker is left, and none can be started.
        """

    def cause(self) -> BaseException | None:
        """Return the exception of user code in the last failed call; None if only its text came back."""
        return None

    def reduce(self, aggregator: ShardedAggregator, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes] | None]:
        """Run merge jobs of an aggregator, and yield the number and the reply of each.

        Yields None while no reply is ready. The default implementation runs the jobs in this process.

        Raises:
            StoreError: A spill file has changed, or the result cannot be written.
            NoWorkerError: No worker is left, and none can be started.
        """
        yield from ((number, aggregator.reduce(job)) for number, job in enumerate(jobs))

    @abstractmethod
    def close(self) -> None:
        """End all workers and stations that this transport started; may be called at any time, and twice."""

    def process_faults(self) -> ProcessFaults | None:
        """Return the fault injection for the processes behind this transport; None if there are none."""
        return None
