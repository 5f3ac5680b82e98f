"""The placement contract: which node gets the next batch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeCandidate:
    """A node that has room for a batch."""

    node_id: str
    workers: int
    #: chunks that were sent to the node and have not come back in a result
    open_receipts: int
    on_master: bool


class Placement(ABC):
    """Chooses the node of a batch. One object serves one step."""

    @abstractmethod
    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        """Return the node id of one of `candidates`, or None to let the batch wait.

        Called each time a batch can be sent; `candidates` is never empty and sorted by node id. With a thousand nodes
        it pays not to look at all of them: a candidate is made when it is asked for.
        """
