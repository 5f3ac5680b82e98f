"""Expansion of a mapped task: the arguments that differ between its copies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, cast

from elastic.dag.errors import MappingError
from elastic.dag.protocols import OperatorLike
from elastic.dag.xcom_arg import Pull, XComArg, references

#: Maximum number of copies of one task.
MAX_COPIES = 1024


@dataclass(frozen=True, slots=True)
class OutputPart:
    """Output of a task, or a part of it, that another task is mapped over."""

    task_id: str
    key: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class MappedOver:
    """Factors of the number of copies of a mapped task: known lengths, and outputs of other tasks.

    It contains no values and no user code, so that a scheduler can count the copies without the DAG file.
    """

    factors: tuple[int | OutputPart, ...]
    #: True if the only factor is a list of dicts of arguments
    is_rows: bool = False

    def count(self, title: str, pull: Pull) -> int:
        """Return the number of copies in a run, as `Expansion.count` does.

        Raises:
            MappingError: The output of a task is not a list, or too long.
        """
        values = [_reference(one) if isinstance(one, OutputPart) else range(one) for one in self.factors]
        if self.is_rows:
            return Expansion(title, {}, values[0] if isinstance(values[0], XComArg) else [{}] * len(values[0])).count(
                pull
            )
        return Expansion(title, {str(number): value for number, value in enumerate(values)}, ()).count(pull)


@dataclass(frozen=True, slots=True)
class _NamedTask:
    """Task of which only the id is known."""

    task_id: str


def _reference(part: OutputPart) -> XComArg:
    return XComArg(cast("OperatorLike", _NamedTask(part.task_id)), part.key, part.path)


class Expansion:
    """Arguments of the copies of a mapped task, numbered from 0.

    Args:
        title: The task, for error messages.
        lists: Values by argument. Copies are made for all combinations; the last argument changes fastest.
        rows: Arguments by copy, if `lists` is empty.
    """

    def __init__(self, title: str, lists: Mapping[str, Any], rows: Any) -> None:
        self._title, self.lists, self.rows = title, dict(lists), rows

    @property
    def known_count(self) -> int | None:
        """Number of copies; None if it depends on the output of a task."""
        if isinstance(self.rows, XComArg) or any(isinstance(one, XComArg) for one in self.lists.values()):
            return None
        return prod(len(one) for one in self.lists.values()) if self.lists else len(self.rows)

    @property
    def mapped_over(self) -> MappedOver:
        """What the copies are counted from."""
        return MappedOver(tuple(map(_factor, self.lists.values() if self.lists else [self.rows])), not self.lists)

    @property
    def has_references(self) -> bool:
        """Whether an argument contains the output of a task."""
        return any(True for _ in references([list(self.lists.values()), self.rows]))

    def count(self, pull: Pull) -> int:
        """Return the number of copies in a run.

        Raises:
            MappingError: The output of a task is not a list, or too long.
        """
        columns = self._columns(pull)
        number = prod(len(one) for one in columns.values()) if self.lists else len(self._rows(pull))
        self.check_count(number)
        return number

    def check_count(self, number: int) -> None:
        """Raise an error if a task has too many copies."""
        if number > MAX_COPIES:
            raise MappingError(
                f"{self._title} has too many copies: {number:,} of at most {MAX_COPIES:,}. Map over chunks instead."
            )

    def arguments_at(self, map_index: int, pull: Pull) -> dict[str, Any]:
        """Return the arguments of a copy.

        Raises:
            MappingError: There is no such copy.
        """
        found = next((one for index, one in enumerate(self._copies(pull)) if index == map_index), None)
        if found is None:
            raise MappingError(f"{self._title} has no copy {map_index}. Check the map index.")
        return found

    def split_by_origin(self, arguments: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        """Return the values that other tasks pushed, and the values that the author of the DAG wrote."""
        pushed: list[Any] = []
        written: list[Any] = []
        for name, value in arguments.items():
            is_pushed = isinstance(self.lists.get(name, self.rows), XComArg)
            (pushed if is_pushed else written).append(value)
        return pushed, written

    def _copies(self, pull: Pull) -> Iterator[dict[str, Any]]:
        if not self.lists:
            yield from (dict(row) for row in self._rows(pull))
            return
        columns = self._columns(pull)
        for combination in product(*columns.values()):
            yield dict(zip(columns, combination, strict=True))

    def _columns(self, pull: Pull) -> dict[str, Sequence[Any]]:
        return {name: self._listed(values, pull) for name, values in self.lists.items()}

    def _rows(self, pull: Pull) -> Sequence[Mapping[str, Any]]:
        rows = self._listed(self.rows, pull)
        if not all(isinstance(row, dict) for row in rows):
            raise MappingError(f"{self._title} cannot be mapped: {self.rows!r} must contain only dicts of arguments.")
        return rows

    def _listed(self, values: Any, pull: Pull) -> Sequence[Any]:
        found = values.resolve(pull) if isinstance(values, XComArg) else values
        if isinstance(found, dict):
            return list(found.items())
        if not isinstance(found, list | tuple | range):
            raise MappingError(
                f"{self._title} cannot be mapped: {values!r} must be a list, got {type(found).__name__}."
            )
        return found


def _factor(values: Any) -> int | OutputPart:
    return OutputPart(values.task.task_id, values.key, values.path) if isinstance(values, XComArg) else len(values)
