"""Journeys: the six receipts of chunks, computed again from what is kept of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from elastic.core.contracts.store import ReceiptRow
from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import UNCOUNTED, UNREAD, describe_chunks
from elastic.core.receipts.receipt import NO_LINK, NO_STATE, Receipt, ReceiptSigner, digest_input
from elastic.core.receipts.stage import Stage

#: Receipts in the order of the stages.
ReceiptChain = tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """What is known of the consecutive chunks of a batch that is aggregated, one element (or 16 bytes) a chunk."""

    first: int
    attempt: int
    conceived_at: tuple[int, ...]
    entries: tuple[int, ...]
    #: digests of what the worker read
    contents: bytes
    #: digest of the partial that the chunks came back in
    state: bytes
    node_id: str
    worker_id: str
    #: they were counted and digested as they were cut, not by the worker first
    counted: bool

    @classmethod
    def of(cls, row: ReceiptRow, *, counted: bool) -> "Passage":
        """Return the passage of a row that was kept."""
        return cls(
            row.first, row.attempt, row.conceived_at, row.entries, row.contents, row.states, row.node_id,
            row.worker_id, counted,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Link:
    """The link of one stage, and what it was made of."""

    stage: Stage
    node_id: str
    entries: tuple[int, ...]
    #: 16 bytes a chunk: digests of what was read
    contents: bytes
    digest: bytes


def chain(seal: ReceiptSigner, master: str, passage: Passage) -> tuple[Link, ...]:
    """Return the links of all stages; `master` is the node of the master.

    Raises:
        ReceiptError: The passage holds a number that no receipt can hold.
    """
    late = passage.entries, passage.contents
    count = len(passage.entries)
    early = late if passage.counted else ((UNCOUNTED,) * count, UNREAD * count)
    links: list[Link] = []
    for stage, node_id, known, state in (
        (Stage.DISTRIBUTED, master, early, NO_STATE),
        (Stage.SENT, master, early, NO_STATE),
        (Stage.RECEIVED, passage.node_id, early, NO_STATE),
        (Stage.PROCESSED, passage.worker_id, late, NO_STATE),
        (Stage.RETURNED, passage.node_id, late, passage.state),
        (Stage.AGGREGATED, master, late, passage.state),
    ):
        what = digest_input(passage.first, passage.attempt, passage.conceived_at, *known)
        previous = links[-1].digest if links else NO_LINK
        links.append(Link(stage, node_id, *known, seal.stamp(stage, node_id).link(what, state, previous)))
    return tuple(links)


def receipts_of(seal: ReceiptSigner, links: tuple[Link, ...], passage: Passage) -> Iterator[ReceiptChain]:
    """Yield the receipts of each chunk of a passage whose links are known."""
    for index, conceived_at in enumerate(passage.conceived_at):
        span = slice(16 * index, 16 * index + 16)
        chunk = (passage.first + index, passage.attempt, conceived_at)
        yield tuple(
            seal.receipt(link.stage, link.node_id, (*chunk, link.entries[index]), link.contents[span], link.digest)
            for link in links
        )


def journeys(seal: ReceiptSigner, master: str, row: ReceiptRow) -> Iterator[ReceiptChain]:
    """Yield the journey of each chunk of a row that was kept.

    Raises:
        ReceiptError: The row is not what the run wrote; names its chunks.
    """
    for counted in (False, True):
        passage = Passage.of(row, counted=counted)
        links = chain(seal, master, passage)
        if links[-1].digest == row.link:
            yield from receipts_of(seal, links, passage)
            return
    raise ReceiptError(f"the kept receipts of {describe_chunks(row.first, row.first + row.count)} do not verify.")
