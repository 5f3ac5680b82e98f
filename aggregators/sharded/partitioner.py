"""Division: how the states of an aggregator are divided by key, and what the result of a bucket is."""

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
    """Divides the states of one aggregator, and merges what belongs to a bucket.

    Args:
        inner: The aggregator.
    """

    def __init__(self, inner: AnyAggregator) -> None:
        self.inner = inner

    @abstractmethod
    def create(self) -> ShardState:
        """Return a state that holds nothing."""

    @abstractmethod
    def decode(self, rest: bytes) -> ShardState:
        """Return a state with what `ShardState.rest` gave.

        Raises:
            EncodingError: The bytes are not of this aggregator.
        """

    def told(self, rest: bytes) -> "StatePartitioner[BlockT]":
        """Return a division for a state that holds nothing, of which `ShardState.rest` gave this."""
        return self

    @abstractmethod
    def gather(self, packed: Iterable[bytes]) -> Any:
        """Return the state of the inner aggregator that stands for what was packed by states, in its order.

        Raises:
            EncodingError: The bytes are not of this aggregator.
        """

    @abstractmethod
    def block(self, state: Any) -> BlockT:
        """Return the result of a state, with its keys in an order that only depends on them."""

    @abstractmethod
    def size(self, block: BlockT) -> int:
        """Return the number of keys."""

    @abstractmethod
    def pack(self, block: BlockT) -> bytes:
        """Return a block as bytes."""

    @abstractmethod
    def open(self, data: bytes) -> BlockT:
        """Return the block that `pack` was given.

        Raises:
            EncodingError: It is none.
        """

    @abstractmethod
    def content(self, block: BlockT, data: bytes) -> bytes:
        """Return the digest of what is in a block, the same in every run; `data` is the block as bytes."""

    @abstractmethod
    def write(self, block: BlockT, rows: OutputFileWriter) -> None:
        """Write the rows of a block to a file of an output. Raises as `OutputFileWriter` does."""

    @abstractmethod
    def wide(self, blocks: "ResultBlocks[BlockT]", shards: int) -> "ShardedResult[BlockT]":
        """Return the result that consists of these blocks."""


#: Any of them, where it does not matter of what.
AnyPartitioner = StatePartitioner[Any]
