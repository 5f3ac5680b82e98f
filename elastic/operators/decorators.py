"""Functions as tasks and as DAGs: `@task`, `@task.branch`, `@task.short_circuit`, `@dag`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from elastic.core.callables import CallKind, call_kind
from elastic.dag.dag import DAG
from elastic.dag.definition_scope import current_dag, current_group, register
from elastic.dag.errors import DefinitionError
from elastic.dag.execution.coroutines import function_name
from elastic.dag.operator import PartialOperator
from elastic.dag.xcom_arg import XComArg
from elastic.operators.branch import BranchOperator, ShortCircuitOperator
from elastic.operators.python import PythonOperator


class TaskFunction:
    """A function that makes a task when it is called while a DAG is defined.

    The call returns the output of the task; given to another such function, it becomes its value in a run, and the
    other task comes after this one. A second call makes a second task, `<name>__1`.
    """

    def __init__(self, function: Callable[..., Any], kind: type[PythonOperator], settings: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.function, self.kind, self.settings = function, kind, dict(settings)
        self.settings.setdefault("doc", function.__doc__ or "")

    def __call__(self, *arguments: Any, **named: Any) -> XComArg:
        return self._operator(op_args=arguments, op_kwargs=named).output

    def override(self, **settings: Any) -> "TaskFunction":
        """Return the same function with other settings."""
        return TaskFunction(self.function, self.kind, {**self.settings, **settings})

    def partial(self, **shared: Any) -> "MappedFunction":
        """Give the arguments that all copies share; `expand` gives those that differ."""
        return MappedFunction(self, shared)

    def expand(self, **lists: Any) -> XComArg:
        """Make a task for each element of a list, or for each combination of several."""
        return self.partial().expand(**lists)

    def expand_kwargs(self, rows: Any) -> XComArg:
        """Make a task for each dict of arguments in a list, or in the output of a task."""
        return self.partial().expand_kwargs(rows)

    def task_id(self) -> str:
        """Return the id that the next task of this function gets."""
        own = str(self.settings.get("task_id") or getattr(self.function, "__name__", type(self.function).__name__))
        dag = self.settings.get("dag") or current_dag()
        if dag is None or "task_id" in self.settings:
            return own
        group = current_group()
        names = (own if not number else f"{own}__{number}" for number in range(len(dag.task_dict) + 1))
        return next(name for name in names if (group.child_id(name) if group else name) not in dag.task_dict)

    def _operator(self, **arguments: Any) -> PythonOperator:
        return self.kind(self.function, **{**self.settings, "task_id": self.task_id(), **arguments})


class MappedFunction:
    """A function with the arguments that all copies of its task share."""

    def __init__(self, made_by: TaskFunction, shared: Mapping[str, Any]) -> None:
        self.made_by, self.shared = made_by, dict(shared)

    def expand(self, **lists: Any) -> XComArg:
        """Make a task for each element of a list, or for each combination of several."""
        return self._partial().expand(**lists).output

    def expand_kwargs(self, rows: Any) -> XComArg:
        """Make a task for each dict of arguments in a list, or in the output of a task."""
        return self._partial().expand_kwargs(rows).output

    def _partial(self) -> PartialOperator:
        made_by = self.made_by
        arguments = {**made_by.settings, "task_id": made_by.task_id(), "python_callable": made_by.function}
        return PartialOperator(made_by.kind, {**arguments, "op_kwargs": self.shared}, into="op_kwargs")


class TaskDecorator:
    """Makes a function a task: `@task`, or with settings `@task(retries=3)`."""

    def __call__(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        return _decorated(function, PythonOperator, settings)

    def branch(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Make a function a task that chooses which of the tasks after it run."""
        return _decorated(function, BranchOperator, settings)

    def short_circuit(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Make a function a task that lets the tasks after it run if it returns something true."""
        return _decorated(function, ShortCircuitOperator, settings)


def _decorated(function: Callable[..., Any] | None, kind: type[PythonOperator], settings: Mapping[str, Any]) -> Any:
    if function is None:
        return lambda found: TaskFunction(found, kind, settings)
    return TaskFunction(function, kind, settings)


#: The decorator of functions that are tasks.
task = TaskDecorator()


def dag(function: Callable[..., Any] | None = None, **settings: Any) -> Any:
    """Make a function that defines tasks a function that returns their DAG.

    Call it at the end of the file: `@dag(schedule="@daily") def report(): ...`, then `report()`. Its name becomes the
    `dag_id`, its docstring the `doc`, unless settings say otherwise.

    Args:
        function: Defines the tasks, in any way.
        settings: Of `DAG`.
    """
    if function is None:
        return lambda found: dag(found, **settings)

    if call_kind(function) is not CallKind.ANSWER:
        raise DefinitionError(
            f"{function_name(function)} defines a DAG and is {call_kind(function)}, whose body would never run; "
            "write a plain function."
        )

    @functools.wraps(function)
    def made(*arguments: Any, **named: Any) -> DAG:
        about: dict[str, Any] = {"dag_id": function.__name__, "doc": function.__doc__ or "", **settings}
        found = DAG(**about)
        found.fileloc = function.__code__.co_filename
        with found:
            function(*arguments, **named)
        register(found)
        return found

    return made
