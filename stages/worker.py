"""The worker: applies the user's functions, and holds what it has folded until it is collected."""

import time
from collections.abc import Collection, Iterator
from typing import Any

from elastic.core.encoding import compress, decompress, digest
from elastic.core.errors import EncodingError, SourceError
from elastic.core.partial import Account, Partial
from elastic.core.program import Program
from elastic.core.receipt import Seal
from elastic.core.stage import Stage
from elastic.stages.content import content_of
from elastic.stages.culprit import Culprit, failure_of
from elastic.stages.transforms import Pass
from elastic.stages.wire import COLLECT, Call, Reply


class Worker:
    """Processes batches one after another, in one thread.

    What user code raises comes back as a value, never as an exception, because the exception's class may not exist
    where it would be caught.
    """

    def __init__(self, program: Program, *, node_id: str, worker_id: str) -> None:
        self.program = program
        self.node_id = node_id
        self.worker_id = worker_id
        seal = Seal(key=program.key, run_id=program.run_id, step=program.step)
        self._stamp = seal.stamp(Stage.PROCESSED, worker_id)
        self._state: Any = None
        self._accounts: list[Account] = []

    def work(self, call: Call) -> Reply:
        """Fold a batch into the state that this worker holds.

        The answer is word of it, with the whole state when the call asks for it; or a failure, and then the worker
        holds nothing any more, because the state may contain a part of the batch.
        """
        started = time.perf_counter()
        try:
            blocks = [self._block(call, index) for index in range(len(call.references))]
        except (SourceError, EncodingError) as error:
            failure = failure_of(error, chunk_id=call.first, place="the source", function="the reader")
            return self._reply(call.batch_id, failure=failure, unread=isinstance(error, SourceError))
        counts: list[int] = []
        try:
            self._fold(call, blocks, counts)
        except (Exception, SystemExit) as error:
            self._forget()
            culprit = Culprit(self.program, call, blocks)
            return self._reply(call.batch_id, failure=culprit.find(error))
        self._accounts.append(self._account(call, blocks, counts))
        partial = self._take() if call.collect else None
        return self._reply(call.batch_id, partial=partial, seconds=time.perf_counter() - started)

    def collect(self) -> Reply:
        """Answer with everything that this worker holds, and hold nothing any more."""
        return self._reply(COLLECT, partial=self._take() if self._accounts else None)

    def _block(self, call: Call, index: int) -> bytes:
        payload = call.payloads[index]
        if payload is None:
            return self.program.reader.read_block(call.references[index])
        block = decompress(payload)
        if call.counted and digest(block) != call.contents[16 * index : 16 * index + 16]:
            raise EncodingError(f"chunk {call.first + index} was changed on its way")
        return block

    def _fold(self, call: Call, blocks: list[bytes], counts: list[int]) -> None:
        aggregator = self.program.aggregator
        state = aggregator.create() if self._state is None else self._state
        entries = Pass(self.program.transforms, self._entries(call, blocks, counts))
        self._state = aggregator.add_many(state, iter(entries))
        entries.check()

    def _entries(self, call: Call, blocks: list[bytes], counts: list[int]) -> Iterator[Collection[Any]]:
        for reference, block in zip(call.references, blocks, strict=True):
            entries = self.program.reader.parse(reference, block)
            counts.append(len(entries))
            yield entries

    def _account(self, call: Call, blocks: list[bytes], counts: list[int]) -> Account:
        contents = call.contents if call.counted else b"".join(map(content_of, blocks))
        processed = []
        for index, (entries, conceived_at) in enumerate(zip(counts, call.conceived_at, strict=True)):
            span = slice(16 * index, 16 * index + 16)
            processed.append(
                self._stamp(
                    call.first + index, call.attempt, conceived_at, entries, contents[span], call.receipts[span]
                )
            )
        return Account(
            batch_id=call.batch_id,
            attempt=call.attempt,
            first=call.first,
            node_id=self.node_id,
            worker_id=self.worker_id,
            conceived_at=call.conceived_at,
            counted=call.counted,
            entries=tuple(counts),
            contents=contents,
            processed=b"".join(processed),
        )

    def _take(self) -> Partial:
        state = compress(self.program.aggregator.encode(self._state))
        partial = Partial(tuple(self._accounts), (state,), digest(state))
        self._forget()
        return partial

    def _forget(self) -> None:
        self._state, self._accounts = None, []

    def _reply(self, batch_id: int, **answer: Any) -> Reply:
        return Reply(node_id=self.node_id, worker_id=self.worker_id, batch_id=batch_id, **answer)
