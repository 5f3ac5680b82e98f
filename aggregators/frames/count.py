"""FrameCount: counts equal rows."""

from typing import TYPE_CHECKING, Any

from elastic.aggregators.frames.base import KeyedFrameAggregator, grouped, keys
from elastic.core.errors import UsageError
from elastic.core.frames import polars_module

if TYPE_CHECKING:
    import polars

    from elastic.core.frames import Frame

#: Name of the column of counts.
COUNT = "count"


class FrameCount(KeyedFrameAggregator):
    """Aggregator that counts equal rows of frames; the result is a frame with a column `count`.

    With one column, `dict(result.value.iter_rows())` equals the Counter of its values. All float NaN are equal, and
    all nulls are.

    Args:
        columns: Names of the columns to compare; all columns by default.

    Raises:
        UsageError: As `FrameAggregator`, or a column is named `count`.
    """

    def __init__(self, *columns: str) -> None:
        super().__init__()
        self.columns = columns
        if COUNT in columns or not all(isinstance(name, str) for name in columns):
            raise UsageError(f"FrameCount got {columns!r}; pass names of columns other than {COUNT!r}")

    def reduce(self, frame: "Frame") -> "Frame":
        pl = polars_module()
        return grouped(frame, self._keys(frame), [pl.len().cast(pl.Int64).alias(COUNT)])

    def lift(self, frame: "Frame") -> "Frame | None":
        pl = polars_module()
        one = pl.lit(1, dtype=pl.Int64).alias(COUNT)
        return frame.select([*self._keys(frame), one]) if self.folds_as(FrameCount) else None

    def group(self, frame: "Frame") -> "Frame":
        return grouped(frame, frame.columns[:-1], [polars_module().col(COUNT).sum()])

    def key_names(self, frame: "Frame") -> list[str]:
        return frame.columns[:-1]

    def result(self, frame: "Frame | None") -> Any:
        if frame is not None:
            return frame.clone()
        pl = polars_module()
        return pl.DataFrame(schema={**dict.fromkeys(self.columns, pl.Null), COUNT: pl.Int64})

    def fits(self, frame: "Frame") -> bool:
        *names, last = frame.columns
        return (
            last == COUNT
            and frame.schema[COUNT] == polars_module().Int64
            and tuple(names) == (self.columns or tuple(names))
        )

    def _keys(self, frame: "Frame") -> "list[polars.Expr]":
        names = self.columns or tuple(frame.columns)
        if COUNT in names:
            raise UsageError(
                f"{self} got a frame with a column {COUNT!r}, which the result adds; rename it in map_frames"
            )
        return keys(frame, names, self)

    def __str__(self) -> str:
        return f"FrameCount({', '.join(self.columns)})"
