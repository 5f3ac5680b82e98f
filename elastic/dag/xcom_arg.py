"""The output of a task as an argument of another."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elastic.dag.dependencies import DependencyMixin
from elastic.dag.errors import XComError
from elastic.dag.execution.xcom import RETURN_VALUE

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator

#: How an output begins that is written into a text, and the task in it; ids of tasks hold no quotes.
_WRITTEN = "{{ ti.xcom_pull(key="
_WRITTEN_TASK = re.compile(r"""\{\{ ti\.xcom_pull\(key=(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"), task_ids='([^']+)'\)""")

#: Looks up what a task of the same run passed on: `pull(task_id, key)`.
Pull = Callable[[str, str], Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class XComArg(DependencyMixin):
    """What a task will pass on. The task that is given it comes after the other, and gets the value.

    `output["name"]` is that part of the value; of a mapped task the value is a list. As text it is the template that
    fetches the value: `bash_command=f"echo {a.output}"`.
    """

    task: "BaseOperator"
    key: str = RETURN_VALUE
    path: tuple[str | int, ...] = ()

    def __getitem__(self, part: str | int) -> "XComArg":
        return XComArg(self.task, self.key, (*self.path, part))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self!r} has no value while DAGs are defined; give it to a task, or use expand().")

    def first_tasks(self) -> "Sequence[BaseOperator]":
        return [self.task]

    def last_tasks(self) -> "Sequence[BaseOperator]":
        return [self.task]

    def resolve(self, pull: Pull) -> Any:
        """Return the value in a run.

        Raises:
            XComError: The task passed on something that has no such part.
        """
        value = pull(self.task.task_id, self.key)
        for part in self.path:
            try:
                value = value[part]
            except (LookupError, TypeError) as error:
                raise XComError(self.task.task_id, self.key, f"what it returned has no {part!r}") from error
        return value

    def __str__(self) -> str:
        """Return the template that fetches the value, for a text that is rendered: `f"echo {a.output}"`."""
        path = "".join(f"[{part!r}]" for part in self.path)
        return f"{{{{ ti.xcom_pull(key={self.key!r}, task_ids={self.task.task_id!r}){path} }}}}"

    def __repr__(self) -> str:
        return f"output of {self.task.task_id!r}" + "".join(f"[{part!r}]" for part in self.path)


def references(value: Any) -> Iterator[XComArg]:
    """Yield the outputs of tasks that lie in a value: itself, or in its lists, tuples and dicts."""
    if isinstance(value, XComArg):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from references(one)


def named_in_text(value: Any) -> Iterator[str]:
    """Yield the ids of tasks whose outputs were written into texts, in a value or in its lists, tuples and dicts."""
    if isinstance(value, str):
        if _WRITTEN in value:
            yield from _WRITTEN_TASK.findall(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from named_in_text(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from named_in_text(one)


def resolved(value: Any, pull: Pull) -> Any:
    """Return a value with what tasks passed on in place of their outputs."""
    if isinstance(value, XComArg):
        return value.resolve(pull)
    if not any(True for _ in references(value)):
        return value
    if isinstance(value, Mapping):
        return {name: resolved(one, pull) for name, one in value.items()}
    return type(value)(resolved(one, pull) for one in value)
