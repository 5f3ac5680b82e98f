"""FrameSum: exact sums of columns."""

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

from elastic.aggregators.exact.exact_sum import ExactSum
from elastic.aggregators.frames.base import column
from elastic.aggregators.states.validation import ANY, read_state
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import pack
from elastic.core.errors import UsageError
from elastic.core.frames import frame_of, polars_module

if TYPE_CHECKING:
    from elastic.core.frames import Frame

Totals = list[ExactSum]


class FrameSum(Aggregator[Any, Totals, dict[str, Any]]):
    """Aggregator of exact sums of columns; the result is a dict from column to number.

    It adds as `Sum` does: integers give an int of any size, floats the float nearest to the exact sum, Decimals a
    Decimal with all its digits. Nulls are ignored, and true counts as 1. Polars adds integers; floats and Decimals pass
    through Python, which takes about 0.1 s per million.

    Args:
        column: Name of a column.
        columns: Names of further columns.

    Raises:
        UsageError: Polars is missing, a name is repeated, or a column is missing or not numeric.
    """

    def __init__(self, column: str, *columns: str) -> None:
        polars_module()
        self.columns = (column, *columns)
        if len(set(self.columns)) <= len(columns) or not all(isinstance(name, str) for name in self.columns):
            raise UsageError(f"FrameSum got {self.columns!r}; pass the names of one or more columns, without repeats")

    def create(self) -> Totals:
        return [ExactSum() for _ in self.columns]

    def add(self, state: Totals, entry: Any) -> Totals:
        frame = frame_of(entry)
        if not frame.height:
            return state
        for total, numbers in zip(state, [self._numbers(frame, name) for name in self.columns], strict=True):
            total.add(numbers)
        return state

    def merge(self, state: Totals, other: Totals) -> Totals:
        for mine, theirs in zip(state, other, strict=True):
            mine.merge(theirs)
        return state

    def undo(self, state: Totals, other: Totals) -> Callable[[], Totals]:
        before = list(map(copy, state))
        return lambda: before

    def finish(self, state: Totals) -> dict[str, Any]:
        return {name: total.result for name, total in zip(self.columns, state, strict=True)}

    def encode(self, state: Totals) -> bytes:
        return pack([[*self.columns], [total.plain for total in state]])

    def decode(self, data: bytes) -> Totals:
        _, totals = read_state(data, [[*self.columns], [ANY] * len(self.columns)], self)
        return list(map(ExactSum.of, totals))

    def _numbers(self, frame: "Frame", name: str) -> list[Any]:
        """Return numbers with the same sum as a column: its values, or one integer."""
        pl = polars_module()
        numbers = column(frame, name, self)
        kind = numbers.dtype
        if kind == pl.Null:
            return []
        if (kind.is_integer() and kind not in _wide(pl)) or kind == pl.Boolean:
            return [numbers.cast(pl.Int128).sum()]  # 64 bits would overflow silently
        if kind.is_numeric():
            return numbers.drop_nulls().to_list()
        raise UsageError(f"{self} cannot add the column {name!r} of type {kind}; cast it to a number in map_frames")

    def __str__(self) -> str:
        return f"FrameSum({', '.join(self.columns)})"


def _wide(pl: Any) -> set[Any]:
    """Return the types whose sums may exceed 128 bits."""
    return {getattr(pl, name) for name in ("Int128", "UInt128") if hasattr(pl, name)}
