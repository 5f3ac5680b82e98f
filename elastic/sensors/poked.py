"""Sensors that check their condition in a process of the task: by a function, or by a command."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.errors import DefinitionError
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.coroutines import check_not_generator
from elastic.dag.execution.wait import Answer
from elastic.sensors.sensor import BaseSensor

#: Seconds of a command, unless the task has an `execution_timeout`.
_COMMAND_SECONDS = 300.0


class PythonSensor(BaseSensor):
    """Sensor that calls a plain or `async` function until it returns True or a `PokeReturnValue` that is done.

    Args:
        python_callable: The function; its parameters are filled as those of a `PythonOperator`.
        op_args: Positional arguments; strings are templates.
        op_kwargs: Keyword arguments; strings are templates.
        settings: Settings of `BaseSensor`.

    Raises:
        DefinitionError: `python_callable` is not callable, or a generator function.
    """

    template_fields: ClassVar[Sequence[str]] = ("op_args", "op_kwargs")

    def __init__(
        self,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] = (),
        op_kwargs: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if not callable(python_callable):
            raise DefinitionError(
                f"task {self.task_id!r}: python_callable must be a function, got {python_callable!r}."
            )
        check_not_generator(f"task {self.task_id!r}", "python_callable", python_callable)
        self.python_callable = python_callable
        self.op_args = tuple(op_args)
        self.op_kwargs = dict(op_kwargs or {})

    def poke(self, context: Context) -> Any:
        return call_with_context(self.python_callable, context, self.op_args, self.op_kwargs)


class CommandSensor(BaseSensor):
    """Sensor that runs a bash command until it ends with exit code 0.

    Args:
        bash_command: The command, rendered as a template.
        not_yet_codes: Exit codes that mean "not yet"; another one is an error.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("bash_command",)

    def __init__(self, bash_command: str, *, not_yet_codes: Sequence[int] = (1,), **settings: Any) -> None:
        super().__init__(**settings)
        self.bash_command, self.not_yet_codes = bash_command, tuple(not_yet_codes)

    def poke(self) -> Answer:
        limit = self.execution_timeout.total_seconds() if self.execution_timeout else _COMMAND_SECONDS
        ended = subprocess.run(["bash", "-c", self.bash_command], check=False, timeout=limit, stdin=subprocess.DEVNULL)  # noqa: S603, S607 - the command of the DAG file
        reason = f"the command ended with exit code {ended.returncode}"
        if ended.returncode not in (0, *self.not_yet_codes):
            raise RuntimeError(f"{reason}, which is neither 0 nor one of not_yet_codes")
        return Answer(done=ended.returncode == 0, reason=reason)
