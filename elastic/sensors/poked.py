"""Sensors that check their condition in a process of the task: by a function, or by a command."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.errors import CommandError
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.coroutines import check_function
from elastic.dag.execution.shell_process import ShellProcess
from elastic.dag.execution.timeout import TimeLimit
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
        check_function(f"task {self.task_id!r}", "python_callable", python_callable)
        self.python_callable = python_callable
        self.op_args = tuple(op_args)
        self.op_kwargs = dict(op_kwargs or {})

    def poke(self, context: Context) -> Any:
        return call_with_context(self.python_callable, context, self.op_args, self.op_kwargs)


class CommandSensor(BaseSensor):
    """Sensor that runs a bash command until it ends with exit code 0.

    The output of the command is logged. Its environment contains neither the Fernet key nor the URL of the metadata
    database.

    Args:
        bash_command: The command, rendered as a template.
        not_yet_codes: Exit codes that mean "not yet"; another one is an error.
        settings: Settings of `BaseSensor`, and `env`, environment variables in addition to those of this process.
            Without an `execution_timeout`, a command may take five minutes.
    """

    template_fields: ClassVar[Sequence[str]] = ("bash_command", "env")

    def __init__(self, bash_command: str, *, not_yet_codes: Sequence[int] = (1,), **settings: Any) -> None:
        super().__init__(**settings)
        self.bash_command = self._text("bash_command", bash_command)
        is_list = isinstance(not_yet_codes, list | tuple | range)
        if not is_list or not all(type(one) is int and one > 0 for one in not_yet_codes):
            self._refuse("not_yet_codes", "a list of exit codes > 0", not_yet_codes)
        self.not_yet_codes = tuple(not_yet_codes)

    def poke(self) -> Answer:
        environment = {name: str(value) for name, value in (self.env or {}).items()}
        limit = None if self.execution_timeout else _COMMAND_SECONDS
        command, last = ShellProcess(["bash", "-c", self.bash_command], environment, None), ""
        try:
            with TimeLimit(f"the command of task {self.task_id!r}", limit):
                for line in command.lines():
                    self.log.info("%s", line)
                    last = line or last
        except BaseException:
            command.kill()
            raise
        code = command.exit_code()
        if code not in (0, *self.not_yet_codes):
            raise CommandError(self.task_id, f"{command.exit_status()}, neither 0 nor one of not_yet_codes", last)
        return Answer(done=code == 0, reason=f"the command ended with {command.exit_status()}")
