"""Placement contract: chooses the node of each batch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeCandidate:
    """Node that accepts another batch."""

    node_id: str
    workers: int
    #: Chunks that were sent to the node and are not folded.
    open_receipts: int
    on_master: bool


class Placement(ABC):
    """Chooses the node of a batch. One object serves one step."""

    @abstractmethod
    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        """Return the node id of one of `candidates`, or None to let the batch wait.

        The ledger calls it for each batch; `candidates` is never empty and sorted by node id. The sequence is lazy:
        with a thousand nodes, avoid reading all of them.
        """
