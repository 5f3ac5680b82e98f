"""Events that the master reports to the ledger, in the past tense."""

from dataclasses import dataclass

from elastic.core.model.chunk import Chunk
from elastic.core.model.failure import Failure
from elastic.core.model.partial import Partial


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Time has passed."""

    now: float  #: Monotonic seconds.


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """The user asked to resend chunks that are in flight."""

    chunk_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker of a node is ready for batches."""

    node_id: str
    worker_id: str
    on_master: bool = False  #: True for the master's own node.
    #: Calls that it accepts beyond `calls_per_worker`, because it prefetches their data.
    ahead: int = 0
    #: True if it works and encodes in the master's thread: while one of them works, the other waits.
    in_thread: bool = False


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker died; the results that it held are lost."""

    node_id: str
    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeLost:
    """A node was lost, with its workers and the results that they held."""

    node_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChunksCut:
    """The source yielded chunks, whose ids follow the previous ones."""

    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class SourceExhausted:
    """The source has no more chunks."""


@dataclass(frozen=True, slots=True)
class BatchProcessed:
    """A worker has folded a batch into the state that it holds."""

    batch_id: int
    worker_id: str
    seconds: float  #: Duration on the worker.


@dataclass(frozen=True, slots=True)
class BatchLost:
    """The call for a batch ended without a reply; its result is unknown."""

    batch_id: int
    reason: str
    #: False if the loss was not caused by the chunk, so that it does not count towards `max_worker_losses`.
    may_be_poison: bool = True
    #: True if only the reply was lost: a live worker may hold the result.
    result_may_exist: bool = False


@dataclass(frozen=True, slots=True)
class BatchFailed:
    """User code or the reader raised on a batch; its worker has discarded the results that it held."""

    #: None if the worker failed while it returned its held results.
    batch_id: int | None
    worker_id: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class PartialReturned:
    """A partial arrived and its receipts verify; None is the reply of a collection that found no held results."""

    node_id: str
    partial: Partial | None
    collected: bool  #: True for the reply to `CollectNode`.
    seconds: float = 0.0  #: Duration of the collection on its node.


@dataclass(frozen=True, slots=True)
class PartialMerged:
    """The master merged a partial of a node into the result."""

    node_id: str
    chunks: int
    seconds: float  #: Duration of the merge.
    growing: bool = False  #: True if many of its keys were new.


@dataclass(frozen=True, slots=True)
class PartialRefused:
    """A partial arrived, and its receipts do not verify."""

    node_id: str
    partial: Partial
    collected: bool
    reason: str
    seconds: float = 0.0


Event = (
    ClockTicked
    | WorkerJoined
    | WorkerLost
    | NodeLost
    | ChunksCut
    | SourceExhausted
    | BatchProcessed
    | BatchLost
    | RetryRequested
    | BatchFailed
    | PartialReturned
    | PartialMerged
    | PartialRefused
)
