"""Receipt chains: the six receipts of a chunk, recomputed from its stored row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import describe_chunks
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.receipt import NO_LINK, NO_STATE, Receipt, ReceiptSigner
from elastic.core.receipts.stage import Stage

#: Receipts of one chunk, in the order of the stages.
ReceiptChain = tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """Link of one stage, with the data that it signs."""

    stage: Stage
    node_id: str
    #: Columns as this stage knows them.
    columns: ChunkColumns
    #: 16 bytes.
    digest: bytes


def chain(signer: ReceiptSigner, row: ReceiptRow, master: str, *, counted: bool) -> tuple[Link, ...]:
    """Return the links of all stages of a batch.

    Args:
        signer: Signer of the step.
        row: Receipts of the batch; its own link is not read.
        master: Node of the master.
        counted: True if the chunks were counted and digested when they were cut, False if the worker did so first.

    Raises:
        ReceiptError: A number does not fit into a receipt.
    """
    early = row.columns if counted else row.columns.uncounted()
    links: list[Link] = []
    for stage, node_id, known, state in (
        (Stage.DISTRIBUTED, master, early, NO_STATE),
        (Stage.SENT, master, early, NO_STATE),
        (Stage.RECEIVED, row.node_id, early, NO_STATE),
        (Stage.PROCESSED, row.worker_id, row.columns, NO_STATE),
        (Stage.RETURNED, row.node_id, row.columns, row.states),
        (Stage.AGGREGATED, master, row.columns, row.states),
    ):
        previous = links[-1].digest if links else NO_LINK
        mac = signer.mac(stage, node_id)
        links.append(Link(stage, node_id, known, mac.link(known.digest_input(), state, previous)))
    return tuple(links)


def receipts_of(signer: ReceiptSigner, links: tuple[Link, ...]) -> Iterator[ReceiptChain]:
    """Yield the receipts of each chunk of a batch whose links are known."""
    return (receipts_at(signer, links, index) for index in range(len(links[0].columns)))


def receipts_at(signer: ReceiptSigner, links: tuple[Link, ...], index: int) -> ReceiptChain:
    """Return the receipts of the chunk at `index` of a batch with known links."""
    columns = links[0].columns
    chunk = (columns.first + index, columns.attempt, columns.cut_at[index])
    return tuple(
        signer.receipt(
            link.stage,
            link.node_id,
            (*chunk, link.columns.entries[index]),
            link.columns.content(index),
            link.digest,
        )
        for link in links
    )


def links_of_row(signer: ReceiptSigner, masters: Sequence[str], row: ReceiptRow) -> tuple[Link, ...]:
    """Return the links of a stored row.

    Raises:
        ReceiptError: The run did not write this row; the error names its chunks.
    """
    for counted, master in product((False, True), masters):
        links = chain(signer, row, master, counted=counted)
        if links[-1].digest == row.link:
            return links
    raise ReceiptError(f"the stored receipts of {describe_chunks(row.first, row.stop)} do not verify.")
