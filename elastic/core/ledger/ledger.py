"""The ledger: state machine of one step's chunks. No I/O, no clock, no thread.

A chunk is *waiting*, then *sent* (in a batch whose call has not ended), then *held* (a worker has folded it into a
state that the master does not have yet), then *folded*. Chunks of a lost batch return to the queue. A partial is folded
only if none of its chunks has been folded before, so every chunk is counted exactly once.

`ChunkTrace` keeps the last events of chunks, for error messages and debugging.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from elastic.core.contracts.placement import Placement
from elastic.core.errors import LedgerError
from elastic.core.ledger import events
from elastic.core.ledger.batching import BatchSizer, PendingChunks
from elastic.core.ledger.error_budget import ErrorBudget
from elastic.core.ledger.events import Event
from elastic.core.ledger.in_flight import InFlight, InFlightBatch, Node, UnfinishedChunks
from elastic.core.ledger.instructions import CollectNode, Complete, Cut, Drop, Fail, Fold, Instruction, Send
from elastic.core.ledger.loss_record import LossRecord
from elastic.core.ledger.resume_point import ResumePoint
from elastic.core.model.chunk import Chunk
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.chunk_location import ChunkLocation
from elastic.core.model.failure import Failure, abandoned_failure
from elastic.core.model.partial import Partial
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.policies.error_policy import ErrorPolicy
from elastic.core.receipts.stage import Stage


class ChunkTrace:
    """Bounded log of the last events about chunks."""

    def __init__(self) -> None:
        self._events: deque[tuple[str, int, int, str]] = deque(maxlen=2000)

    def add(self, event: str, first: int, stop: int, detail: str = "") -> None:
        """Record an event of chunks `[first, stop)`."""
        self._events.append((event, first, stop, detail))

    def of(self, first: int, stop: int) -> list[str]:
        """Return the recorded events of chunks `[first, stop)`, oldest first."""
        return [
            f"{event} [{begin}, {end}) {detail}".rstrip()
            for event, begin, end, detail in self._events
            if begin < stop and first < end
        ]


_DEFAULT = ErrorPolicy()

#: Straggler checks per speculation timeout; each check scans all calls in flight.
_CHECKS_PER_LIMIT = 20


class Ledger:
    """State machine of the chunks of one step; events enter through `handle` only.

    Args:
        tuning: Limits of the work in flight.
        placement: Chooses the node of a batch.
        error_policy: Policy for failed entries.
        ordered: True when partials must be folded in the order of their chunks.
        resume_point: Committed progress of earlier masters of this step.
    """

    def __init__(
        self,
        *,
        tuning: EngineTuning,
        placement: Placement,
        error_policy: ErrorPolicy = _DEFAULT,
        ordered: bool = False,
        resume_point: ResumePoint | None = None,
    ) -> None:
        resume_point = resume_point or ResumePoint()
        self.tuning = tuning
        self.placement = placement
        self.ordered = ordered
        #: Chunks that the result contains.
        self.folded = resume_point.folded
        #: Id of the next chunk; every smaller id is waiting, in flight, early or folded.
        self.next_id = resume_point.next_id
        #: True once the source has no more chunks.
        self.exhausted = False
        #: Total number of chunks, if known in advance; affects only the times of collections.
        self.expected: int | None = None
        #: True after `Complete` or `Fail`; the ledger then ignores all events.
        self.finished = False
        #: Number of chunks that reached each stage; a chunk that is resent counts once.
        self.reached: Counter[Stage] = Counter({stage: resume_point.counters.get(stage, 0) for stage in Stage})
        #: Number of folded `entries`, and of each kind of unusual event.
        self.counters: Counter[str] = Counter(
            {name: count for name, count in resume_point.counters.items() if name not in self.reached}
        )
        self.losses = LossRecord()
        self._now = self._speculate_at = 0.0
        self._sizer = BatchSizer(tuning)
        self._waiting = PendingChunks()
        self._flight = InFlight(tuning.calls_per_worker, tuning.collect_interval)
        #: Ordered steps only: partials that arrived before their turn, by first chunk id.
        self._early: dict[int, Partial] = {}
        self._next_batch = 0
        self._budget = ErrorBudget(error_policy)
        self._story = ChunkTrace()

    # -- entry point and queries

    def handle(self, *happened: Event) -> list[Instruction]:
        """Process events in the order in which they happened, and return the instructions that follow.

        Raises:
            LedgerError: An event is impossible in the current state.
        """
        instructions: list[Instruction] = []
        for event in happened:
            if not self.finished:
                instructions += _HANDLERS[type(event)](self, event)
        if not self.finished:
            instructions += self._plan()
        return instructions

    def missing(self) -> list[UnfinishedChunks]:
        """Return the chunks that are cut and not folded, by ascending id."""
        found = self._flight.missing()
        found += [
            UnfinishedChunks(chunk.chunk_id, chunk.chunk_id + 1, None, None, None, history.attempts)
            for chunk, history in self._waiting
        ]
        return sorted(found, key=lambda missing: missing.first)

    def whereabouts(self) -> list[ChunkLocation]:
        """Return the last known location of the chunks that were sent and are not folded."""
        return self.losses.whereabouts(self._flight, self.folded)

    def first_unfolded(self) -> Chunk | None:
        """Return the first chunk that is cut and not folded; None when all are folded."""
        return self.chunk(self.folded.low)

    def in_flight(self, chunk_ids: Iterable[int]) -> frozenset[int]:
        """Return the subset of `chunk_ids` that was sent and is not folded."""
        return frozenset(chunk_id for chunk_id in chunk_ids if self._flight.chunk(chunk_id) is not None)

    def chunk(self, chunk_id: int) -> Chunk | None:
        """Return a chunk that is cut and not folded, or None."""
        waiting = (chunk for chunk, _ in self._waiting if chunk.chunk_id == chunk_id)
        return self._flight.chunk(chunk_id) or next(waiting, None)

    def workers(self) -> dict[str, tuple[str, ...]]:
        """Return the ids of the workers of each node."""
        return {node_id: tuple(sorted(node.workers)) for node_id, node in self._flight.nodes.items()}

    def story(self, first: int, stop: int | None = None) -> list[str]:
        """Return the recorded events of chunks `[first, stop)`, oldest first."""
        return self._story.of(first, first + 1 if stop is None else stop)

    # -- events

    def _on_ticked(self, event: events.ClockTicked) -> Iterable[Instruction]:
        self._now = event.now
        return ()

    def _on_worker_joined(self, event: events.WorkerJoined) -> Iterable[Instruction]:
        node = Node(event.node_id, event.on_master, event.ahead, event.in_thread)
        self._flight.add_worker(node, event.worker_id)
        return ()

    def _on_worker_lost(self, event: events.WorkerLost) -> Iterable[Instruction]:
        node = self._flight.nodes.get(event.node_id)
        if node is None or event.worker_id not in node.workers:
            return ()
        self._flight.remove_worker(node, event.worker_id)
        self.counters["workers_lost"] += 1
        self.losses.record(event.node_id, event.worker_id, event.reason)
        return self._resend(self._flight.held_by(event.worker_id), event.reason, may_be_poison=False)

    def _on_node_lost(self, event: events.NodeLost) -> Iterable[Instruction]:
        if event.node_id not in self._flight.nodes:
            return ()
        lost = self._flight.remove_node(event.node_id)
        self.counters["nodes_lost"] += 1
        self.losses.record(event.node_id, None, event.reason)
        return self._resend(lost, event.reason, may_be_poison=False)

    def _on_chunks_cut(self, event: events.ChunksCut) -> Iterable[Instruction]:
        for chunk in event.chunks:
            if chunk.chunk_id != self.next_id:
                raise LedgerError(f"chunk {chunk.chunk_id} was cut where chunk {self.next_id} should come")
            self.next_id += 1
        self._waiting.append(self.folded.without(event.chunks))
        return ()

    def _on_source_exhausted(self, event: events.SourceExhausted) -> Iterable[Instruction]:
        self.exhausted = True
        return ()

    def _on_batch_processed(self, event: events.BatchProcessed) -> Iterable[Instruction]:
        sent = self._flight.batches.get(event.batch_id)
        if sent is None or sent.answered:
            return ()
        self._flight.mark_answered(sent)
        self._sizer.observe(len(sent.batch), event.seconds)
        node = self._flight.nodes.get(sent.node_id)
        if node is None or event.worker_id not in node.workers:
            return self._resend([sent], "its worker is gone", may_be_poison=False)
        if not self.ordered:
            self._flight.mark_held(sent, event.worker_id, self._now)
        return ()

    def _on_batch_lost(self, event: events.BatchLost) -> Iterable[Instruction]:
        sent = self._flight.batches.get(event.batch_id)
        if (
            sent is None
            or sent.answered
            or (event.result_may_exist and not self.ordered and self._flight.mark_in_doubt(sent))
        ):
            return ()
        return self._resend([sent], event.reason, may_be_poison=event.may_be_poison)

    def _on_batch_failed(self, event: events.BatchFailed) -> Iterable[Instruction]:
        is_late = event.batch_id is not None and event.batch_id not in self._flight.batches
        return [] if is_late else self._fail(event.failure)

    def _on_partial_refused(self, event: events.PartialRefused) -> Iterable[Instruction]:
        self.counters["receipts_refused"] += 1
        again = self._resend(self._answers(event.partial), event.reason, may_be_poison=True)
        return [Drop(event.partial, event.reason), *again, *self._collected(event)]

    def _on_partial_returned(self, event: events.PartialReturned) -> Iterable[Instruction]:
        if event.partial is not None:
            yield from self._take(event.partial)
        yield from self._collected(event)

    def _on_retry_requested(self, event: events.RetryRequested) -> Iterable[Instruction]:
        self._flight.request_retry(event.chunk_ids, self._now)
        return ()

    def _on_partial_merged(self, event: events.PartialMerged) -> Iterable[Instruction]:
        self._flight.mark_merged(event.node_id, event.chunks, event.seconds, growing=event.growing)
        return ()

    def _take(self, partial: Partial) -> Iterator[Instruction]:
        if self._counts_twice(partial):
            self.counters["duplicates_dropped"] += partial.chunks
            yield Drop(partial, "some of its chunks are in the result already")
            yield from self._resend(self._answers(partial), "its partial was dropped", may_be_poison=False)
        elif self.ordered:
            self._early[partial.first] = partial
            for sent in self._answers(partial):
                self._flight.mark_answered(sent)
            while not self.finished and (following := self._early.pop(self.folded.low, None)) is not None:
                yield from self._fold(following)
        else:
            yield from self._fold(partial)

    def _fold(self, partial: Partial) -> Iterator[Instruction]:
        answers = self._answers(partial)
        for sent in answers:
            self._flight.remove(sent)
        for report in partial.reports:
            self._story.add("folded", report.first, report.stop, f"from {report.worker_id}")
            self.folded.add(report.first, report.stop)
            self._flight.forget_copies(report.first, report.stop)
        if len(answers) < len(partial.reports):
            # The result of an abandoned batch has arrived: its chunks need not be resent.
            self._waiting.discard(lambda chunk: chunk.chunk_id in self.folded)
        for stage in (Stage.RECEIVED, Stage.PROCESSED, Stage.RETURNED, Stage.AGGREGATED):
            self.reached[stage] += partial.chunks
        self.counters["entries"] += partial.entries
        yield Fold(partial)
        if partial.dead_letters:
            self.counters["entries_failed"] += sum(letter.entries for letter in partial.dead_letters)
            self._budget.record([letter.failure for letter in partial.dead_letters])
            yield from self._check(self._budget.check(self.counters))

    def _check(self, excess: Fail | None) -> Iterator[Instruction]:
        if excess is not None:
            self.finished = True
            yield excess

    def _counts_twice(self, partial: Partial) -> bool:
        seen = ChunkIdSet(low=-1)
        for report in partial.reports:
            first, stop = report.first, report.stop
            if stop > self.next_id:
                raise LedgerError(f"a result came for chunk {stop - 1}, but only {self.next_id} were cut")
            early = any(first < other.stop and other.first < stop for p in self._early.values() for other in p.reports)
            if early or self.folded.overlaps(first, stop) or seen.overlaps(first, stop):
                return True
            seen.add(first, stop)
        return False

    def _answers(self, partial: Partial) -> list[InFlightBatch]:
        """Return the batches in flight that a partial answers; a batch that was abandoned is not among them."""
        batches = self._flight.batches
        named = {report.batch_id: report for report in partial.reports}
        answered = ((batches.get(batch_id), report) for batch_id, report in named.items())
        # Receipts do not contain batch ids, so an abandoned batch is recognized by its chunks.
        return [sent for sent, report in answered if sent is not None and sent.batch.first == report.first]

    def _collected(self, event: events.PartialReturned | events.PartialRefused) -> list[Instruction]:
        lost = self._flight.mark_collected(event.node_id, self._now, event.seconds) if event.collected else []
        return self._resend(lost, "its answer was lost", may_be_poison=False)

    def _resend(self, lost: list[InFlightBatch], reason: str, *, may_be_poison: bool) -> list[Instruction]:
        """Let the chunks of lost batches wait again, or give up on those that may have ended their workers."""
        for sent in lost:
            batch = sent.batch
            self._flight.remove(sent)
            chunks = self._flight.without_other_copies(self.folded.without(batch.chunks))
            self._story.add("lost", batch.first, batch.stop, reason)
            self.losses.leave(sent.node_id, sent.worker_id, batch, reason)
            self.counters["chunks_sent_again"] += len(chunks)
            history = batch.history.after_loss(chunks=len(batch), may_be_poison=may_be_poison)
            self._waiting.put_back(chunks, history)
            if chunks and history.losses >= self.tuning.max_worker_losses:
                return self._fail(abandoned_failure(chunks[0].chunk_id, history.losses, reason))
        return []

    def _fail(self, failure: Failure) -> list[Instruction]:
        self.finished = True
        return [Fail(failure)]

    # -- planning

    def _plan(self) -> Iterator[Instruction]:
        yield from self._copies(self._flight.retry_requested())
        yield from self._send()
        wanted = self._wanted()
        if wanted > 0:
            yield Cut(wanted)
        elif self._is_dry:
            yield from self._speculate()
        self._flight.bring_collections_forward(self._now, self._seconds_left())
        for node in () if self.ordered else self._flight.collectable(self._now, fresh=self._is_dry):
            if self._collection_is_due(node):
                self._flight.request_collection(node)
                yield CollectNode(node.node_id)
        if self.exhausted and self.folded.low == self.next_id:
            yield from self._check(self._budget.check(self.counters, is_end=True))
            if not self.finished:
                self.finished = True
                yield Complete()

    def _send(self) -> Iterator[Instruction]:
        while len(self._waiting) and (candidates := self._flight.candidates()):
            node_id = self.placement.choose(candidates)
            if node_id is None:
                return
            waiting, workers = len(self._waiting), self._flight.workers
            size = self._sizer.last_size(waiting, workers) if self.exhausted else self._sizer.size
            batch = self._waiting.take(self._next_batch, size, self.tuning.max_bytes_per_call)
            self._next_batch += 1
            self._flight.send(batch, node_id, self._now)
            if batch.attempt == 1:
                self.reached[Stage.DISTRIBUTED] += len(batch)
                self.reached[Stage.SENT] += len(batch)
            self._story.add("sent", batch.first, batch.stop, f"to {node_id}, attempt {batch.attempt}")
            yield Send(batch, node_id, collect=self.ordered)

    def _speculate(self) -> Iterator[Instruction]:
        """Send speculative copies of stragglers to a second worker; the first result wins."""
        if self._now < self._speculate_at:
            return
        self._speculate_at = self._now + self.tuning.speculation_timeout / _CHECKS_PER_LIMIT
        yield from self._copies(self._flight.stragglers(self._now, self._sizer.straggler_limit))

    def _copies(self, wanted: list[InFlightBatch]) -> Iterator[Instruction]:
        for sent in wanted:
            if not self._flight.credits:
                return
            candidates = self._flight.candidates_for_copy(sent)
            node_id = self.placement.choose(candidates) if candidates else None
            if node_id is None:
                continue
            copy = self._flight.speculate(sent, self._next_batch)
            self._next_batch += 1
            self._flight.send(copy, node_id, self._now)
            self.counters["chunks_speculated"] += len(copy)
            self._story.add("copied", copy.first, copy.stop, f"to {node_id}")
            yield Send(copy, node_id, collect=self.ordered)

    @property
    def _is_dry(self) -> bool:
        """True if no chunk waits and none can be cut: the source is exhausted, or its read-ahead is full."""
        return not len(self._waiting) and (self.exhausted or self._is_full)

    @property
    def _is_full(self) -> bool:
        return (
            self.next_id - len(self.folded) >= self.tuning.max_chunks_in_flight
            or self._flight.weight + self._waiting.bytes >= self.tuning.max_bytes_in_flight
        )

    def _seconds_left(self) -> float:
        """Return the estimated seconds of the work that no worker has done; infinite if unknown."""
        chunks = self.next_id if self.exhausted else self.expected
        if chunks is None or not self._flight.workers:
            return math.inf
        left = max(chunks, self.next_id) - len(self.folded) - self._flight.held_chunks
        return self._sizer.seconds_for(left) / self._flight.workers

    def _wanted(self) -> int:
        """Return the number of chunks to cut now, so that the source is not read ahead of the workers."""
        unfolded_bytes = self._flight.weight + self._waiting.bytes
        if (
            self.exhausted
            or self._waiting.bytes >= self.tuning.max_bytes_per_call
            or unfolded_bytes >= self.tuning.max_bytes_in_flight
        ):
            return 0
        room = self.tuning.max_chunks_in_flight - (self.next_id - len(self.folded))
        return min(self._flight.credits * self._sizer.size - len(self._waiting), room)

    def _collection_is_due(self, node: Node) -> bool:
        if node.collecting or not (node.held or node.doubts):
            return False
        at_work = (len(node.workers) - 1) * self.tuning.calls_per_worker
        idle = self._is_dry and node.fresh and node.calls <= at_work
        return idle or bool(node.doubts) or self._now >= node.due_at


#: Handler of each event class.
_HANDLERS: dict[type, Callable[[Ledger, Any], Iterable[Instruction]]] = {
    events.ClockTicked: Ledger._on_ticked,
    events.RetryRequested: Ledger._on_retry_requested,
    events.WorkerJoined: Ledger._on_worker_joined,
    events.WorkerLost: Ledger._on_worker_lost,
    events.NodeLost: Ledger._on_node_lost,
    events.ChunksCut: Ledger._on_chunks_cut,
    events.SourceExhausted: Ledger._on_source_exhausted,
    events.BatchProcessed: Ledger._on_batch_processed,
    events.BatchLost: Ledger._on_batch_lost,
    events.BatchFailed: Ledger._on_batch_failed,
    events.PartialReturned: Ledger._on_partial_returned,
    events.PartialMerged: Ledger._on_partial_merged,
    events.PartialRefused: Ledger._on_partial_refused,
}
