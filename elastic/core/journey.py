"""Journeys: the six receipts of a chunk, computed again from what is kept of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from elastic.core.chunk import UNCOUNTED, UNREAD
from elastic.core.errors import ReceiptError
from elastic.core.receipt import NO_RECEIPT, Receipt, Seal
from elastic.core.stage import Stage
from elastic.core.store import ReceiptRow

#: Receipts in the order of the stages.
Journey = tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """What the receipts of a chunk that is aggregated say."""

    chunk_id: int
    attempt: int
    conceived_at: int
    entries: int
    #: digest of what the worker read
    content: bytes
    #: digest of the partial that the chunk came back in
    state: bytes
    node_id: str
    worker_id: str
    #: it was counted and digested as it was cut, not by the worker first
    counted: bool


def journey(seal: Seal, master: str, passage: Passage) -> Journey:
    """Return the receipts of all stages; `master` is the node of the master."""
    chunk = (passage.chunk_id, passage.attempt, passage.conceived_at)
    late = (*chunk, passage.entries)
    early, known = (late, passage.content) if passage.counted else ((*chunk, UNCOUNTED), UNREAD)
    receipts: list[Receipt] = []
    for stage, node_id, fields, content in (
        (Stage.DISTRIBUTED, master, early, known),
        (Stage.SENT, master, early, known),
        (Stage.RECEIVED, passage.node_id, early, known),
        (Stage.PROCESSED, passage.worker_id, late, passage.content),
        (Stage.RETURNED, passage.node_id, late, passage.state),
        (Stage.AGGREGATED, master, late, passage.state),
    ):
        previous = receipts[-1].digest if receipts else NO_RECEIPT
        receipts.append(seal.receipt(stage, node_id, fields, content, previous))
    return tuple(receipts)


def journeys(seal: Seal, master: str, row: ReceiptRow) -> Iterator[Journey]:
    """Yield the journey of each chunk of a row that was kept.

    Raises:
        ReceiptError: The row is not what the run wrote; names the chunk.
    """
    for index, (entries, conceived_at) in enumerate(zip(row.entries, row.conceived_at, strict=True)):
        span = slice(16 * index, 16 * index + 16)
        chunk = (row.first + index, row.attempt, conceived_at, entries, row.contents[span], row.states)
        found = (
            journey(seal, master, Passage(*chunk, row.node_id, row.worker_id, counted)) for counted in (False, True)
        )
        matching = next((receipts for receipts in found if receipts[-1].digest == row.digests[span]), None)
        if matching is None:
            raise ReceiptError(f"the kept receipts of chunk {row.first + index} do not verify.")
        yield matching
