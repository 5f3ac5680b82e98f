"""Events: what the ledger is told, in the past tense."""

from dataclasses import dataclass

from elastic.core.model.chunk import Chunk
from elastic.core.model.failure import Failure
from elastic.core.model.partial import Partial


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Time has passed."""

    now: float  #: monotonic seconds


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """The user wants chunks that are in flight to be sent again."""

    chunk_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker of a node can take batches."""

    node_id: str
    worker_id: str
    on_master: bool = False  #: the node is the master's own
    #: calls that it takes beyond `calls_per_worker`, because it prepares them while others are computed
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker is gone, with everything that it had not returned."""

    node_id: str
    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeLost:
    """A node is gone, with its workers and everything that it had not returned."""

    node_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChunksCut:
    """The source yielded chunks, with the ids that follow the last ones."""

    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class SourceExhausted:
    """The source has nothing more to yield."""


@dataclass(frozen=True, slots=True)
class BatchProcessed:
    """A worker has folded a batch into the state that it holds."""

    batch_id: int
    worker_id: str
    seconds: float  #: how long the worker took


@dataclass(frozen=True, slots=True)
class BatchLost:
    """Nobody knows what became of a batch: its call ended without an answer."""

    batch_id: int
    reason: str
    #: False when sending it again has nothing to do with the chunk, so that it need not be given up one day
    may_be_poison: bool = True
    #: True when only the answer was lost: a worker that lives on may hold the result
    result_may_exist: bool = False


@dataclass(frozen=True, slots=True)
class BatchFailed:
    """User code, or the reading of the source, failed on a batch; its worker holds nothing any more."""

    #: None when the worker failed to hand out what it held
    batch_id: int | None
    worker_id: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class PartialReturned:
    """A partial arrived and its receipts are in order; None answers a collection that found nothing held."""

    node_id: str
    partial: Partial | None
    collected: bool  #: it answers `Collect`
    seconds: float = 0.0  #: how long its node was busy with handing it out


@dataclass(frozen=True, slots=True)
class PartialMerged:
    """What a node has handed out is in the result."""

    node_id: str
    chunks: int
    seconds: float  #: how long the master took
    growing: bool = False  #: much of it was not in the result before


@dataclass(frozen=True, slots=True)
class PartialRefused:
    """A partial arrived whose receipts do not verify."""

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
