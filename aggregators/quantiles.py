"""Quantiles: the median and its like, roughly, in little memory."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from elastic.aggregators.batch import batches
from elastic.aggregators.sketch import sealed, sketch_library, unsealed
from elastic.core.aggregator import Aggregator
from elastic.core.errors import EncodingError, UsageError


class Quantiles(Aggregator[Any, Any, dict[float, "float | None"]]):
    """Estimates quantiles of numbers; the result is a dict of numbers (None without entries) by rank.

    A KLL sketch. Beyond about `k` entries it throws dice: **two runs over the same data may differ**, and so may two
    groupings, always within `rank_error`. Up to then, and for the ranks 0 and 1 (smallest, greatest) always, it is
    exact. Where the same bytes must come out of each run, use `Histogram`. NaN entries are left out.

    Args:
        ranks: Which quantiles, from 0 to 1; 0.5 is the median.
        k: Greater is more exact and takes more memory, from 8 to 65535; 200 keeps a few thousand bytes.

    Raises:
        UsageError: `ranks` or `k` is out of range, or `datasketches` (extra `sketches`) is not installed.
    """

    def __init__(self, ranks: Sequence[float] = (0.25, 0.5, 0.75), k: int = 200) -> None:
        if type(k) is not int or not 8 <= k <= 65535:
            raise UsageError(f"Quantiles got k={k!r}; pass a whole number from 8 to 65535")
        self.k = k
        self.ranks = _checked(ranks)
        sketch_library(self)

    @property
    def rank_error(self) -> float:
        """How far the rank of an estimate is from the one asked for, at most, in 99 of 100 cases."""
        error: float = sketch_library(self).kll_doubles_sketch.get_normalized_rank_error(self.k, False)
        return error

    def create(self) -> Any:
        return sketch_library(self).kll_doubles_sketch(self.k)

    def add(self, state: Any, entry: Any) -> Any:
        state.update(float(entry))
        return state

    def add_many(self, state: Any, entries: Iterable[Any]) -> Any:
        for batch in batches(entries):
            state.update(array("d", batch))
        return state

    def merge(self, state: Any, other: Any) -> Any:
        state.merge(other)
        return state

    def finish(self, state: Any) -> dict[float, float | None]:
        if state.is_empty():
            return dict.fromkeys(self.ranks)
        quantiles = dict(zip(self.ranks, state.get_quantiles(self.ranks, inclusive=True), strict=True))
        # The smallest and the greatest are known, but the library estimates these as well.
        known = {0.0: state.get_min_value(), 1.0: state.get_max_value()}
        return {rank: known.get(rank, quantile) for rank, quantile in quantiles.items()}

    def encode(self, state: Any) -> bytes:
        return sealed(state.serialize())

    def decode(self, data: bytes) -> Any:
        sketch = unsealed(data)
        try:
            return sketch_library(self).kll_doubles_sketch.deserialize(sketch)
        except (RuntimeError, ValueError, IndexError) as error:
            raise EncodingError(f"these bytes are not a state of {self} ({error})") from error


def _checked(ranks: Sequence[float]) -> list[float]:
    try:
        numbers = list(map(float, ranks))
    except (TypeError, ValueError) as error:
        raise UsageError(f"Quantiles got the ranks {ranks!r}; pass numbers from 0 to 1, such as [0.5, 0.9]") from error
    if not numbers or not all(0 <= number <= 1 for number in numbers):
        raise UsageError(f"Quantiles got the ranks {ranks!r}; pass at least one number from 0 to 1")
    return numbers
