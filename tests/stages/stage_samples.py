"""Programs, chunks and calls for tests of the stations."""

from collections.abc import Sequence
from typing import Any

from elastic.aggregators import Collect
from elastic.core.contracts.aggregator import Aggregator, AnyAggregator
from elastic.core.contracts.source import EntriesReader, Reader
from elastic.core.encoding import compress, digest, pack
from elastic.core.model.chunk import Batch, Chunk, DeliveryHistory
from elastic.core.policies.error_policy import ErrorPolicy
from elastic.core.program import Program
from elastic.core.receipts.receipt import ReceiptSigner
from elastic.core.transform import Transform
from elastic.stages.messages import Call
from elastic.stages.transport.sender import MasterSender
from elastic.stages.worker.worker import Worker

KEY = bytes(range(32))
SEAL = ReceiptSigner(key=KEY, run_id="run", step=0)


def program(*transforms: Transform, aggregator: AnyAggregator | None = None, reader: Reader | None = None) -> Program:
    return Program(reader or EntriesReader(), transforms, aggregator or Collect(), ErrorPolicy(), KEY, "run", 0)


def worker(*transforms: Transform, aggregator: AnyAggregator | None = None, worker_id: str = "node/0") -> Worker:
    return Worker(program(*transforms, aggregator=aggregator), node_id="node", worker_id=worker_id)


def by_value(chunk_id: int, entries: Sequence[Any], *, first: int = 0) -> Chunk:
    """Return a chunk of entries, the first of which is number `first` of the source."""
    plain = pack(list(entries))
    reference = (first, len(entries))
    return Chunk(chunk_id, (first,), 1_000 + chunk_id, reference, compress(plain), len(entries), digest(plain))


def call_of(*chunks: Chunk, batch_id: int = 0, attempt: int = 1, collect: bool = False) -> Call:
    """Return a call as the master's sender makes it."""
    return MasterSender(SEAL, "master", EntriesReader()).send(
        Batch(batch_id, DeliveryHistory(attempt - 1), chunks), "node", collect=collect
    )


class Gather(Aggregator[Any, list[Any], list[Any]]):
    """A user's aggregator with only the four abstract methods; a test can make each of them fail."""

    def __init__(self, **errors: BaseException) -> None:
        self.errors = errors

    def create(self) -> list[Any]:
        return []

    def add(self, state: list[Any], entry: Any) -> list[Any]:
        if entry == "bad":
            self._fail("add")
        return [*state, entry]

    def merge(self, state: list[Any], other: list[Any]) -> list[Any]:
        self._fail("merge")
        return state + other

    def finish(self, state: list[Any]) -> list[Any]:
        self._fail("finish")
        return state

    def encode(self, state: list[Any]) -> bytes:
        self._fail("encode")
        return super().encode(state)

    def decode(self, data: bytes) -> list[Any]:
        self._fail("decode")
        return super().decode(data)

    def _fail(self, method: str) -> None:
        if method in self.errors:
            raise self.errors[method]
