"""The chain: whether the receipts of a batch follow from the run's key."""

from collections.abc import Sequence
from itertools import product

from elastic.core.errors import ReceiptError
from elastic.core.journey import Passage, chain
from elastic.core.receipt import Seal
from elastic.core.store import ReceiptRow


class Chain:
    """Computes the links of all six stages again.

    Args:
        seal: Of the step.
        masters: Nodes on which masters of the step ran.
    """

    def __init__(self, seal: Seal, masters: Sequence[str]) -> None:
        self._seal = seal
        #: the node of the master, and whether chunks were counted as they were cut; what held last comes first
        self._ways = [(master, counted) for counted, master in product((True, False), masters)]

    def holds(self, row: ReceiptRow) -> bool:
        """Say whether the receipts of the row's chunks follow from the key."""
        for way in tuple(self._ways):
            master, counted = way
            try:
                links = chain(self._seal, master, Passage.of(row, counted=counted))
            except ReceiptError:
                return False
            if links[-1].digest == row.link:
                self._ways.remove(way)
                self._ways.insert(0, way)
                return True
        return False
