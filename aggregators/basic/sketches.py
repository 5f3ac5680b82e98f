"""Sketches: estimates in little memory.

ApproximateDistinct: the number of different entries.

Quantiles: the median and other quantiles.

The sketch library belongs to the extra `sketches`, and is imported when a sketch is created.
"""

import datetime as dt
import math
from array import array
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from elastic.aggregators.exact.nan import one_nan
from elastic.aggregators.states.batching import batches
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import digest, pack
from elastic.core.errors import EncodingError, UsageError
from elastic.core.optional import require
from elastic.core.time_encoding import instant_of

#: Length of the digest before an encoded sketch (bytes).
_DIGEST_BYTES = 16


def sketch_library(user: object) -> Any:
    """Return the module `datasketches`.

    Raises:
        UsageError: The package is missing.
    """
    return require("datasketches", extra="sketches", user=type(user).__name__)


def with_digest(sketch: bytes) -> bytes:
    """Return the bytes of a sketch after their digest: the library may crash on damaged bytes."""
    return digest(sketch) + sketch


def without_digest(data: bytes) -> bytes:
    """Return the bytes of a sketch from those of `with_digest`.

    Raises:
        EncodingError: The bytes are damaged.
    """
    sketch = bytes(data[_DIGEST_BYTES:])
    if digest(sketch) != data[:_DIGEST_BYTES]:
        raise EncodingError("the bytes of a sketch are damaged")
    return sketch


#: Limit of integers: the library takes those from here on, and those below its negative, for floats.
_INT64 = 2**63


class Sketch:
    """State of ApproximateDistinct: a sketch of added entries, and one of merged states; each may be None."""

    __slots__ = ("growing", "merged")

    def __init__(self, growing: Any = None, merged: Any = None) -> None:
        self.growing, self.merged = growing, merged


class ApproximateDistinct(Aggregator[Any, Sketch, int]):
    """Aggregator that estimates the number of different entries; exact up to `2**precision` of them.

    A theta sketch, which stores the `2**precision` smallest hashes. The same entries give the same estimate, byte for
    byte, in any order and grouping. Entries are hashable plain data. Equal numbers are one entry, whatever their type,
    but inside tuples the type matters. All NaN of a type are one entry.

    Args:
        precision: From 5 to 26. The estimate is within `2 * error` of the exact number in 95 of 100 cases. An encoded
            state has at most `8 * 2**precision` bytes.

    Raises:
        UsageError: `precision` is out of range, or `datasketches` (extra `sketches`) is missing.
    """

    def __init__(self, precision: int = 12) -> None:
        if type(precision) is not int or not 5 <= precision <= 26:
            raise UsageError(f"ApproximateDistinct got precision={precision!r}; pass a whole number from 5 to 26")
        sketch_library(self)
        self.precision = precision

    @property
    def error(self) -> float:
        """Relative standard error of the estimate."""
        return 1 / math.sqrt(2**self.precision)

    def create(self) -> Sketch:
        return Sketch()

    def add(self, state: Sketch, entry: Any) -> Sketch:
        return self.add_many(state, (entry,))

    def add_many(self, state: Sketch, entries: Iterable[Any]) -> Sketch:
        if state.growing is None:
            state.growing = sketch_library(self).update_theta_sketch(self.precision)
        update = state.growing.update
        for batch in batches(entries):
            for entry in set(batch):
                # The library ignores empty strings, and refuses lone surrogates.
                try:
                    update(entry if type(entry) is str and entry else _hashable(entry))
                except TypeError:
                    update(_hash(entry))
        return state

    def merge(self, state: Sketch, other: Sketch) -> Sketch:
        return Sketch(merged=self._union(state.growing, state.merged, other.growing, other.merged))

    def finish(self, state: Sketch) -> int:
        estimate: float = self._union(state.growing, state.merged).get_estimate()
        return round(estimate)

    def encode(self, state: Sketch) -> bytes:
        return with_digest(self._union(state.growing, state.merged).serialize())

    def decode(self, data: bytes) -> Sketch:
        sketch = without_digest(data)
        try:
            return Sketch(merged=sketch_library(self).compact_theta_sketch.deserialize(sketch))
        except (RuntimeError, ValueError, IndexError) as error:
            raise EncodingError(f"these bytes are not a state of {self} ({error})") from error

    def _union(self, *sketches: Any) -> Any:
        union = sketch_library(self).theta_union(self.precision)
        for sketch in sketches:
            if sketch is not None:
                union.update(sketch)
        return union.get_result()


