"""Master: executes the instructions of the ledger for one step, and ends the step in its final state."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from elastic.aggregators import Nothing
from elastic.core.contracts.store import Commit, RunStore
from elastic.core.errors import (
    ClusterLostError,
    CorruptStoreError,
    ElasticError,
    EntryError,
    FencedError,
    NoWorkerError,
    ReceiptError,
    StepFailedError,
    StepInterruptedError,
    StepSuspendedError,
    StoreError,
)
from elastic.core.interrupts import hold_interrupts
from elastic.core.ledger import events, instructions
from elastic.core.ledger.events import Event
from elastic.core.ledger.instructions import Fail, Instruction
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk import Chunk
from elastic.core.model.chunk_location import Loss
from elastic.core.model.failure import Failure
from elastic.core.model.partial import Partial
from elastic.core.model.step import Progress, StepState
from elastic.core.policies.error_policy import OnError
from elastic.core.receipts.merkle import InputTree
from elastic.core.receipts.receipt import NO_LINK
from elastic.core.receipts.stage import STAGES, Stage
from elastic.engine.chunk_admission import ChunkAdmission
from elastic.engine.chunker import Chunker
from elastic.engine.interceptor_dispatch import InterceptorDispatch
from elastic.engine.result import Result
from elastic.engine.step_context import StepContext
from elastic.engine.step_progress import FlightNotes, LiveViews, progress_of, unusual
from elastic.stages.messages import COLLECT, Reply
from elastic.stages.transport.receiver import MasterReceiver
from elastic.stages.transport.sender import MasterSender
from elastic.stages.transport.transport import Arrival, Transport

#: Errors of the disk and of the cluster, and those among them that no resume can overcome.
_INFRASTRUCTURE_ERRORS = (StoreError, ClusterLostError, NoWorkerError)
_PERMANENT_ERRORS = (CorruptStoreError, FencedError)


def final_state_for(failed: ElasticError, run_id: str, *, is_durable: bool) -> tuple[StepState, ElasticError]:
    """Return the final state of a failed step, and the error for the user.

    Args:
        failed: The error that ended the step.
        run_id: The run.
        is_durable: True if commits of the run outlive this process, so that the run can be resumed.
    """
    if isinstance(failed, StepInterruptedError):
        return StepState.INTERRUPTED, failed
    if is_durable and isinstance(failed, _INFRASTRUCTURE_ERRORS) and not isinstance(failed, _PERMANENT_ERRORS):
        suspended = StepSuspendedError(run_id, str(failed).rstrip("."))
        suspended.__cause__ = failed
        return StepState.SUSPENDED, suspended
    return StepState.ERROR, failed


def error_for(failed: Fail, run_id: str, cause: BaseException | None = None) -> StepFailedError:
    """Return the error of a step that ends because entries failed.

    Args:
        failed: The instruction that ends the step.
        run_id: The run.
        cause: Exception of the user function, if it was raised in this process; else an `EntryError` with its text
            becomes the cause.
    """
    failure = failed.failure
    reason = str(failure) if failed.excess is None else f"{failed.excess}: {failure}"
    error = StepFailedError(run_id, reason, failure.traceback)
    if failed.excess is not None:
        cause = None  # the exception of another entry, which was skipped
    if cause is None and failure.traceback:
        cause = EntryError(f"{failure.error_type}: {failure.message}")
        cause.add_note(failure.traceback)
    error.__cause__ = cause
    return error


_log = logging.getLogger("elastic.master")

#: Minimum pause between commits, as a multiple of the last commit's duration.
_COMMIT_PAUSE_RATIO = 10

#: Seconds after which the number of sent chunks is committed even if no result arrived, so that a resume can report how
#: many chunks run again.
_SENT_COMMIT_INTERVAL = 0.5

#: Seconds between checks whether pending merges are done, so that they can be committed.
_MERGE_POLL_SECONDS = 0.05

#: Seconds a commit may be overdue before the master blocks until pending merges finish.
_MAX_COMMIT_DELAY = 5.0

#: Seconds between progress notifications.
_PROGRESS_INTERVAL = 0.25


class Master:
    """Event loop of one step, in one thread.

    Other threads may call `value`, `progress`, `losses`, `retry` and `stop`.
    """

    def __init__(
        self,
        context: StepContext,
        *,
        chunker: Chunker,
        ledger: Ledger,
        transport: Transport,
        store: RunStore,
        interceptors: InterceptorDispatch,
    ) -> None:
        program, clock = context.program, context.clock
        self.context, self.ledger, self.transport, self.store = context, ledger, transport, store
        self.interceptors, self.clock, self._chunker = interceptors, clock, chunker
        self._signer = signer = program.signer
        self._sender = MasterSender(signer, transport.node_id, program.reader, program.frame)
        self._receiver = MasterReceiver(signer, transport.node_id)
        self._admission = ChunkAdmission(
            chunker,
            store.chunks(program.step) if chunker.keeps else None,
            clock=clock,
            tuning=context.tuning,
            token=self._token,
        )
        self._aggregation = context.aggregation
        self._keeps_dead_letters = program.error_policy.on_error is OnError.DEAD_LETTER
        self._tree = InputTree()
        for row in store.receipts(program.step) if len(ledger.folded) else ():
            self._tree.fold(row)
        self._root = ""
        self._pending: deque[Instruction] = deque()
        self._failed: instructions.Fail | None = None
        self._stopped = False
        #: chunks that the user asked to resend, until the ledger gets the request
        self._retry_requests: frozenset[int] = frozenset()
        self._outcome = StepState.IN_PROGRESS
        self._notified_at = self._began = self._commit_due = self._moved_at = self._committed_at = clock.monotonic()
        self._notes = FlightNotes(store, program.step, ledger, clock)
        self._live = LiveViews(context, store, ledger)
        #: number of sent chunks in the last commit
        self._committed_sent = 0
        #: guards the ledger, because other threads read its progress
        self._lock = threading.Lock()

    # -- from any thread

    def value(self) -> Any:
        """Return the aggregator's result over all chunks folded so far."""
        return self._aggregation.value()

    def progress(self) -> Progress:
        """Return the progress of the step."""
        with self._lock:
            return progress_of(self.context, self.ledger, self._outcome, self.clock.monotonic() - self._began)

    def losses(self) -> list[Loss]:
        """Return the workers and nodes lost so far."""
        with self._lock:
            return list(self.ledger.losses.list)

    def retry(self, chunk_ids: Iterable[int]) -> frozenset[int]:
        """Resend chunks that are in flight; return the ids of those that are."""
        with self._lock:
            found = self.ledger.in_flight(chunk_ids)
            self._retry_requests |= found
        return found

    def stop(self) -> None:
        """Ask the step to end at once; its state is then `interrupted`."""
        self._stopped = True

    # -- the run

    def run(self) -> Result:
        """Run the step until it completes, fails or is interrupted.

        The result holds errors of user code, of the source and of the cluster. All other exceptions, including Ctrl-C,
        are recorded and raised.
        """
        program = self.context.program
        try:
            with hold_interrupts():
                self.store.begin(program.step, self.context.name, self.context.manifest, self.clock.now())
        except KeyboardInterrupt as early:
            self._abort(early)
            raise
        self.ledger.expected = (started := self.progress()).expected_chunks
        self.interceptors.notify("step_started", started)
        value: Any = None
        error: ElasticError | None = None
        try:
            self._run_until_finished()
            value = self._aggregation.result()
            self._root = self._tree.root(self.ledger.next_id).hex()
            again = self.ledger.counters["chunks_sent_again"]
            self._outcome = StepState.COMPLETE_WITH_RETRIES if again else StepState.COMPLETE
        except ElasticError as failed:
            self._outcome, error = final_state_for(failed, program.run_id, is_durable=self.store.is_durable)
        except BaseException as unexpected:
            self._abort(unexpected)
            raise
        with hold_interrupts():
            error = self._end(error)
        return self._result(value, error)

    def _run_until_finished(self) -> None:
        try:
            self._aggregation.begin()
            self.transport.open(self.context.program)
            self._apply(())
            while not self.ledger.finished:
                self._check_stopped()
                self._apply(self._events(self.transport.poll(self._poll_timeout())))
                self._commit_if_due()
            self._aggregation.finish(wanted=self._failed is None)
            if self._failed is None or not self._chunker.redriven:
                self._commit(last=True)
            if self._failed is not None:
                if self._failed.excess is None:
                    self.interceptors.notify("failed", self._failed.failure)
                raise error_for(self._failed, self.context.program.run_id, self.transport.cause())
            self._chunker.check()
            for _ in self._aggregation.finalize(self.transport):
                self._check_stopped()
            self._admission.clean()
        finally:
            with hold_interrupts():
                self.transport.close()
                self._chunker.close()
                self._aggregation.close()
                self._admission.close()

    def _abort(self, unexpected: BaseException) -> None:
        """Record that Ctrl-C or an error outside of the tree of ElasticError ended the step, and note the way on."""
        run_id = self.context.program.run_id
        self._outcome = StepState.INTERRUPTED if isinstance(unexpected, KeyboardInterrupt) else StepState.ERROR
        with hold_interrupts():
            self._end(repr(unexpected))
        if self.store.is_durable:
            then = ", and redrive its dead letters again" if self._chunker.redriven else ""
            target = "" if self.context.manifest.get("target") else " TARGET"
            unexpected.add_note(f"resume with `elastic resume {run_id}{target}`{then}")

    def _check_stopped(self) -> None:
        if self._stopped:
            raise StepInterruptedError(self.context.program.run_id)

    def _end(self, error: ElasticError | str | None) -> Any:
        """Record the end of the step and notify interceptors; return its error, which may be a new one."""
        program = self.context.program
        text = None if error is None else str(error)
        self._notes.end(complete=self._outcome.is_complete)
        self._live.end()
        try:
            self.store.end(program.step, self._outcome, self.clock.now(), text)
        except StoreError as unrecorded:
            _log.warning("the end of step %s of run %s is not recorded: %s", program.step, program.run_id, unrecorded)
            # After a failed commit the store refuses all writes, and `error` already reports that commit.
            if error is None:
                self._outcome, error = final_state_for(unrecorded, program.run_id, is_durable=self.store.is_durable)
                text = str(error)
        if self._outcome.is_complete:
            self.interceptors.complete(self.ledger.counters["chunks_sent_again"])
        self._aggregation.release(self._outcome, is_durable=self.store.is_durable)
        self.interceptors.notify("step_ended", self.progress(), text)
        return error

    # -- events in

    def _apply(self, occurred: Iterable[Event]) -> None:
        """Pass events to the ledger and execute the instructions that follow from them."""
        now = events.ClockTicked(self.clock.monotonic())
        self._pending.extend(self._handle(now, *occurred))
        while self._pending:
            instruction = self._pending.popleft()
            self._pending.extend(_EXECUTE[type(instruction)](self, instruction))

    def _handle(self, *occurred: Event) -> list[Instruction]:
        with self._lock:
            return self.ledger.handle(*occurred)

    def _events(self, arrivals: list[Arrival]) -> Iterable[Event]:
        yield from self._merged()
        with self._lock:
            wanted, self._retry_requests = self._retry_requests, frozenset()
        if wanted:
            yield events.RetryRequested(wanted)
        for arrival in arrivals:
            if isinstance(arrival, Reply):
                yield from self._reply_events(arrival)
            else:
                yield arrival

    def _merged(self, *, block: bool = False) -> Iterable[Event]:
        for partial, merged in self._aggregation.merged(block=block):
            yield events.PartialMerged(partial.reports[0].node_id, partial.chunks, merged.seconds, merged.growing)

    def _reply_events(self, reply: Reply) -> Iterable[Event]:
        collected = reply.batch_id == COLLECT
        for worker_id, reason in reply.dead_workers:
            yield events.WorkerLost(reply.node_id, worker_id, reason)
            if not collected:
                yield events.BatchLost(reply.batch_id, reason, may_be_poison=reply.may_be_poison)
        if reply.failure is not None:
            failure = replace(reply.failure, node_id=reply.node_id, worker_id=reply.worker_id)
            yield self._failure_event(reply, failure)
            return
        if not collected and not reply.dead_workers:
            yield events.BatchProcessed(reply.batch_id, reply.worker_id, reply.seconds)
        if reply.partial is not None:
            yield self._partial_event(reply, reply.partial, collected=collected)
        elif collected:
            yield events.PartialReturned(reply.node_id, None, collected, reply.seconds)

    def _failure_event(self, reply: Reply, failure: Failure) -> Event:
        if reply.spill_failed:
            raise StoreError(failure.message)
        if reply.source_unreadable:
            chunk = self.ledger.chunk(failure.chunk_id)
            if chunk is not None and self._sender.can_read_for(reply.node_id, chunk):
                reason = f"node {reply.node_id} does not see the file; the master sends it by value from now on"
                return events.BatchLost(reply.batch_id, reason, may_be_poison=False)
        return events.BatchFailed(None if reply.batch_id == COLLECT else reply.batch_id, reply.worker_id, failure)

    def _partial_event(self, reply: Reply, partial: Partial, *, collected: bool) -> Event:
        node_id, seconds = reply.node_id, reply.seconds
        try:
            return events.PartialReturned(node_id, self._receiver.receive(partial), collected, seconds)
        except ReceiptError as error:
            return events.PartialRefused(node_id, partial, collected, str(error), seconds)

    # -- instructions out

    def _cut(self, instruction: instructions.Cut) -> list[Instruction]:
        folded = self.ledger.folded
        idle = folded.low == self.ledger.next_id and not self._aggregation.has_uncommitted
        chunks, exhausted = self._admission.cut(instruction.count, folded, idle=idle)
        occurred: list[Event] = [events.ChunksCut(tuple(chunks))] if chunks else []
        if exhausted:
            occurred.append(events.SourceExhausted())
        # The ledger asks again at the next tick; without an event it would do so at once.
        return self._handle(*occurred) if occurred else []

    def _token(self, chunk: Chunk) -> str:
        fields = (chunk.chunk_id, 1, chunk.cut_at, chunk.entries)
        return self._signer.receipt(Stage.DISTRIBUTED, self.transport.node_id, fields, chunk.content, NO_LINK).token

    def _send(self, instruction: instructions.Send) -> list[Instruction]:
        call = self._sender.send(instruction.batch, instruction.node_id, collect=instruction.collect)
        self.transport.send(instruction.node_id, call)
        self.interceptors.sent(call, instruction.node_id)
        return []

    def _collect(self, instruction: instructions.CollectNode) -> list[Instruction]:
        self.transport.send(instruction.node_id, None)
        return []

    def _fold(self, instruction: instructions.Fold) -> list[Instruction]:
        self._aggregation.fold(instruction.partial)
        for row in instruction.partial.rows:
            self._tree.fold(row)
        self.interceptors.folded(instruction.partial)
        return []

    def _ignore(self, instruction: Instruction) -> list[Instruction]:
        return []

    def _fail(self, instruction: instructions.Fail) -> list[Instruction]:
        self._failed = instruction
        return []

    # -- commits and progress

    def _poll_timeout(self) -> float:
        """Return the seconds to wait for arrivals; fewer if a commit is due."""
        if not self._aggregation.has_uncommitted or self._chunker.redriven:
            return _PROGRESS_INTERVAL
        if not self._aggregation.is_merged:
            return _MERGE_POLL_SECONDS
        return min(max(self._commit_due - self.clock.monotonic(), 0.0), _PROGRESS_INTERVAL)

    def _commit_if_due(self) -> None:
        now = self.clock.monotonic()
        if now >= self._commit_due and not self._chunker.redriven:
            if now - self._commit_due >= _MAX_COMMIT_DELAY:
                # Partials arrive as fast as they are merged, so there might never be a moment without pending merges.
                self._apply(self._merged(block=True))
            if self._aggregation.is_merged:
                self._commit()
        if now - self._notified_at >= _PROGRESS_INTERVAL:
            self._notified_at = now
            self._check_placement_stall(now)
            self.interceptors.notify("progressed", self.progress())
            self._live.record()

    def _check_placement_stall(self, now: float) -> None:
        """Raise NoWorkerError if the placement has left all chunks waiting for the start timeout."""
        placement, timeout = self.context.placement, self.context.tuning.start_timeout
        if not placement.left_chunks_waiting or any(missing.stage is not None for missing in self.ledger.missing()):
            self._moved_at = now
        elif now - self._moved_at > timeout:
            nodes = ", ".join(self.ledger.workers())
            raise NoWorkerError(
                f"placement {placement} left all chunks waiting for {timeout:g} s, and the only nodes are {nodes}; "
                "add a node that it accepts, or use another placement."
            )

    def _commit(self, *, last: bool = False) -> None:
        began = self.clock.monotonic()
        sent = self.ledger.reached[Stage.SENT]
        is_overdue = sent != self._committed_sent and began - self._committed_at >= _SENT_COMMIT_INTERVAL
        if self._aggregation.has_uncommitted or is_overdue or last:
            self._committed_sent, self._committed_at = sent, began
            commit = self._commit_record(self._aggregation.take_uncommitted())
            with hold_interrupts():  # a store refuses the end of the step after an interrupted commit
                self.store.commit(self.context.program.step, commit)
            self._admission.committed(commit.receipts)
            self._notes.record()
        ended = self.clock.monotonic()
        # Commits on a slow disk are less frequent, so that most of the master's time remains for other work.
        pause = _COMMIT_PAUSE_RATIO * (ended - began)
        self._commit_due = ended + max(self.context.tuning.commit_interval, pause)

    def _commit_record(self, folded: Sequence[Partial]) -> Commit:
        ledger, chunker, admission = self.ledger, self._chunker, self._admission
        first = ledger.first_unfolded()
        stored = folded if self.context.program.aggregator.stored else ()
        failed = folded if self._keeps_dead_letters else ()
        return Commit(
            low=ledger.folded.low,
            bitmap=ledger.folded.bitmap(),
            position=admission.reached if first is None else (first.chunk_id, first.position),
            exhausted=admission.exhausted,
            partials=tuple(state for partial in stored for state in partial.states),
            receipts=tuple(row for partial in folded for row in partial.rows),
            dead_letters=tuple(chunker.renewed(letter) for partial in failed for letter in partial.dead_letters),
            redriven=chunker.redriven,
            counters={
                **ledger.counters,
                **{stage.value: ledger.reached[stage] for stage in STAGES},
                "cut": admission.chunks,
            },
        )

    def _result(self, value: Any, error: ElasticError | None) -> Result:
        ledger = self.ledger
        return Result(
            run_id=self.context.program.run_id,
            step=self.context.program.step,
            name=self.context.name,
            state=self._outcome,
            value=value,
            written=self._aggregation.written,
            entries=ledger.counters["entries"],
            chunks=len(ledger.folded),
            root=self._root,
            receipts={stage.value: ledger.reached[stage] for stage in STAGES},
            counters=unusual(ledger),
            losses=tuple(ledger.losses.list),
            seconds=self.clock.monotonic() - self._began,
            error=error,
            interceptor_errors=tuple(self.interceptors.errors),
            outputs_kept=not isinstance(self.context.program.aggregator, Nothing),
        )


_EXECUTE: dict[type, Callable[[Master, Any], list[Instruction]]] = {
    instructions.Cut: Master._cut,
    instructions.Send: Master._send,
    instructions.CollectNode: Master._collect,
    instructions.Fold: Master._fold,
    instructions.Drop: Master._ignore,
    instructions.Complete: Master._ignore,
    instructions.Fail: Master._fail,
}
