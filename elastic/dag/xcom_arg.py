"""Outputs of tasks as arguments of other tasks."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.dag.dependencies import DependencyMixin
from elastic.dag.errors import XComError
from elastic.dag.execution.xcom import RETURN_VALUE
from elastic.dag.protocols import OperatorLike

#: First characters of the template that stands for an output in a string.
_TEMPLATE_START = "{{ ti.xcom_pull(key="
#: The same template with its task id; task ids contain no quotes.
_TEMPLATE = re.compile(r"""\{\{ ti\.xcom_pull\(key=(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"), task_ids='([^']+)'\)""")

#: Returns a value that a task of the same run pushed: `pull(task_id, key)`.
Pull = Callable[[str, str], Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class XComArg(DependencyMixin):
    """Reference to the future output of a task. A task that takes it depends on the other, and receives the value.

    `output["name"]` refers to a part of the value; the output of a mapped task is a list. `str(output)` is a template
    that pulls the value: `bash_command=f"echo {a.output}"`.
    """

    task: OperatorLike
    key: str = RETURN_VALUE
    path: tuple[str | int, ...] = ()

    def __getitem__(self, part: str | int) -> "XComArg":
        return XComArg(self.task, self.key, (*self.path, part))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self!r} has no value while the DAG is defined. Pass it to a task, or use expand().")

    def first_tasks(self) -> Sequence[OperatorLike]:
        return [self.task]

    def last_tasks(self) -> Sequence[OperatorLike]:
        return [self.task]

    def resolve(self, pull: Pull) -> Any:
        """Return the value in a run.

        Raises:
            XComError: The pushed value has no such part.
        """
        value = pull(self.task.task_id, self.key)
        for part in self.path:
            try:
                value = value[part]
            except (LookupError, TypeError) as error:
                raise XComError(self.task.task_id, self.key, f"the pushed value has no {part!r}") from error
        return value

    def __str__(self) -> str:
        """Return a template that pulls the value, for use in a rendered string: `f"echo {a.output}"`."""
        path = "".join(f"[{part!r}]" for part in self.path)
        return f"{{{{ ti.xcom_pull(key={self.key!r}, task_ids={self.task.task_id!r}){path} }}}}"

    def __repr__(self) -> str:
        return f"output of {self.task.task_id!r}" + "".join(f"[{part!r}]" for part in self.path)


def references(value: Any) -> Iterator[XComArg]:
    """Yield all outputs in a value, also in nested lists, tuples, sets and dicts."""
    return (one for one in _nested_values(value) if isinstance(one, XComArg))


def formatted_task_ids(value: Any) -> Iterator[str]:
    """Yield the ids of tasks whose outputs were formatted into strings of a value, nested ones included."""
    for one in _nested_values(value):
        if isinstance(one, str) and _TEMPLATE_START in one:
            yield from _TEMPLATE.findall(one)


def _nested_values(value: Any) -> Iterator[Any]:
    """Yield the values in nested lists, tuples, sets and dicts; a value of another type is the only one."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        yield value
        return
    for one in value:
        yield from _nested_values(one)
