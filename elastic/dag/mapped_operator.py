"""Mapped tasks: one task in the DAG, and in a run as many instances as a list has elements."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from elastic.dag.definition_scope import without_registration
from elastic.dag.errors import MappingError
from elastic.dag.operator import BaseOperator
from elastic.dag.task_settings import NAMES
from elastic.dag.templating.literals import ForeignTexts
from elastic.dag.xcom_arg import Pull, XComArg, references, resolved

#: How many copies one task may have.
MOST_COPIES = 1024

_SHARED = NAMES | {"task_id", "dag", "task_group"}


class PartialOperator:
    """An operator with the arguments that all its copies share; `expand` gives those that differ.

    Args:
        kind: The class of the operator.
        arguments: Shared arguments by name.
        into: The argument, a dict, that takes up what is expanded; None if that are arguments of the operator.
    """

    def __init__(self, kind: type[BaseOperator], arguments: Mapping[str, Any], into: str | None = None) -> None:
        self.kind, self.arguments, self.into = kind, dict(arguments), into

    def expand(self, **lists: Any) -> "MappedOperator":
        """Return the mapped task: a copy for each element of a list, or for each combination of several.

        Args:
            lists: For each argument that differs a list, a dict (its pairs), or the output of a task.

        Raises:
            MappingError: Something is no list, or given twice.
        """
        for name, values in lists.items():
            if not isinstance(values, list | tuple | range | dict | XComArg):
                raise MappingError(
                    f"{self._title}: expand({name}=...) is {type(values).__name__}; "
                    "give a list, a dict or the output of a task."
                )
        return self._mapped(lists, ())

    def expand_kwargs(self, rows: "Sequence[Mapping[str, Any]] | XComArg") -> "MappedOperator":
        """Return the mapped task: a copy for each dict of arguments in a list, or in the output of a task.

        Raises:
            MappingError: It is no such list.
        """
        if not isinstance(rows, XComArg | list | tuple) or (
            not isinstance(rows, XComArg) and not all(isinstance(row, dict) for row in rows)
        ):
            raise MappingError(f"{self._title}: expand_kwargs() takes a list of dicts, or the output of a task.")
        return self._mapped({}, rows)

    @property
    def _title(self) -> str:
        return f"{self.kind.__name__} {self.arguments.get('task_id')!r}"

    def _mapped(self, lists: dict[str, Any], rows: Any) -> "MappedOperator":
        names = {name for row in rows for name in row} if isinstance(rows, list | tuple) else set[str]()
        if not lists and not isinstance(rows, XComArg) and not names:
            raise MappingError(f"{self._title}: nothing to expand; name at least one argument.")
        shared = self.arguments if self.into is None else self.arguments.get(self.into, {})
        twice = sorted((set(lists) | names) & shared.keys())
        if twice:
            raise MappingError(f"{self._title}: {twice[0]!r} is given both shared and to expand; remove one.")
        setting = sorted((set(lists) | names) & _SHARED) if self.into is None else []
        if setting:
            raise MappingError(f"{self._title}: {setting[0]!r} is one for all copies; give it to partial().")
        return MappedOperator(self, lists, rows)


class MappedOperator(BaseOperator):
    """A task of which a run has several instances, numbered from 0 by `map_index`.

    Args:
        partial: The class of the copies, and what they share.
        lists: What differs, by argument; copies are made for all combinations, the last argument changing fastest.
        rows: What differs, by copy, where `lists` is empty.
    """

    def __init__(self, partial: PartialOperator, lists: Mapping[str, Any], rows: Any = ()) -> None:
        arguments = partial.arguments
        super().__init__(**{name: value for name, value in arguments.items() if name in _SHARED})
        self.kind, self.into = partial.kind, partial.into
        self.arguments = {name: value for name, value in arguments.items() if name not in ("dag", "task_group")}
        self.lists, self.rows = dict(lists), rows
        self._depend_on([list(self.arguments.values()), list(self.lists.values()), rows])
        known = self.known_count
        if known is not None and known > MOST_COPIES:
            raise MappingError(f"{self} would have {known:,} copies, and {MOST_COPIES:,} are allowed; map over chunks.")
        if known and self.copy_is_known:
            self.copy_at(0, _nothing)

    @property
    def operator_type(self) -> str:
        return self.kind.__name__

    @property
    def is_mapped(self) -> bool:
        return True

    @property
    def known_count(self) -> int | None:
        """How many copies there are; None where the output of a task says so."""
        if isinstance(self.rows, XComArg) or any(isinstance(one, XComArg) for one in self.lists.values()):
            return None
        return prod(len(one) for one in self.lists.values()) if self.lists else len(self.rows)

    @property
    def copy_is_known(self) -> bool:
        """Whether a copy can be made while the DAG is defined, to see whether its arguments are right."""
        return not any(references([list(self.lists.values()), self.rows, list(self.arguments.values())]))

    @property
    def mapped_over(self) -> list[str]:
        """The ids of the tasks whose outputs say how many copies there are."""
        given = [self.rows, *self.lists.values()]
        return [one.task.task_id for one in given if isinstance(one, XComArg)]

    def count(self, pull: Pull) -> int:
        """Return how many copies a run has.

        Args:
            pull: Returns what a task of the run passed on, as `pull(task_id, key)`.

        Raises:
            MappingError: The output of a task is no list, or too long.
        """
        found = self._columns(pull)
        number = prod(len(one) for one in found.values()) if self.lists else len(self._rows(pull))
        if number > MOST_COPIES:
            raise MappingError(f"{self} would have {number:,} copies, and {MOST_COPIES:,} are allowed.")
        return number

    def copy_at(self, map_index: int, pull: Pull) -> BaseOperator:
        """Return a copy as a task of its own, with the same links; it is not part of the DAG.

        Raises:
            MappingError: There is no copy of this number.
        """
        values = next((one for index, one in enumerate(self._copies(pull)) if index == map_index), None)
        if values is None:
            raise MappingError(f"{self} has no copy {map_index}.")
        passed_on, written = self._parted(values)
        with without_registration():
            if self.into is not None:
                values = {self.into: {**self.arguments.get(self.into, {}), **values}}
            copy = self.kind(**{**self.arguments, **values, "task_id": self.task_id, "dag": self._dag})
        if passed_on:
            copy.foreign_texts = ForeignTexts(passed_on, [self.arguments, written])
        copy.upstream, copy.downstream, copy.group = self.upstream, self.downstream, self.group
        return copy

    def _parted(self, values: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        """Part what differs from copy to copy into what other tasks passed on, and what the author wrote."""
        passed_on: list[Any] = []
        written: list[Any] = []
        for name, value in values.items():
            is_passed_on = isinstance(self.lists.get(name, self.rows), XComArg)
            (passed_on if is_passed_on else written).append(value)
        return passed_on, written

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
            raise MappingError(f"{self}: {self.rows!r} holds something else than dicts of arguments.")
        return rows

    def _listed(self, values: Any, pull: Pull) -> Sequence[Any]:
        found = resolved(values, pull) if isinstance(values, XComArg) else values
        if isinstance(found, dict):
            return list(found.items())
        if not isinstance(found, list | tuple | range):
            raise MappingError(f"{self}: {values!r} is {type(found).__name__}, not a list, and cannot be mapped over.")
        return found


def _nothing(task_id: str, key: str) -> Any:
    """Stand for outputs where there are none to look up."""
    return None
