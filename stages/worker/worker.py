"""The worker: applies the user's functions, and holds what it has folded until it is collected."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.encoding import content_digest, decompress, digest
from elastic.core.errors import EncodingError, SourceError, StoreError
from elastic.core.model.chunk import describe_chunks
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.model.partial import BatchReport, Partial, digest_of
from elastic.core.policies.error_policy import OnError
from elastic.core.program import Program
from elastic.core.receipts.receipt import NO_STATE
from elastic.core.receipts.stage import Stage
from elastic.stages.failure_report import failure_of, hint_of
from elastic.stages.messages import COLLECT, Call, Reply
from elastic.stages.worker.entry_agreement import agreeing, fold
from elastic.stages.worker.entry_probe import EntryProbe
from elastic.stages.worker.isolation import RAISED, BisectedChunk, FailureBisection, NotToleratedError, fresh
from elastic.stages.worker.liveness import time_limit
from elastic.stages.worker.pipeline import Pipeline, optimize


@dataclass(frozen=True, slots=True)
class BatchState:
    """What became of a batch."""

    state: Any
    #: entries of each chunk
    counts: list[int]
    #: entries that failed
    letters: Sequence[DeadLetter] = ()
    #: nothing but the batch is in the state
    is_fresh: bool = True


class Worker:
    """Processes batches one after another, in one thread.

    What user code raises comes back as a value, never as an exception, because the exception's class may not exist
    where it would be caught.

    Args:
        program: What is run.
        node_id: The worker's node.
        worker_id: The worker.
        cell: Runs a chunk apart from this process; None when the worker has no process of its own, and user code
            that ends the process ends it.
    """

    def __init__(self, program: Program, *, node_id: str, worker_id: str, cell: EntryProbe | None = None) -> None:
        #: as the user wrote it
        self.program = program
        self._program = program = optimize(program)
        self.node_id = node_id
        self.worker_id = worker_id
        self._cell = cell
        self._seal = program.signer
        self._mac = self._seal.mac(Stage.PROCESSED, worker_id)
        # A batch that may fail in part is folded into a state of its own first.
        self._careful = program.tolerance.on_error is not OnError.FAIL or bool(program.tolerance.retries)
        self._state: Any = None
        self._accounts: list[BatchReport] = []
        #: what user code raised where the last call failed; it need not be such that it can be sent
        self.cause: BaseException | None = None
        #: entries that were left out because they do not go with those that are held
        self._strays = 0

    def work(self, call: Call) -> Reply:
        """Fold a batch into the state that this worker holds.

        The answer is word of it, with the whole state when the call asks for it; or a failure, and then the worker
        holds nothing any more, because the state may contain a part of the batch.
        """
        started = time.perf_counter()
        blocks: list[bytes] = []
        try:
            for index in range(len(call.references)):
                blocks.append(self._block(call, index))
        except RAISED as error:
            failure = failure_of(error, chunk_id=call.first + len(blocks), place="the source", function="the reader")
            return self._reply(call.batch_id, failure=failure, source_unreadable=isinstance(error, SourceError))
        try:
            with time_limit(self._limit(call)):
                folded = self._hold(call, blocks, self._fold(call, blocks))
        except NotToleratedError as refused:
            self.cause = refused.__cause__
            self._forget()
            return self._reply(call.batch_id, failure=refused.failure)
        except StoreError as error:
            self._forget()
            return self._reply(call.batch_id, failure=self._unkept(error, call.first), spill_failed=True)
        self._accounts.append(self._account(call, blocks, folded))
        answer = self._encoded(*self._released()) if call.collect else {}
        return self._reply(call.batch_id, seconds=time.perf_counter() - started, **answer)

    def collect(self) -> Reply:
        """Answer with everything that this worker holds, and hold nothing any more."""
        return self.release()()

    def release(self) -> Callable[[], Reply]:
        """Hold nothing any more; what is returned makes the answer with what was held, in any thread."""
        held, accounts = self._released()

        def answer() -> Reply:
            started = time.perf_counter()
            encoded = self._encoded(held, accounts) if accounts else {}
            return self._reply(COLLECT, seconds=time.perf_counter() - started, **encoded)

        return answer

    def _limit(self, call: Call) -> float | None:
        """Return the seconds that a call may take; a cell keeps the time itself."""
        limit = self._program.tolerance.chunk_timeout
        return None if limit is None or self._cell is None or call.isolated else limit * len(call.references)

    def _block(self, call: Call, index: int) -> bytes:
        payload = call.payloads[index]
        if payload is None:
            return self._program.reader.read_block(call.references[index])
        block = decompress(payload)
        if call.counted and digest(block) != call.columns.content(index):
            raise EncodingError(f"chunk {call.first + index} was changed on its way")
        return block

    # -- folding

    def _fold(self, call: Call, blocks: list[bytes]) -> BatchState:
        """Fold a batch, into a state of its own where a part of it may fail."""
        if call.isolated and self._cell is not None:
            return self._fold_apart(call, blocks, self._cell)
        aggregator, counts = self._program.aggregator, list[int]()
        entries = Pipeline(self._program.transforms, self._entries(call, blocks, counts))
        fresh = self._careful or not self._accounts
        try:
            state = aggregator.add_many(aggregator.create() if fresh else self._state, iter(entries))
            entries.check()
        except RAISED as error:
            return self._sift(call, blocks, error)
        return BatchState(state, counts, is_fresh=fresh)

    def _entries(self, call: Call, blocks: list[bytes], counts: list[int]) -> Iterator[Collection[Any]]:
        for reference, block in zip(call.references, blocks, strict=True):
            entries = self._program.reader.parse(reference, block)
            counts.append(len(entries))
            yield entries

    def _hold(self, call: Call, blocks: list[bytes], folded: BatchState) -> BatchState:
        """Hold a state as well; returns what became of the batch.

        Raises:
            RefusedError: It cannot be joined to what is held, and no entries can be named that cannot.
            StoreError: A part of it cannot be left in the depot.
        """
        aggregator, state = self._program.aggregator, folded.state
        joins = folded.is_fresh and bool(self._accounts)
        undo = aggregator.undo(self._state, state) if joins and self._careful else None
        try:
            if joins:
                state = aggregator.merge(self._state, state)
        except StoreError:
            raise
        except RAISED as error:
            if undo is None:
                # A part of it may be there, so it is not tried again.
                raise self._unjoined(call, error) from error
            self._state = undo()
            return self._hold_apart(call, blocks, error)
        try:
            self._state = aggregator.spill(state) if isinstance(aggregator, ShardedAggregator) else state
        except StoreError:
            raise
        except RAISED as error:
            raise self._unjoined(call, error) from error
        return folded

    def _hold_apart(self, call: Call, blocks: list[bytes], error: BaseException) -> BatchState:
        """Join those parts of a batch to what is held that can be; entries of the others fail.

        Raises:
            RefusedError: Entries must not fail, or more of them would fail than there are in what is held.
        """
        aggregator = self._program.aggregator

        def take(outputs: Sequence[Any], before: bool) -> None:
            state = aggregator.add_many(aggregator.create(), iter(fresh(outputs)))
            undo = aggregator.undo(self._state, state)
            try:
                self._state = aggregator.merge(self._state, state)
            except RAISED:
                self._state = undo() if undo is not None else self._state
                raise

        entries = sum(sum(account.columns.entries) for account in self._accounts)
        held = entries - sum(letter.entries for account in self._accounts for letter in account.letters)
        sifted, counts = self._sifted(call, blocks)
        agreed = agreeing(sifted.parts, take, limit=held - self._strays)
        if agreed.is_cut_short:
            raise self._unjoined(call, error) from error
        self._strays += agreed.size
        return BatchState(self._state, counts, [*sifted.letters, *agreed.sifted().letters], is_fresh=False)

    def _unjoined(self, call: Call, error: BaseException) -> NotToleratedError:
        """Return the refusal of a batch whose state cannot be joined to what is held."""
        batch = describe_chunks(call.first, call.stop)
        held = ", ".join(describe_chunks(account.first, account.first + len(account)) for account in self._accounts[:3])
        more = ", ..." if len(self._accounts) > 3 else ""
        place = f"the state of {batch}, in merge with that of {held}{more}"
        function = f"aggregator {self._program.aggregator}"
        failure = failure_of(error, chunk_id=call.first, place=place, function=function)
        return NotToleratedError(replace(failure, message=failure.message + hint_of(error)))

    def _sift(self, call: Call, blocks: list[bytes], error: BaseException) -> BatchState:
        """Fold what does not fail of a batch that failed with `error`."""
        sifted, counts = self._sifted(call, blocks)
        try:
            state, strays = fold(sifted.parts, self._program.aggregator)
            if not self._careful:
                raise error
        except NotToleratedError:
            raise
        except RAISED as again:
            first = call.first
            # Any of them may fail now and then, so none is accused alone.
            suspects = " or ".join([*map(str, self._program.transforms), f"aggregator {self._program.aggregator}"])
            place = f"{describe_chunks(first, first + len(blocks))} as a whole, but on none of the entries alone"
            if self._accounts:
                place += "; one may not go together with the entries of other chunks"
            failure = failure_of(again, chunk_id=first, place=place, function=suspects)
            raise NotToleratedError(failure) from again
        return BatchState(state, counts, [*sifted.letters, *strays])

    def _sifted(self, call: Call, blocks: list[bytes]) -> tuple[BisectedChunk, list[int]]:
        """Return what does not fail by itself of a batch, and how many entries each chunk has."""
        sifted, counts = BisectedChunk([], []), list[int]()
        for index, (reference, block) in enumerate(zip(call.references, blocks, strict=True)):
            isolation = FailureBisection(self._program, call.first + index, reference)
            entries = isolation.parse(block)
            found = isolation.sift(entries)
            counts.append(len(entries))
            sifted.parts.extend(found.parts)
            sifted.letters.extend(found.letters)
        return sifted, counts

    def _fold_apart(self, call: Call, blocks: list[bytes], cell: EntryProbe) -> BatchState:
        (reference,), (block,) = call.references, blocks
        isolation = FailureBisection(self._program, call.first, reference)
        entries = isolation.parse(block)
        state, letters = cell.run(isolation, entries, block)
        return BatchState(self._program.aggregator.decode(state), [len(entries)], letters)

    # -- answers

    def _account(self, call: Call, blocks: list[bytes], folded: BatchState) -> BatchReport:
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
            letters=tuple(self._addressed(call, counts, letter) for letter in folded.letters),
        )

    def _addressed(self, call: Call, counts: list[int], letter: DeadLetter) -> DeadLetter:
        """Return a letter that names this worker, and the receipt of its chunk."""
        index = letter.failure.chunk_id - call.first
        fields = (letter.failure.chunk_id, call.columns.attempt, call.columns.cut_at[index], counts[index])
        receipt = self._seal.receipt(Stage.PROCESSED, self.worker_id, fields, b"", b"")
        failure = replace(letter.failure, node_id=self.node_id, worker_id=self.worker_id)
        return replace(letter, failure=failure, receipt=receipt.token)

    def _released(self) -> tuple[Any, tuple[BatchReport, ...]]:
        """Return what is held, and hold it no more."""
        held, accounts = self._state, tuple(self._accounts)
        self._forget()
        return held, accounts

    def _encoded(self, held: Any, accounts: tuple[BatchReport, ...]) -> dict[str, Any]:
        """Return what was held as the part of a reply, or why it cannot be had."""
        try:
            state = self._program.frame(self._program.aggregator.encode(held))
        except StoreError as error:
            return {"failure": self._unkept(error, accounts[0].first), "spill_failed": True}
        except RAISED as error:
            first = accounts[0].first
            place, function = f"the state of chunk {first} and others", f"aggregator {self._program.aggregator}"
            return {"failure": failure_of(error, chunk_id=first, place=place, function=function)}
        at_hand = held if self._program.aggregator.by_reference else None
        return {"partial": Partial(accounts, (state,), digest_of((state,), accounts), at_hand=at_hand)}

    def _unkept(self, error: StoreError, chunk_id: int) -> Failure:
        return failure_of(error, chunk_id=chunk_id, place=f"worker {self.worker_id}", function="the depot")

    def _forget(self) -> None:
        self._state, self._accounts, self._strays = None, [], 0

    def _reply(self, batch_id: int, **answer: Any) -> Reply:
        return Reply(node_id=self.node_id, worker_id=self.worker_id, batch_id=batch_id, **answer)
