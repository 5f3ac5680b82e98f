"""FrameGroupBy: counts, sums, minima and maxima per key."""

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any

from elastic.aggregators.frames.base import KeyedFrameAggregator, grouped, keys
from elastic.aggregators.frames.measures import measure_of
from elastic.core.errors import UsageError
from elastic.core.frames import polars_module

if TYPE_CHECKING:
    from elastic.core.frames import Frame


class FrameGroupBy(KeyedFrameAggregator):
    """Aggregator that groups the rows of frames by key columns; the result is a frame with a row for each key.

    For example `FrameGroupBy("user", requests="count", traffic=("bytes", "sum"), last=("at", "max"))`. Sums are exact:
    Int64 for integers and booleans, or Int128 if a sum exceeds Int64; Decimal of up to 38 digits for Decimals. Floats
    cannot be summed. Sums, minima and maxima ignore nulls, and minima and maxima ignore NaN. Null is a key like any
    other, and all NaN are one key.

    Args:
        keys: Name of a column, or several.
        measures: For each column of the result, `"count"` for the number of rows, or a pair of a column's name and
            `"sum"`, `"min"` or `"max"`.

    Raises:
        UsageError: As `FrameAggregator`, or a measure is unknown or has the name of a key.
    """

    def __init__(self, keys: str | Iterable[str], **measures: Any) -> None:
        super().__init__()
        self.keys = (keys,) if isinstance(keys, str) else tuple(keys)
        self.measures = tuple(measure_of(name, given) for name, given in measures.items())
        if not self.keys or not self.measures or not measures.keys().isdisjoint(self.keys):
            raise UsageError(
                f"FrameGroupBy got keys={keys!r} and {', '.join(measures) or 'no measures'}; pass at least one key, "
                "and measures with other names"
            )

    def reduce(self, frame: "Frame") -> "Frame":
        measured = [one for measure in self.measures for one in measure.of_rows(frame, self)]
        return grouped(frame, keys(frame, self.keys, self), measured)

    def lift(self, frame: "Frame") -> "Frame | None":
        if not self.folds_as(FrameGroupBy):
            return None
        measured = [one for measure in self.measures for one in measure.of_each(frame, self)]
        return frame.select(keys(frame, self.keys, self) + measured)

    def group(self, frame: "Frame") -> "Frame":
        measured = [one for measure in self.measures for one in measure.of_states(frame)]
        return grouped(frame, self.keys, measured)

    def packed(self, frame: "Frame") -> "Frame":
        return reduce(lambda found, measure: measure.packed(found, self), self.measures, frame)

    def unpacked(self, frame: "Frame") -> "Frame":
        return reduce(lambda found, measure: measure.unpacked(found), self.measures, frame)

    def key_names(self, frame: "Frame") -> list[str]:
        return list(self.keys)

    def result(self, frame: "Frame | None") -> Any:
        pl = polars_module()
        if frame is None:
            return pl.DataFrame(schema=dict.fromkeys([*self.keys, *(one.name for one in self.measures)], pl.Null))
        found = frame.clone()
        for measure in self.measures:
            found = measure.result(found, self)
        return found

    def fits(self, frame: "Frame") -> bool:
        return tuple(frame.columns[: len(self.keys)]) == self.keys and all(one.fits(frame) for one in self.measures)

    def __str__(self) -> str:
        return f"FrameGroupBy({', '.join(self.keys)}: {', '.join(map(str, self.measures))})"
