"""Receivers: data enters a node or the master here and gets a receipt."""

from collections import Counter
from dataclasses import replace

from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import describe_chunks
from elastic.core.model.partial import BatchReport, Partial, digest_of
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.receipt import NO_LINK, NO_STATE, ReceiptSigner
from elastic.core.receipts.receipt_chain import chain
from elastic.core.receipts.stage import Stage
from elastic.stages.messages import Call


class NodeReceiver:
    """Receives every call that reaches a node."""

    def __init__(self, signer: ReceiptSigner, node_id: str) -> None:
        self.node_id = node_id
        #: Number of received chunks.
        self.chunks = 0
        self._mac = signer.mac(Stage.RECEIVED, node_id)

    def receive(self, call: Call) -> Call:
        """Return the call with the receipt link of this stage."""
        self.chunks += len(call.references)
        return replace(call, link=self._mac.link(call.columns.digest_input(), NO_STATE, call.link))


class MasterReceiver:
    """Receives every partial that reaches the master, and accepts it only if its receipts verify."""

    def __init__(self, signer: ReceiptSigner, node_id: str) -> None:
        self.node_id = node_id
        self._signer = signer

    def receive(self, partial: Partial) -> Partial:
        """Verify a partial against the receipts of all stages, and return it with the receipt rows to store.

        Raises:
            ReceiptError: A link does not follow from the run's key, the chunks and the previous links; names the
                chunks.
        """
        if not partial.reports:
            raise ReceiptError("a result arrived without receipts.")
        for report in partial.reports:
            _check_columns(report)
        if digest_of(partial.states, partial.reports) != partial.digest:
            raise ReceiptError(f"the result of chunk {partial.first} and others was changed in transit.")
        return replace(partial, rows=tuple(self._row(report, partial.digest) for report in partial.reports))

    def _row(self, report: BatchReport, state: bytes) -> ReceiptRow:
        row = ReceiptRow(report.columns, report.node_id, report.worker_id, state, NO_LINK)
        *_, processed, returned, aggregated = chain(self._signer, row, self.node_id, counted=report.counted)
        for link, received, sender in (
            (processed, report.processed, f"worker {report.worker_id}"),
            (returned, report.returned, f"node {report.node_id}"),
        ):
            if link.digest != received:
                chunks = describe_chunks(report.first, report.stop)
                raise ReceiptError(f"the receipts of {chunks} from {sender} do not verify.")
        return replace(row, link=aggregated.digest, failed=_failed(report))


def _failed(report: BatchReport) -> tuple[int, ...]:
    """Return the number of failed entries of each chunk, or an empty tuple if none failed."""
    if not report.dead_letters:
        return ()
    failed = Counter[int]()
    for letter in report.dead_letters:
        failed[letter.failure.chunk_id] += letter.entries
    return tuple(failed[chunk_id] for chunk_id in range(report.first, report.stop))


def _check_columns(report: BatchReport) -> None:
    """Refuse a report whose columns differ in length or contain values that no receipt can have."""
    columns, count = report.columns, len(report)
    lengths = {len(columns.cut_at) * 16, len(columns.contents)}
    numbers = (columns.first, *columns.entries, *columns.cut_at)
    is_whole = set(map(type, numbers)) == {int} and min(numbers) >= 0 and max(numbers) < 1 << 63
    links = {len(report.processed), len(report.returned)}
    if not count or (lengths, links) != ({16 * count}, {16}) or not is_whole or not 0 < columns.attempt < 1 << 32:
        raise ReceiptError(f"the receipts of chunk {report.first} from worker {report.worker_id} are damaged.")