def _hashable(entry: Any) -> Any:
    """Return a number or string that the library distinguishes from those of other entries."""
    if isinstance(entry, Decimal | Fraction) and entry == entry and abs(entry) != math.inf:
        exact = Fraction(entry)
        number = exact.numerator / exact.denominator if abs(exact) < 2**1023 else 0.0
        return _hashable(number) if number == exact else _hash([exact.numerator, exact.denominator])
    if isinstance(entry, float) and not entry.is_integer():
        return float(entry)
    if isinstance(entry, int | float):
        return int(entry) if -_INT64 <= entry < _INT64 else _hash(int(entry))
    plain = _plain(entry)
    if plain is entry:
        return _hash(entry)
    return plain if type(plain) is str and plain else _hashable(plain)


def _plain(entry: Any) -> Any:
    """Return the value that an entry counts as, mostly the entry itself."""
    if type(entry).__module__ == "numpy" and hasattr(entry, "item"):
        return entry.item()
    if isinstance(entry, dt.datetime) and entry.tzinfo is not None:
        # Equal times are one instant, whatever their zones.
        return ("instant", instant_of(entry.replace(fold=0)))
    return one_nan(entry)


def _hash(entry: Any) -> str:
    return digest(pack(entry)).hex()


class Quantiles(Aggregator[Any, Any, dict[float, "float | None"]]):
    """Aggregator that estimates quantiles of numbers; the result is a dict from rank to number (None without entries).

    A KLL sketch. Beyond about `k` entries it is randomized: **two runs over the same data may differ**, and so may two
    groupings, always within `rank_error`. Below, and always for the ranks 0 and 1 (minimum, maximum), it is exact. If
    each run must give the same bytes, use `Histogram`. NaN entries are ignored.

    Args:
        ranks: Ranks of the quantiles, from 0 to 1; 0.5 is the median.
        k: Size of the sketch, from 8 to 65535: larger is more accurate and needs more memory. 200 needs a few thousand
            bytes.

    Raises:
        UsageError: `ranks` or `k` is out of range, or `datasketches` (extra `sketches`) is missing.
    """

    def __init__(self, ranks: Sequence[float] = (0.25, 0.5, 0.75), k: int = 200) -> None:
        if type(k) is not int or not 8 <= k <= 65535:
            raise UsageError(f"Quantiles got k={k!r}; pass a whole number from 8 to 65535")
        self.k = k
        self.ranks = _valid_ranks(ranks)
        sketch_library(self)

    @property
    def rank_error(self) -> float:
        """Maximum distance between the rank of an estimate and the requested rank, in 99 of 100 cases."""
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
        # The sketch knows minimum and maximum, but the library estimates these as well.
        known = {0.0: state.get_min_value(), 1.0: state.get_max_value()}
        return {rank: known.get(rank, quantile) for rank, quantile in quantiles.items()}

    def encode(self, state: Any) -> bytes:
        return with_digest(state.serialize())

    def decode(self, data: bytes) -> Any:
        sketch = without_digest(data)
        try:
            return sketch_library(self).kll_doubles_sketch.deserialize(sketch)
        except (RuntimeError, ValueError, IndexError) as error:
            raise EncodingError(f"these bytes are not a state of {self} ({error})") from error


def _valid_ranks(ranks: Sequence[float]) -> list[float]:
    try:
        numbers = list(map(float, ranks))
    except (TypeError, ValueError) as error:
        raise UsageError(f"Quantiles got the ranks {ranks!r}; pass numbers from 0 to 1, such as [0.5, 0.9]") from error
    if not numbers or not all(0 <= number <= 1 for number in numbers):
        raise UsageError(f"Quantiles got the ranks {ranks!r}; pass at least one number from 0 to 1")
    return numbers
