"""Senders: where data leaves the master or a node, and a receipt is left for it."""

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

#: Makes a frame of bytes that are sent.
Framer = Callable[[bytes], bytes]


class MasterSender:
    """Makes a call of each batch that leaves the master."""

    def __init__(self, seal: ReceiptSigner, node_id: str, reader: Reader, frame: Framer = compress) -> None:
        self.node_id = node_id
        self._frame = frame
        self.reader = reader
        #: nodes that do not see the files that the master sees; they get them by value
        self.blind: set[str] = set()
        self._distributed = seal.mac(Stage.DISTRIBUTED, node_id)
        self._sent = seal.mac(Stage.SENT, node_id)

    def send(self, batch: Batch, node_id: str, *, collect: bool) -> Call:
        """Return the call that carries a batch to a node.

        Raises:
            SourceError: The node cannot read the source itself, and the master cannot either.
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
            counted=chunks[0].entries != UNCOUNTED,
            columns=columns,
            references=tuple(chunk.reference for chunk in chunks),
            payloads=tuple(self._payload(chunk, node_id) for chunk in chunks),
            link=self._sent.link(signed, NO_STATE, self._distributed.link(signed, NO_STATE, NO_LINK)),
        )

    def can_read_for(self, node_id: str, chunk: Chunk) -> bool:
        """Say whether sending by value could help a node that failed to read a chunk, and do so from now on."""
        if node_id == self.node_id or self.reader.probes(chunk.reference) is None:
            return False
        self.blind.add(node_id)
        return True

    def _payload(self, chunk: Chunk, node_id: str) -> bytes | None:
        if chunk.payload is None and node_id in self.blind:
            return self._frame(self.reader.read_block(chunk.reference))
        return chunk.payload


class NodeSender:
    """Sends the results of a node's workers to the master, as few of them as it can.

    Args:
        seal: Makes the receipts.
        node_id: The node.
        aggregator: Merges what several workers held; None on the master's own node, where the merge would only be
            done twice.
    """

    def __init__(
        self, seal: ReceiptSigner, node_id: str, aggregator: AnyAggregator | None, frame: Framer = compress
    ) -> None:
        self.node_id = node_id
        self._frame = frame
        self.aggregator = aggregator
        #: chunks whose results were sent
        self.chunks = 0
        self._mac = seal.mac(Stage.RETURNED, node_id)

    def send(self, replies: Sequence[Reply]) -> Reply:
        """Return one reply for several, with receipts on everything that is in it.

        Several replies are what all workers of the node held; one may also be the answer to a batch. A failure
        among them is the answer for all, since the step ends with it.
        """
        partials = [reply.partial for reply in replies if reply.partial is not None]
        lost = tuple(loss for reply in replies for loss in reply.dead_workers)
        failed = next((reply for reply in replies if reply.failure is not None), None)
        if failed is not None:
            return replace(failed, partial=None, dead_workers=lost)
        started = time.perf_counter()
        try:
            combined = self._combine(partials)
            seconds = max(reply.seconds for reply in replies) + time.perf_counter() - started
            return replace(replies[0], partial=combined, dead_workers=lost, seconds=seconds)
        except (Exception, SystemExit) as error:
            report = partials[0].reports[0]
            place, function = "the results of this node's workers", f"aggregator {self.aggregator}"
            failure = failure_of(error, chunk_id=report.first, place=place, function=function)
            failure = replace(failure, message=failure.message + hint_of(error))
            return replace(replies[0], failure=failure, dead_workers=lost)

    def _combine(self, partials: list[Partial]) -> Partial | None:
        if not partials:
            return None
        states = tuple(state for partial in partials for state in partial.states)
        if len(states) > 1 and self.aggregator is not None:
            states = (self._merge(states, self.aggregator),)
        processed = tuple(report for partial in partials for report in partial.reports)
        mark = digest_of(states, processed)
        reports = tuple(self._stamped(report, mark) for report in processed)
        self.chunks += sum(map(len, reports))
        return Partial(reports, states, mark, live_state=partials[0].live_state if len(partials) == 1 else None)

    def _merge(self, states: tuple[bytes, ...], aggregator: AnyAggregator) -> bytes:
        merged = aggregator.decode(decompress(states[0]))
        for state in states[1:]:
            merged = aggregator.merge_encoded(merged, decompress(state))
        return self._frame(aggregator.encode(merged))

    def _stamped(self, report: BatchReport, state: bytes) -> BatchReport:
        signed = report.columns.digest_input()
        return replace(report, returned=self._mac.link(signed, state, report.processed))
