"""Worker: runs the user's functions on batches and keeps the aggregated state until the master collects it."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from elastic.core.contracts.spilling_aggregator import SpillingAggregator
from elastic.core.encoding import content_digest, decompress, digest
from elastic.core.errors import EncodingError, SourceError, StoreError
from elastic.core.model.chunk import describe_chunks
from elastic.core.model.failure import READER, DeadLetter, Failure
from elastic.core.model.partial import BatchReport, Partial, digest_of
from elastic.core.policies.error_policy import OnError
from elastic.core.program import Program
from elastic.core.receipts.receipt import NO_STATE
from elastic.core.receipts.stage import Stage
from elastic.stages.failure_report import failure_of, hint_of
from elastic.stages.messages import COLLECT, Call, Reply
from elastic.stages.worker.entry_compatibility import fold, select_compatible
from elastic.stages.worker.entry_probe import EntryProbe
from elastic.stages.worker.failure_bisection import RAISED, BisectedChunk, FailureBisection, NotToleratedError, fresh
from elastic.stages.worker.pipeline import Pipeline, optimize
from elastic.stages.worker.timeout import exit_after


@dataclass(frozen=True, slots=True)
class _BatchState:
    """Result of folding a batch."""

    state: Any
    #: Number of entries of each chunk.
    counts: list[int]
    #: One for each failed entry.
    dead_letters: Sequence[DeadLetter] = ()
    #: The state holds this batch only.
    is_fresh: bool = True


class Worker:
    """Processes batches one after another, in one thread.

    Errors of user code come back as values, never as exceptions, because the master may be unable to import their
    classes.

    Args:
        program: Program of the step.
        node_id: Node of the worker.
        worker_id: Id of the worker.
        probe: Runs isolated chunks in a child process; None if the worker shares its process with the master, so that
            user code that ends the process ends the master.
    """

    def __init__(self, program: Program, *, node_id: str, worker_id: str, probe: EntryProbe | None = None) -> None:
        if program.in_columns and probe is not None:
            # There is a worker for each CPU, so each gets one thread. Polars reads this when it is imported.
            os.environ.setdefault("POLARS_MAX_THREADS", "1")
        #: Program before `optimize`.
        self.program = program
        self._program = program = optimize(program)
        self.node_id = node_id
        self.worker_id = worker_id
        self._probe = probe
        self._signer = program.signer
        self._mac = self._signer.mac(Stage.PROCESSED, worker_id)
        # If entries may fail, each batch is folded into a state of its own first.
        self._tolerates_failures = program.error_policy.on_error is not OnError.FAIL or bool(
            program.error_policy.retries
        )
        self._state: Any = None
        self._reports: list[BatchReport] = []
        #: Error of user code in the last failed call; it may not be picklable.
        self.cause: BaseException | None = None
        #: Number of entries left out because they are incompatible with the held state.
        self._incompatible = 0

    def work(self, call: Call) -> Reply:
        """Fold a batch into the state that this worker holds.

        The reply reports the batch, and carries the whole state if the call asks for it. After a failure the worker
        holds nothing, because the state may contain a part of the batch.
        """
        started = time.perf_counter()
        blocks: list[bytes] = []
        try:
            for index in range(len(call.references)):
                blocks.append(self._block(call, index))
        except RAISED as error:
            failure = failure_of(error, chunk_id=call.first + len(blocks), place="the source", function=READER)
            return self._reply(call.batch_id, failure=failure, source_unreadable=isinstance(error, SourceError))
        try:
            with exit_after(self._limit(call)):
                folded = self._merge_state(call, blocks, self._fold(call, blocks))
        except NotToleratedError as not_tolerated:
            self.cause = not_tolerated.__cause__
            self._reset()
            return self._reply(call.batch_id, failure=not_tolerated.failure)
        except StoreError as error:
            self._reset()
            return self._reply(call.batch_id, failure=self._spill_failure(error, call.first), spill_failed=True)
        self._reports.append(self._report(call, blocks, folded))
        reply = self._encode_state(*self._take_state()) if call.collect else {}
        return self._reply(call.batch_id, seconds=time.perf_counter() - started, **reply)

    def collect(self) -> Reply:
        """Return the state that this worker holds, and drop it."""
        return self.release()()

    def release(self) -> Callable[[], Reply]:
        """Drop the held state, and return a function that makes the reply with it in any thread."""
        held, reports = self._take_state()

        def reply() -> Reply:
            started = time.perf_counter()
            encoded = self._encode_state(held, reports) if reports else {}
            return self._reply(COLLECT, seconds=time.perf_counter() - started, **encoded)

        return reply

    def _limit(self, call: Call) -> float | None:
        """Return the time limit of a call in seconds; the entry probe enforces its own."""
        limit = self._program.error_policy.chunk_timeout
        return None if limit is None or self._probe is None or call.isolated else limit * len(call.references)

    def _block(self, call: Call, index: int) -> bytes:
        payload = call.payloads[index]
        if payload is None:
            return self._program.reader.read_block(call.references[index])
        block = decompress(payload)
        if call.counted and digest(block) != call.columns.content(index):
            raise EncodingError(f"chunk {call.first + index} was changed in transit")
        return block

    # -- folding

    def _fold(self, call: Call, blocks: list[bytes]) -> _BatchState:
        """Fold a batch, into a state of its own where entries may fail."""
        if call.isolated and self._probe is not None:
            return self._fold_in_probe(call, blocks, self._probe)
        aggregator, counts = self._program.aggregator, list[int]()
        entries = Pipeline(self._program.transforms, self._entries(call, blocks, counts))
        fresh = self._tolerates_failures or not self._reports
        try:
            state = self._begun(call, aggregator.create() if fresh else self._state)
            state = aggregator.add_many(state, iter(entries))
            entries.check()
        except StoreError:
            raise
        except RAISED as error:
            return self._fold_tolerated(call, blocks, error)
        return _BatchState(state, counts, is_fresh=fresh)

    def _begun(self, call: Call, state: Any) -> Any:
        """Return a state that knows the chunks of a call, if its aggregator wants to know them."""
        aggregator = self._program.aggregator
        return aggregator.begin(state, call.first, call.stop) if isinstance(aggregator, SpillingAggregator) else state

    def _entries(self, call: Call, blocks: list[bytes], counts: list[int]) -> Iterator[Collection[Any]]:
        for reference, block in zip(call.references, blocks, strict=True):
            entries = self._program.reader.parse(reference, block)
            counts.append(len(entries))
            yield entries

    def _merge_state(self, call: Call, blocks: list[bytes], folded: _BatchState) -> _BatchState:
        """Merge the state of a batch into the held state; return the result of the batch.

        Raises:
            NotToleratedError: The aggregator cannot merge them, and the incompatible entries cannot be named.
            StoreError: A part of the state cannot be spilled.
        """
        aggregator, state = self._program.aggregator, folded.state
        joins = folded.is_fresh and bool(self._reports)
        undo = aggregator.undo(self._state, state) if joins and self._tolerates_failures else None
        try:
            if joins:
                state = aggregator.merge(self._state, state)
        except StoreError:
            raise
        except RAISED as error:
            if undo is None:
                # The held state may already contain a part of the batch, so a second merge would count it twice.
                raise self._merge_error(call, error) from error
            self._state = undo()
            return self._merge_parts(call, blocks, error)
        try:
            self._state = aggregator.spill(state) if isinstance(aggregator, SpillingAggregator) else state
        except StoreError:
            raise
        except RAISED as error:
            raise self._merge_error(call, error) from error
        return folded

    def _merge_parts(self, call: Call, blocks: list[bytes], error: BaseException) -> _BatchState:
        """Merge the compatible parts of a batch into the held state; the other entries fail.

        Raises:
            NotToleratedError: The policy tolerates no failures, or more entries would fail than the held state has.
        """
        aggregator = self._program.aggregator

        def add(outputs: Sequence[Any], before: bool) -> None:
            state = aggregator.add_many(self._begun(call, aggregator.create()), iter(fresh(outputs)))
            undo = aggregator.undo(self._state, state)
            try:
                self._state = aggregator.merge(self._state, state)
            except StoreError:
                raise
            except RAISED:
                self._state = undo() if undo is not None else self._state
                raise

        entries = sum(sum(report.columns.entries) for report in self._reports)
        held = entries - sum(letter.entries for report in self._reports for letter in report.dead_letters)
        bisected, counts = self._bisect(call, blocks)
        found = select_compatible(bisected.parts, add, limit=held - self._incompatible)
        if found.exceeds_limit:
            raise self._merge_error(call, error) from error
        self._incompatible += found.incompatible_entries
        return _BatchState(
            self._state, counts, [*bisected.dead_letters, *found.bisected().dead_letters], is_fresh=False
        )

    def _merge_error(self, call: Call, error: BaseException) -> NotToleratedError:
        """Return the error for a batch whose state cannot be merged into the held state."""
        batch = describe_chunks(call.first, call.stop)
        held = ", ".join(describe_chunks(report.first, report.first + len(report)) for report in self._reports[:3])
        more = ", ..." if len(self._reports) > 3 else ""
        place = f"the merge of the state of {batch} with that of {held}{more}"
        function = f"aggregator {self._program.aggregator}"
        failure = failure_of(error, chunk_id=call.first, place=place, function=function)
        return NotToleratedError(replace(failure, message=failure.message + hint_of(error)))

    def _fold_tolerated(self, call: Call, blocks: list[bytes], error: BaseException) -> _BatchState:
        """Fold the entries that do not fail, of a batch that failed with `error`."""
        bisected, counts = self._bisect(call, blocks)
        try:
            state, incompatible = fold(bisected.parts, self._program.aggregator)
            if not self._tolerates_failures:
                raise error
        except (NotToleratedError, StoreError):
            raise
        except RAISED as repeated:
            first = call.first
            # Any of the functions may fail irregularly, so the message names all of them.
            suspects = " or ".join([*map(str, self._program.transforms), f"aggregator {self._program.aggregator}"])
            place = f"{describe_chunks(first, first + len(blocks))} as a whole, but on no single entry"
            if self._reports:
                place += "; an entry may be incompatible with the entries of other chunks"
            failure = failure_of(repeated, chunk_id=first, place=place, function=suspects)
            raise NotToleratedError(failure) from repeated
        return _BatchState(self._begun(call, state), counts, [*bisected.dead_letters, *incompatible])

    def _bisect(self, call: Call, blocks: list[bytes]) -> tuple[BisectedChunk, list[int]]:
        """Return the parts of a batch that do not fail by themselves, and the number of entries of each chunk."""
        bisected, counts = BisectedChunk([], []), list[int]()
        for index, (reference, block) in enumerate(zip(call.references, blocks, strict=True)):
            bisection = FailureBisection(self._program, call.first + index, reference)
            entries = bisection.parse(block)
            chunk = bisection.run(entries)
            counts.append(len(entries))
            bisected.parts.extend(chunk.parts)
            bisected.dead_letters.extend(chunk.dead_letters)
        return bisected, counts

    def _fold_in_probe(self, call: Call, blocks: list[bytes], probe: EntryProbe) -> _BatchState:
        (reference,), (block,) = call.references, blocks
        bisection = FailureBisection(self._program, call.first, reference)
        entries = bisection.parse(block)
        state, dead_letters = probe.run(bisection, entries, block)
        return _BatchState(self._program.aggregator.decode(state), [len(entries)], dead_letters)

    # -- answers

    def _report(self, call: Call, blocks: list[bytes], folded: _BatchState) -> BatchReport:
        counts = folded.counts
        contents = call.columns.contents if call.counted else b"".join(map(content_digest, blocks))
        columns = replace(call.columns, entries=tuple(counts), contents=contents)
        return BatchReport(
            batch_id=call.batch_id,
            node_id=self.node_id,
            worker_id=self.worker_id,
            columns=columns,
            counted=call.counted,
            processed=self._mac.link(columns.digest_input(), NO_STATE, call.link),
            dead_letters=tuple(self._with_receipt(call, counts, letter) for letter in folded.dead_letters),
        )

    def _with_receipt(self, call: Call, counts: list[int], letter: DeadLetter) -> DeadLetter:
        """Return a dead letter with the id of this worker and the receipt of its chunk."""
        index = letter.failure.chunk_id - call.first
        fields = (letter.failure.chunk_id, call.columns.attempt, call.columns.cut_at[index], counts[index])
        receipt = self._signer.receipt(Stage.PROCESSED, self.worker_id, fields, b"", b"")
        failure = replace(letter.failure, node_id=self.node_id, worker_id=self.worker_id)
        return replace(letter, failure=failure, receipt=receipt.token)

    def _take_state(self) -> tuple[Any, tuple[BatchReport, ...]]:
        """Return the held state and its reports, and drop them."""
        held, reports = self._state, tuple(self._reports)
        self._reset()
        return held, reports

    def _encode_state(self, held: Any, reports: tuple[BatchReport, ...]) -> dict[str, Any]:
        """Return fields of a reply: the encoded state as a partial, or the failure to encode it."""
        try:
            state = self._program.frame(self._program.aggregator.encode(held))
        except StoreError as error:
            return {"failure": self._spill_failure(error, reports[0].first), "spill_failed": True}
        except RAISED as error:
            first = reports[0].first
            place, function = f"the state of chunk {first} and others", f"aggregator {self._program.aggregator}"
            return {"failure": failure_of(error, chunk_id=first, place=place, function=function)}
        live_state = held if self._program.aggregator.by_reference else None
        return {"partial": Partial(reports, (state,), digest_of((state,), reports), live_state=live_state)}

    def _spill_failure(self, error: StoreError, chunk_id: int) -> Failure:
        return failure_of(error, chunk_id=chunk_id, place=f"worker {self.worker_id}", function="the spill store")

    def _reset(self) -> None:
        self._state, self._reports, self._incompatible = None, [], 0

    def _reply(self, batch_id: int, **reply: Any) -> Reply:
        return Reply(node_id=self.node_id, worker_id=self.worker_id, batch_id=batch_id, **reply)
