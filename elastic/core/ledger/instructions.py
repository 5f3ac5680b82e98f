"""Instructions of the ledger to the master, in the imperative."""

from dataclasses import dataclass

from elastic.core.model.chunk import Batch
from elastic.core.model.failure import Failure
from elastic.core.model.partial import Partial


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut at most `count` more chunks from the source, and report them to the ledger."""

    count: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send a batch to a node; with `collect` the worker replies with its state instead of keeping it."""

    batch: Batch
    node_id: str
    collect: bool


@dataclass(frozen=True, slots=True)
class CollectNode:
    """Request the results that a node's workers hold."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Merge a partial into the result; the ledger counts its chunks as folded."""

    partial: Partial


@dataclass(frozen=True, slots=True)
class Drop:
    """Discard a partial: the result already contains some of its chunks, or its receipts do not verify."""

    partial: Partial
    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The source is exhausted and every chunk is folded."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The step cannot be completed."""

    failure: Failure
    #: The exceeded limit, if this failure alone would have been tolerated.
    excess: str | None = None


Instruction = Cut | Send | CollectNode | Fold | Drop | Complete | Fail
