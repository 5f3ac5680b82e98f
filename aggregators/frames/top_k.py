"""FrameTopK: the rows with the largest values of a column."""

from typing import TYPE_CHECKING, Any

from elastic.aggregators.frames.base import FrameAggregator, column, one_zero
from elastic.core.errors import UsageError
from elastic.core.frames import polars_module

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Rows, as a multiple of `k`, above which a frame is filtered before it is sorted.
_FILTER_FACTOR = 4


class FrameTopK(FrameAggregator):
    """Aggregator of the `k` rows with the largest values in a column, in descending order; fewer if there are fewer.

    Rows with equal values are sorted by their other columns, ascending, from the first column to the last, so the
    result does not depend on the order of rows. NaN and null come last.

    Args:
        k: Number of rows, at least 1.
        by: Name of the column.

    Raises:
        UsageError: As `FrameAggregator`, or `k` is not a positive integer.
    """

    def __init__(self, k: int, by: str) -> None:
        super().__init__()
        if type(k) is not int or k < 1 or not isinstance(by, str):
            raise UsageError(
                f"FrameTopK got k={k!r}, by={by!r}; pass a whole number from 1 on and the name of a column"
            )
        self.k, self.by = k, by

    def reduce(self, frame: "Frame") -> "Frame":
        pl = polars_module()
        kind = column(frame, self.by, self).dtype
        if kind.is_nested() or kind == pl.Object:
            raise UsageError(f"{self} cannot order the column {self.by!r} of type {kind}; use another column")
        closed = [name for name, one in frame.schema.items() if one in (pl.Categorical, pl.Enum)]
        floats = [one_zero(name, one) for name, one in frame.schema.items() if one.is_float()]
        frame = frame.with_columns(pl.col(closed).cast(pl.String), *floats)
        return self.group(frame)

    def group(self, frame: "Frame") -> "Frame":
        pl = polars_module()
        rank = pl.col(self.by).fill_nan(None) if frame.schema[self.by].is_float() else pl.col(self.by)
        if frame.height > _FILTER_FACTOR * self.k:
            ranks = frame.select(rank).to_series()
            if ranks.len() - ranks.null_count() >= self.k:
                frame = frame.filter(rank >= ranks.top_k(self.k).min())
        others = [name for name in frame.columns if name != self.by]
        descending = [True, *[False] * len(others), False]
        return frame.sort(rank, *others, self.by, descending=descending, nulls_last=True).head(self.k)

    def result(self, frame: "Frame | None") -> Any:
        pl = polars_module()
        return pl.DataFrame(schema={self.by: pl.Null}) if frame is None else frame.clone()

    def fits(self, frame: "Frame") -> bool:
        return frame.height <= self.k and self.by in frame.columns

    def __str__(self) -> str:
        return f"FrameTopK({self.k}, {self.by})"
