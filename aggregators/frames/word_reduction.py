"""WordReduction: reduces the words of frames for another aggregator, whose states and result it has."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from elastic.aggregators.frames.base import column
from elastic.aggregators.frames.word_count import WORD
from elastic.core.contracts.aggregator import Aggregator, AnyAggregator

if TYPE_CHECKING:
    import polars


class WordReduction(Aggregator[Any, Any, Any]):
    """Aggregator of frames with a column `word`, in place of an aggregator of the words; of use to the engine only.

    Args:
        inner: Aggregator of the words.
        reduce: Returns the state of `inner` with all words of a series.
    """

    by_reference = True

    def __init__(self, inner: AnyAggregator, reduce: "Callable[[Any, polars.Series], Any]") -> None:
        self.inner, self._reduce = inner, reduce

    def create(self) -> Any:
        return self.inner.create()

    def add(self, state: Any, entry: Any) -> Any:
        return self._reduce(state, column(entry, WORD, self))

    def merge(self, state: Any, other: Any) -> Any:
        return self.inner.merge(state, other)

    def finish(self, state: Any) -> Any:
        return self.inner.finish(state)

    def encode(self, state: Any) -> bytes:
        return self.inner.encode(state)

    def decode(self, data: bytes) -> Any:
        return self.inner.decode(data)

    def merge_encoded(self, state: Any, data: bytes) -> Any:
        return self.inner.merge_encoded(state, data)

    def undo(self, state: Any, other: Any) -> Callable[[], Any] | None:
        return self.inner.undo(state, other)

    def __str__(self) -> str:
        return str(self.inner)
