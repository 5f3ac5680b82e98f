"""Partials: results of exact sets of chunks, with a report on each batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elastic.core.encoding import digest, pack
from elastic.core.model.chunk_columns import ChunkColumns, ChunkSpan
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow


@dataclass(frozen=True, slots=True)
class BatchReport(ChunkSpan):
    """Report of a worker on one batch that it has processed."""

    batch_id: int
    node_id: str
    worker_id: str
    columns: ChunkColumns
    #: True if the chunks were counted and digested when they were cut, False if the worker did so first.
    counted: bool
    processed: bytes  #: Link of stage PROCESSED, 16 bytes.
    #: Entries that failed in user code; the state does not contain them.
    dead_letters: tuple[DeadLetter, ...] = ()
    returned: bytes = b""  #: Link of stage RETURNED, added by the node's sender.

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, slots=True)
class Partial:
    """Folded result of an exact set of chunks; the ledger counts all of them or none."""

    reports: tuple[BatchReport, ...]
    #: Encoded states; more than one if neither worker nor node merged them.
    states: tuple[bytes, ...]
    #: See `digest_of`.
    digest: bytes
    #: Receipts in stored form, added by the master's receiver if all of them verify.
    rows: tuple[ReceiptRow, ...] = ()
    #: The single state as an object, if it has not left its process and the aggregator passes it `by_reference`.
    live_state: Any = None

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Dead letters of all batches."""
        return tuple(letter for report in self.reports for letter in report.dead_letters)

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
    """Return BLAKE2b-128 over the states of a partial, its chunks, and the entries that are missing from it.

    Digests of partials are unique, because no chunk is in two of them.
    """
    dead_letters = tuple(letter for report in reports for letter in report.dead_letters)
    return digest(b"".join(states) + chunks_of([(report.first, report.stop) for report in reports], dead_letters))


def chunks_of(batches: list[tuple[int, int]], dead_letters: Sequence[DeadLetter]) -> bytes:
    """Return the bytes that represent the chunks of a partial in its digest; `batches` are spans `[first, stop)`."""
    return pack([sorted(batches), [letter.plain() for letter in dead_letters]])
