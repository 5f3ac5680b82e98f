"""Contract of aggregators whose states on a worker are partly in files or in another store."""

from abc import abstractmethod
from typing import Any

from elastic.core.contracts.aggregator import Aggregator, AnyAggregator


class SpillingAggregator(Aggregator[Any, Any, Any]):
    """Aggregator that moves parts of a worker's state out of memory; the encoded state names their places.

    `encode` moves out all that is left. A state that is dropped leaves files that no encoded state names.
    """

    def begin(self, state: Any, first: int, stop: int) -> Any:
        """Return a state that knows that its entries in memory, and the next ones, come from chunks `[first, stop)`.

        A worker calls it before it folds a batch, and again for states that were made without it. The default ignores
        the chunks.
        """
        return state

    @abstractmethod
    def spill(self, state: Any) -> Any:
        """Move out as much of the state as exceeds the memory limit, and return the state.

        Raises:
            StoreError: The data cannot be written. The content of the state is undefined then.
        """

    @property
    @abstractmethod
    def trial(self) -> AnyAggregator:
        """Aggregator that accepts the same entries and keeps its whole state in memory."""
