"""Instructions: what the ledger wants done, in the imperative."""

from dataclasses import dataclass

from elastic.core.model.chunk import Batch
from elastic.core.model.failure import Failure
from elastic.core.model.partial import Partial


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut at most `count` more chunks from the source, and tell the ledger what came."""

    count: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send a batch to a node; with `collect` the worker answers with its state, not only with word of it."""

    batch: Batch
    node_id: str
    collect: bool


@dataclass(frozen=True, slots=True)
class CollectNode:
    """Ask a node for what its workers hold."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Merge a partial into the result. It is in the folded set from now on."""

    partial: Partial


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget a partial: some of its chunks are in the result already, or it was refused."""

    partial: Partial
    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The source is exhausted and every chunk is folded."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The step cannot be completed."""

    failure: Failure
    #: why it ends because of this failure, when one alone would be borne
    excess: str | None = None


Instruction = Cut | Send | CollectNode | Fold | Drop | Complete | Fail
