"""The chain: whether the receipts of a batch follow from the run's key."""

import struct
from collections.abc import Iterator, Sequence
from itertools import product

from elastic.core.chunk import UNCOUNTED, UNREAD
from elastic.core.receipt import NO_RECEIPT, Seal
from elastic.core.stage import Stage
from elastic.core.store import ReceiptRow


class Chain:
    """Computes the receipts of all six stages again, as `elastic.core.journey` does, but only their digests.

    Args:
        seal: Of the step.
        masters: Nodes on which masters of the step ran.
    """

    def __init__(self, seal: Seal, masters: Sequence[str]) -> None:
        self._seal = seal
        #: the node of the master, and whether chunks were counted as they were cut; what held last comes first
        self._ways = [(master, counted) for counted, master in product((True, False), masters)]

    def broken(self, row: ReceiptRow) -> list[int]:
        """Return the ids of the chunks whose receipts do not follow from the key; none if all do."""
        kept = [row.digests[at : at + 16] for at in range(0, 16 * row.count, 16)]
        fewest = list(range(row.first, row.first + row.count))
        for way in tuple(self._ways):
            try:
                found = list(self._last(row, *way))
            except struct.error:  # a number that no receipt can hold
                break
            differing = [row.first + n for n, pair in enumerate(zip(kept, found, strict=True)) if pair[0] != pair[1]]
            if len(differing) < len(fewest):
                fewest = differing
                self._ways.remove(way)
                self._ways.insert(0, way)
            if not fewest:
                break
        return fewest

    def _last(self, row: ReceiptRow, master: str, counted: bool) -> Iterator[bytes]:
        """Yield the digest of stage AGGREGATED of each chunk."""
        stamp = self._seal.stamp
        distributed, sent = stamp(Stage.DISTRIBUTED, master), stamp(Stage.SENT, master)
        received, processed = stamp(Stage.RECEIVED, row.node_id), stamp(Stage.PROCESSED, row.worker_id)
        returned, aggregated = stamp(Stage.RETURNED, row.node_id), stamp(Stage.AGGREGATED, master)
        for index, (entries, at) in enumerate(zip(row.entries, row.conceived_at, strict=True)):
            content = row.contents[16 * index : 16 * index + 16]
            chunk = (row.first + index, row.attempt, at)
            early, late = (entries, content) if counted else (UNCOUNTED, UNREAD), (entries, row.states)
            link = distributed(*chunk, *early, NO_RECEIPT)
            link = processed(*chunk, entries, content, received(*chunk, *early, sent(*chunk, *early, link)))
            yield aggregated(*chunk, *late, returned(*chunk, *late, link))
