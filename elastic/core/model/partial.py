"""Partials: what comes back from the nodes and which chunks it contains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elastic.core.encoding import digest, pack
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a worker says about one batch that it has processed, one element (or 16 bytes) a chunk."""

    batch_id: int
    node_id: str
    worker_id: str
    columns: ChunkColumns
    #: True if the chunks were counted and digested when they were cut, False if the worker did so first.
    counted: bool
    processed: bytes  #: the link of stage PROCESSED, 16 bytes
    #: entries that user code failed on; they are not in the state
    letters: tuple[DeadLetter, ...] = ()
    returned: bytes = b""  #: the link of stage RETURNED, put on by the node's sender

    @property
    def first(self) -> int:
        """Id of the first chunk."""
        return self.columns.first

    @property
    def stop(self) -> int:
        """One past the last chunk id."""
        return self.columns.stop

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, slots=True)
class Partial:
    """The folded result of an exact set of chunks: counted whole or not at all."""

    reports: tuple[BatchReport, ...]
    #: encoded states; more than one when nobody on the way had a reason to merge them
    states: tuple[bytes, ...]
    #: see `digest_of`
    digest: bytes
    #: the receipts as they are kept; put on by the master's receiver when all of them verify
    rows: tuple[ReceiptRow, ...] = ()
    #: the one state itself, where it has not left its process and the aggregator passes it `by_reference`
    live_state: Any = None

    @property
    def letters(self) -> tuple[DeadLetter, ...]:
        return tuple(letter for report in self.reports for letter in report.letters)

    @property
    def first(self) -> int:
        return self.reports[0].first

    @property
    def chunks(self) -> int:
        return sum(map(len, self.reports))

    @property
    def entries(self) -> int:
        return sum(sum(report.columns.entries) for report in self.reports)


def digest_of(states: tuple[bytes, ...], reports: tuple[BatchReport, ...]) -> bytes:
    """Return BLAKE2b-128 over what a partial holds: its states, its chunks, and the entries that are missing from it.

    No two partials have the same digest, because no chunk is in two of them.
    """
    letters = tuple(letter for report in reports for letter in report.letters)
    return digest(b"".join(states) + chunks_of([(report.first, report.stop) for report in reports], letters))


def chunks_of(batches: list[tuple[int, int]], letters: Sequence[DeadLetter]) -> bytes:
    """Return what stands for the chunks of a partial in its digest; `batches` are spans `[first, stop)`."""
    return pack([sorted(batches), [letter.plain() for letter in letters]])
