"""Decorators for tasks and DAGs: `@task`, `@task.branch`, `@task.short_circuit`, `@task.sensor`, `@dag`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from elastic.core.callables import CallKind, call_kind
from elastic.dag.dag import DAG
from elastic.dag.definition_scope import current_dag, current_group, register
from elastic.dag.errors import DefinitionError
from elastic.dag.execution.coroutines import function_name
from elastic.dag.operator import BaseOperator, PartialOperator
from elastic.dag.xcom_arg import XComArg
from elastic.operators.branch import BranchOperator, ShortCircuitOperator
from elastic.operators.python import PythonOperator


class TaskFunction:
    """Decorated function that creates a task when it is called in a DAG definition.

    The call returns the output of the task. Passed to another decorated function, it becomes its value in a run, and
    the other task depends on this one. A second call creates a second task, `<name>__1`.
    """

    def __init__(
        self, function: Callable[..., Any], operator_class: type[BaseOperator], settings: Mapping[str, Any]
    ) -> None:
        functools.update_wrapper(self, function)
        self.function, self.operator_class, self.settings = function, operator_class, dict(settings)
        self.settings.setdefault("doc", function.__doc__ or "")

    def __call__(self, *arguments: Any, **named: Any) -> XComArg:
        return self._operator(op_args=arguments, op_kwargs=named).output

    def override(self, **settings: Any) -> "TaskFunction":
        """Return the same function with other settings."""
        return TaskFunction(self.function, self.operator_class, {**self.settings, **settings})

    def partial(self, **shared: Any) -> "MappedFunction":
        """Fix the arguments that all copies share; `expand` takes those that differ."""
        return MappedFunction(self, shared)

    def expand(self, **lists: Any) -> XComArg:
        """Create a mapped task with a copy for each element of a list, or each combination of several lists."""
        return self.partial().expand(**lists)

    def expand_kwargs(self, rows: Any) -> XComArg:
        """Create a mapped task with a copy for each dict of arguments in a list, or in the output of a task."""
        return self.partial().expand_kwargs(rows)

    def task_id(self) -> str:
        """Return the id of the next task of this function."""
        own = str(self.settings.get("task_id") or getattr(self.function, "__name__", type(self.function).__name__))
        dag = self.settings.get("dag") or current_dag()
        if dag is None or "task_id" in self.settings:
            return own
        group = current_group()
        names = (own if not number else f"{own}__{number}" for number in range(len(dag.task_dict) + 1))
        return next(name for name in names if (group.child_id(name) if group else name) not in dag.task_dict)

    def _operator(self, **arguments: Any) -> BaseOperator:
        named = {"python_callable": self.function, "task_id": self.task_id()}
        return self.operator_class(**{**self.settings, **named, **arguments})


class MappedFunction:
    """Decorated function with the arguments that all copies of its task share."""

    def __init__(self, decorated: TaskFunction, shared: Mapping[str, Any]) -> None:
        self.decorated, self.shared = decorated, dict(shared)

    def expand(self, **lists: Any) -> XComArg:
        """Create a mapped task with a copy for each element of a list, or each combination of several lists."""
        return self._partial().expand(**lists).output

    def expand_kwargs(self, rows: Any) -> XComArg:
        """Create a mapped task with a copy for each dict of arguments in a list, or in the output of a task."""
        return self._partial().expand_kwargs(rows).output

    def _partial(self) -> PartialOperator:
        decorated = self.decorated
        arguments = {**decorated.settings, "task_id": decorated.task_id(), "python_callable": decorated.function}
        return PartialOperator(decorated.operator_class, {**arguments, "op_kwargs": self.shared}, into="op_kwargs")


class TaskDecorator:
    """Decorator of functions that are tasks: `@task`, or with settings `@task(retries=3)`."""

    def __call__(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        return _decorate(function, PythonOperator, settings)

    def branch(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Decorate a function as a task that chooses which of its downstream tasks run."""
        return _decorate(function, BranchOperator, settings)

    def sensor(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Decorate a function as a sensor: it is called until it returns True or a `PokeReturnValue` that is done."""
        from elastic.sensors.poked import PythonSensor

        return _decorate(function, PythonSensor, settings)

    def short_circuit(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Decorate a function as a task that skips its downstream tasks if it returns a false value."""
        return _decorate(function, ShortCircuitOperator, settings)


def _decorate(
    function: Callable[..., Any] | None, operator_class: type[BaseOperator], settings: Mapping[str, Any]
) -> Any:
    if function is None:
        return lambda found: TaskFunction(found, operator_class, settings)
    return TaskFunction(function, operator_class, settings)


#: The decorator of functions that are tasks.
task = TaskDecorator()


def dag(function: Callable[..., Any] | None = None, **settings: Any) -> Any:
    """Decorate a function that defines tasks, so that a call returns their DAG.

    Call it at the end of the file: `@dag(schedule="@daily") def report(): ...`, then `report()`. By default, the name
    of the function is the `dag_id`, and its docstring the `doc`.

    Args:
        function: A function that defines the tasks.
        settings: Settings of `DAG`.
    """
    if function is None:
        return lambda found: dag(found, **settings)

    if call_kind(function) is not CallKind.ANSWER:
        raise DefinitionError(
            f"{function_name(function)} defines a DAG and is {call_kind(function)}, so its body would never run. "
            "Write a plain function."
        )

    @functools.wraps(function)
    def create_dag(*arguments: Any, **named: Any) -> DAG:
        given: dict[str, Any] = {"dag_id": function.__name__, "doc": function.__doc__ or "", **settings}
        found = DAG(**given)
        found.fileloc = function.__code__.co_filename
        with found:
            function(*arguments, **named)
        register(found)
        return found

    return create_dag
