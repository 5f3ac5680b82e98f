"""Contract of hash partitioning: divides the states of an aggregator by key, and merges those of a bucket."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from elastic.aggregators.sharded.shard_state import ShardState
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.sink import OutputFileWriter

if TYPE_CHECKING:
    from elastic.aggregators.sharded.sharded_result import ResultBlocks, ShardedResult

BlockT = TypeVar("BlockT")


class StatePartitioner(ABC, Generic[BlockT]):
    """Hash partitioner of the states of one aggregator, which also merges the parts of a bucket.

    Args:
        inner: The aggregator.
    """

    def __init__(self, inner: AnyAggregator) -> None:
        self.inner = inner

    @abstractmethod
    def create(self) -> ShardState:
        """Return the state of no entries."""

    @abstractmethod
    def decode(self, remainder: bytes) -> ShardState:
        """Return a state from the bytes of `ShardState.encode_remainder`.

        Raises:
            EncodingError: The bytes are not from this aggregator.
        """

    def with_schema_of(self, remainder: bytes) -> "StatePartitioner[BlockT]":
        """Return a partitioner with the schema in the remainder of a state without entries in memory."""
        return self

    @abstractmethod
    def gather(self, packed: Iterable[bytes]) -> Any:
        """Return the inner aggregator's state of packed buckets, merged in their order.

        Raises:
            EncodingError: The bytes are not from this aggregator.
        """

    @abstractmethod
    def block(self, state: Any) -> BlockT:
        """Return the result of a state, in an order that depends only on the keys."""

    @abstractmethod
    def size(self, block: BlockT) -> int:
        """Return the number of keys."""

    @abstractmethod
    def pack(self, block: BlockT) -> bytes:
        """Return a block as bytes."""

    @abstractmethod
    def open(self, data: bytes) -> BlockT:
        """Return the block that `pack` packed.

        Raises:
            EncodingError: The bytes are not a block.
        """

    @abstractmethod
    def content(self, block: BlockT, data: bytes) -> bytes:
        """Return the digest of the content of a block, the same in every run; `data` is the packed block."""

    @abstractmethod
    def write(self, block: BlockT, rows: OutputFileWriter) -> None:
        """Write the rows of a block to a file of the sink. Raise as `OutputFileWriter` does."""

    @abstractmethod
    def open_result(self, blocks: "ResultBlocks[BlockT]", shards: int) -> "ShardedResult[BlockT]":
        """Return the result that reads its parts from `blocks`."""


#: Partitioner of any aggregator.
AnyPartitioner = StatePartitioner[Any]
