"""Measures of FrameGroupBy: the number of rows, or the sum, minimum or maximum of a column."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elastic.aggregators.frames.base import column, one_zero
from elastic.core.errors import UsageError
from elastic.core.frames import polars_module

if TYPE_CHECKING:
    import polars

    from elastic.core.frames import Frame

#: Kinds of measures.
KINDS = ("count", "sum", "min", "max")

#: Polars sums Decimals in 128 bits and overflows silently. A float column beside the sum has the sum of the magnitudes,
#: in units of the last decimal place; below this value, no overflow can have occurred.
_MAX_UNITS = 1e38

#: Suffix of the names of those columns.
_MAGNITUDE = "\0magnitude"

#: Width of sums of integers in a state (bits).
_BITS = 128

#: Suffix of the names of sums in encoded states, which have the smallest sufficient width.
_NARROW = "\0narrow"


@dataclass(frozen=True, slots=True)
class Measure:
    """Measure in one column of the result."""

    name: str
    kind: str
    #: name of the measured column; empty for a count
    column: str = ""

    @property
    def magnitude(self) -> str:
        """Name of the column that detects the overflow of a sum of Decimals."""
        return self.name + _MAGNITUDE

    def of_rows(self, frame: "Frame", aggregator: object) -> "list[polars.Expr]":
        """Return the expressions over the rows of a group. Raise as `of_each` does."""
        pl = polars_module()
        if self.kind == "count":
            return [pl.len().cast(pl.Int64).alias(self.name)]
        return [getattr(each, self.kind)() for each in self.of_each(frame, aggregator)]

    def of_each(self, frame: "Frame", aggregator: object) -> "list[polars.Expr]":
        """Return the expressions for each row, whose values are the state of that row alone.

        Raises:
            UsageError: The column is missing, or its type does not support the measure.
        """
        pl = polars_module()
        if self.kind == "count":
            return [pl.lit(1, dtype=pl.Int64).alias(self.name)]
        kind, values = column(frame, self.column, aggregator).dtype, pl.col(self.column)
        if self.kind == "sum":
            return self._sum(kind, values, aggregator)
        if kind.is_nested() or kind == pl.Object:
            raise UsageError(f"{aggregator} cannot compare the values of {self.column!r}, which are {kind}")
        if kind in (pl.Categorical, pl.Enum):
            values = values.cast(pl.String)
        if kind.is_float():
            values = one_zero(self.column, kind)  # the order of -0.0 and 0.0 is undefined
        return [values.alias(self.name)]

    def of_states(self, frame: "Frame") -> "list[polars.Expr]":
        """Return the expressions over the states of a group."""
        pl = polars_module()
        if self.kind in ("min", "max"):
            return [getattr(pl.col(self.name), self.kind)()]
        return [pl.col(name).sum() for name in (self.name, self.magnitude) if name in frame.columns]

    def result(self, frame: "Frame", aggregator: object) -> "Frame":
        """Return a grouped state with this column as the result shows it.

        Raises:
            UsageError: A sum of Decimals has too many digits.
        """
        pl = polars_module()
        if self.kind != "sum":
            return frame
        if self.magnitude in frame.columns:
            self._check_magnitude(frame, aggregator)
            return frame.drop(self.magnitude)
        is_wide = self._bits(frame) == _BITS
        return frame if is_wide else frame.with_columns(pl.col(self.name).cast(pl.Int64))

    def packed(self, frame: "Frame", aggregator: object) -> "Frame":
        """Return a state with this column as it is encoded. Raise as `result` does."""
        if self.magnitude in frame.columns:
            self._check_magnitude(frame, aggregator)
            return frame
        if self.kind != "sum" or (bits := self._bits(frame)) == _BITS:
            return frame
        pl = polars_module()
        narrow = pl.col(self.name).cast(getattr(pl, f"Int{bits}"))
        return frame.with_columns(narrow).rename({self.name: self.name + _NARROW})

    def unpacked(self, frame: "Frame") -> "Frame":
        """Return the state from a decoded one, which `packed` returned."""
        pl, narrow = polars_module(), self.name + _NARROW
        if frame.schema.get(narrow) not in (pl.Int16, pl.Int32, pl.Int64) or self.name in frame.columns:
            return frame
        return frame.rename({narrow: self.name}).with_columns(pl.col(self.name).cast(pl.Int128))

    def fits(self, frame: "Frame") -> bool:
        """Return whether a state has the columns of this measure."""
        pl, kind = polars_module(), frame.schema.get(self.name)
        found: bool
        if self.kind == "sum":
            found = kind == pl.Int128 or (kind == pl.Decimal and frame.schema.get(self.magnitude) == pl.Float64)
        else:
            found = kind is not None and (self.kind != "count" or kind == pl.Int64)
        return found

    def _check_magnitude(self, frame: "Frame", aggregator: object) -> None:
        largest: Any = frame.get_column(self.magnitude).max()
        if largest is not None and largest >= _MAX_UNITS:
            raise UsageError(
                f"{aggregator}: the Decimals of {self.column!r} add up to more than 38 digits in a group; "
                "cast them to fewer decimal places in map_frames"
            )

    def _bits(self, frame: "Frame") -> int:
        """Return the width that all sums of integers need (bits)."""
        sums = frame.get_column(self.name)
        low: Any = sums.min()
        high: Any = sums.max()
        return next(
            bits for bits in (16, 32, 64, _BITS) if -(1 << bits - 1) <= (low or 0) <= (high or 0) < 1 << bits - 1
        )

    def _sum(self, kind: "polars.DataType", values: "polars.Expr", aggregator: object) -> "list[polars.Expr]":
        pl = polars_module()
        if kind == pl.Decimal:
            units = values.cast(pl.Float64).abs() * 10.0 ** getattr(kind, "scale", 0)
            exact = values.cast(pl.Decimal(38, getattr(kind, "scale", 0)))
            return [exact.alias(self.name), units.alias(self.magnitude)]
        if kind == pl.Null or kind == pl.Boolean or (kind.is_integer() and not str(kind).endswith("128")):
            return [values.cast(pl.Int128).alias(self.name)]  # 64 bits would overflow silently
        if kind.is_float():
            raise UsageError(
                f"{aggregator} cannot add floats, whose sum depends on their order; cast {self.column!r} to "
                "Decimal or integers in map_frames, or use FrameSum, or GroupBy(Sum()) on rows"
            )
        raise UsageError(f"{aggregator} cannot add {self.column!r}, which is {kind}; cast it to a number in map_frames")

    def __str__(self) -> str:
        return self.kind if self.kind == "count" else f"{self.kind} of {self.column}"


def measure_of(name: str, given: Any) -> Measure:
    """Return the measure for `"count"` or `("column", "sum")`.

    Raises:
        UsageError: The value is neither.
    """
    if given == "count":
        return Measure(name, "count")
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str) and given[1] in KINDS[1:]:
        return Measure(name, given[1], given[0])
    raise UsageError(
        f"FrameGroupBy got {name}={given!r}; pass 'count', or the name of a column and one of {', '.join(KINDS[1:])}, "
        f"such as {name}=('bytes', 'sum')"
    )
