"""Receipt rows: the stored form of the receipts of one batch."""

from dataclasses import dataclass

from elastic.core.model.chunk_columns import ChunkColumns, ChunkSpan


@dataclass(frozen=True, slots=True)
class ReceiptRow(ChunkSpan):
    """Stored receipts of the consecutive chunks of one batch, written when the batch is aggregated.

    From a row and the run's key every receipt of the six stages can be computed again. `link` is the last link of the
    chain, so a changed, missing or duplicated row is detected.
    """

    columns: ChunkColumns
    node_id: str
    worker_id: str
    #: Digest of the partial that contained the batch, 16 bytes.
    states: bytes
    #: Link of stage AGGREGATED, 16 bytes.
    link: bytes
    #: Number of entries that failed in user code, per chunk; empty if none failed.
    failed: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of chunks."""
        return len(self.columns)
