"""Filter of the rows of tables: comparisons of columns with values, all of which a row must fulfil."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.core.errors import UsageError
from elastic.stages.sources.tables.table_entries import pyarrow_module

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}
_OPERATORS = (*_COMPARISONS, "in", "not in")

#: Operators for which the statistics of a row group can tell that no row matches. NaN is not in the statistics, and it
#: matches the others.
_SKIPPING = ("==", "<", "<=", ">", ">=", "in")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of a column with a value; null matches nothing, except `== None`."""

    column: str
    operator: str
    value: Any

    @property
    def has_zero(self) -> bool:
        """Whether zero is in the list of values to compare with."""
        return isinstance(self.value, tuple) and any(type(one) in (int, float) and one == 0 for one in self.value)

    @property
    def is_skipping(self) -> bool:
        """Whether the statistics of a row group can tell that no row matches; a list of values with zero cannot."""
        return self.operator in _SKIPPING and self.value is not None and not self.has_zero

    def expression(self, schema: Any, *, path: str) -> Any:
        """Return the comparison for tables of a schema, as an expression of Arrow.

        Raises:
            UsageError: The table has no such column, or the value is not of its type.
        """
        compute = pyarrow_module(".compute")
        if self.column not in schema.names:
            raise UsageError(
                f"where names the column {self.column!r}, which {path!r} does not have; its columns are "
                f"{', '.join(schema.names)}."
            )
        field, kind = compute.field(self.column), schema.field(self.column).type
        if self.value is not None and pyarrow_module().types.is_nested(_inner(kind)):
            raise UsageError(
                f"where compares the column {self.column!r} of type {kind}, of which it can only test == None and "
                "!= None; use filter() for its values."
            )
        if self.value is None:
            return field.is_null() if self.operator == "==" else field.is_valid()
        if self.operator in _COMPARISONS:
            return _COMPARISONS[self.operator](field, self._scalar(self.value, kind))
        given = [self._scalar(value, kind).as_py() for value in self.value]
        if self.has_zero:
            # In a list of values, 0.0 and -0.0 differ for Arrow, although they are equal.
            given += [0.0, -0.0] if pyarrow_module().types.is_floating(_inner(kind)) else []
        values = pyarrow_module().array(given, type=_inner(kind))
        matches = field.isin(values)
        return matches if self.operator == "in" else field.is_valid() & ~matches

    def _scalar(self, value: Any, kind: Any) -> Any:
        pa = pyarrow_module()
        try:
            scalar = pa.scalar(value, type=_inner(kind))
            # Arrow cuts some values to fit, such as 2.5 for integers.
            if scalar.as_py() == value:
                return scalar
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass
        raise UsageError(
            f"where compares the column {self.column!r} of type {kind} with {value!r}; pass a value of that type."
        )


def comparisons_of(where: Any) -> tuple[Comparison, ...]:
    """Return the comparisons in the user's argument `where`: a `(column, operator, value)`, or a list of these.

    Raises:
        UsageError: The argument is invalid; the message names the part.
    """
    if where is None:
        return ()
    given = [where] if isinstance(where, tuple) and where and isinstance(where[0], str) else where
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(f"where={where!r} must be a list of (column, operator, value).")
    return tuple(map(_comparison, given))


def row_filter(comparisons: Sequence[Comparison], schema: Any, path: str, *, only_skipping: bool = False) -> Any:
    """Return the conjunction of comparisons as an expression of Arrow; None if there is nothing to compare.

    Args:
        comparisons: Comparisons, all of which must match.
        schema: Schema of the table.
        path: Path of the file, for messages.
        only_skipping: Leave out the comparisons for which the statistics of a row group do not count.
    """
    found = None
    for comparison in comparisons:
        if only_skipping and not comparison.is_skipping:
            continue
        expression = comparison.expression(schema, path=path)
        found = expression if found is None else found & expression
    return found


def _comparison(one: Any) -> Comparison:
    if not isinstance(one, tuple | list) or len(one) != 3 or not isinstance(one[0], str):
        raise UsageError(f"where has {one!r}, which must be (column, operator, value).")
    column, operator, value = one
    if operator not in _OPERATORS:
        raise UsageError(f"where has the operator {operator!r}, which must be one of {', '.join(_OPERATORS)}.")
    if operator in ("in", "not in"):
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise UsageError(f"where has {value!r} after {operator!r}, which must be a list of values.")
        value = tuple(value)
        if any(one is None or _is_nan(one) for one in value):
            raise UsageError(f"where has None or NaN in the list after {operator!r}; compare with None by ==.")
    elif _is_nan(value) or (value is None and operator not in ("==", "!=")):
        raise UsageError(f"where has {column!r} {operator} {value!r}, which no row fulfils; compare with None by ==.")
    return Comparison(column, operator, value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _inner(kind: Any) -> Any:
    """Return the type of the values of a column: that of its dictionary, if it has one."""
    return kind.value_type if pyarrow_module().types.is_dictionary(kind) else kind
