"""Senders: data leaves the master or a node here and gets a receipt."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.source import Reader
from elastic.core.encoding import compress, decompress
from elastic.core.model.chunk import UNCOUNTED, Batch, Chunk
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.partial import BatchReport, Partial, digest_of
from elastic.core.receipts.receipt import NO_LINK, NO_STATE, ReceiptSigner
from elastic.core.receipts.stage import Stage
from elastic.stages.failure_report import failure_of, hint_of
from elastic.stages.messages import Call, Reply

#: Compresses bytes that are sent.
Compress = Callable[[bytes], bytes]


class MasterSender:
    """Converts each batch that leaves the master to a call."""

    def __init__(self, signer: ReceiptSigner, node_id: str, reader: Reader, frame: Compress = compress) -> None:
        self.node_id = node_id
        self._compress = frame
        self.reader = reader
        #: Nodes that do not see the master's files; they get the data by value.
        self.without_files: set[str] = set()
        self._distributed = signer.mac(Stage.DISTRIBUTED, node_id)
        self._sent = signer.mac(Stage.SENT, node_id)

    def send(self, batch: Batch, node_id: str, *, collect: bool) -> Call:
        """Return the call that carries a batch to a node.

        Raises:
            SourceError: Neither the node nor the master can read the source.
        """
        chunks = batch.chunks
        columns = ChunkColumns(
            batch.first,
            batch.attempt,
            cut_at=tuple(chunk.cut_at for chunk in chunks),
            entries=tuple(chunk.entries for chunk in chunks),
            contents=b"".join([chunk.content for chunk in chunks]),
        )
        signed = columns.digest_input()
        return Call(
            batch_id=batch.batch_id,
            collect=collect,
            isolated=batch.isolated,
            is_copy=batch.history.copies > 0,
            counted=chunks[0].entries != UNCOUNTED,
            columns=columns,
            references=tuple(chunk.reference for chunk in chunks),
            payloads=tuple(self._payload(chunk, node_id) for chunk in chunks),
            link=self._sent.link(signed, NO_STATE, self._distributed.link(signed, NO_STATE, NO_LINK)),
        )

    def can_read_for(self, node_id: str, chunk: Chunk) -> bool:
        """Return whether the master can send chunks by value to a node that cannot read them; if so, begin to."""
        if node_id == self.node_id or self.reader.probes(chunk.reference) is None:
            return False
        self.without_files.add(node_id)
        return True

    def _payload(self, chunk: Chunk, node_id: str) -> bytes | None:
        if chunk.payload is None and node_id in self.without_files:
            return self._compress(self.reader.read_block(chunk.reference))
        return chunk.payload


class NodeSender:
    """Sends the results of a node's workers to the master, in as few replies as possible.

    Args:
        signer: Makes the receipts.
        node_id: Id of the node.
        aggregator: Merges the states of several workers; None on the master's own node, where the master merges them.
        frame: Compresses merged states.
    """

    def __init__(
        self, signer: ReceiptSigner, node_id: str, aggregator: AnyAggregator | None, frame: Compress = compress
    ) -> None:
        self.node_id = node_id
        self._compress = frame
        self.aggregator = aggregator
        #: Number of chunks whose results were sent.
        self.chunks = 0
        self._mac = signer.mac(Stage.RETURNED, node_id)

    def send(self, replies: Sequence[Reply]) -> Reply:
        """Return one reply for several, with receipts for all their results.

        Several replies are the states of all workers of the node; a single one may also be the reply to a batch. If one
        of them is a failure, it becomes the reply for all, because it ends the step.
        """
        partials = [reply.partial for reply in replies if reply.partial is not None]
        dead_workers = tuple(loss for reply in replies for loss in reply.dead_workers)
        failed = next((reply for reply in replies if reply.failure is not None), None)
        if failed is not None:
            return replace(failed, partial=None, dead_workers=dead_workers)
        started = time.perf_counter()
        try:
            combined = self._combine(partials)
            seconds = max(reply.seconds for reply in replies) + time.perf_counter() - started
            return replace(replies[0], partial=combined, dead_workers=dead_workers, seconds=seconds)
        except (Exception, SystemExit) as error:
            report = partials[0].reports[0]
            place, function = "the results of this node's workers", f"aggregator {self.aggregator}"
            failure = failure_of(error, chunk_id=report.first, place=place, function=function)
            failure = replace(failure, message=failure.message + hint_of(error))
            return replace(replies[0], failure=failure, dead_workers=dead_workers)

    def _combine(self, partials: list[Partial]) -> Partial | None:
        if not partials:
            return None
        states = tuple(state for partial in partials for state in partial.states)
        if len(states) > 1 and self.aggregator is not None:
            states = (self._merge(states, self.aggregator),)
        reports = tuple(report for partial in partials for report in partial.reports)
        partial_digest = digest_of(states, reports)
        signed = tuple(self._with_receipt(report, partial_digest) for report in reports)
        self.chunks += sum(map(len, signed))
        return Partial(
            signed, states, partial_digest, live_state=partials[0].live_state if len(partials) == 1 else None
        )

    def _merge(self, states: tuple[bytes, ...], aggregator: AnyAggregator) -> bytes:
        merged = aggregator.decode(decompress(states[0]))
        for state in states[1:]:
            merged = aggregator.merge_encoded(merged, decompress(state))
        return self._compress(aggregator.encode(merged))

    def _with_receipt(self, report: BatchReport, state: bytes) -> BatchReport:
        signed = report.columns.digest_input()
        return replace(report, returned=self._mac.link(signed, state, report.processed))
