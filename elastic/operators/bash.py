"""Tasks that run a bash command."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from elastic.dag.context import Context
from elastic.dag.errors import CommandError, TaskSkipped, XComError
from elastic.dag.execution.shell_process import ShellProcess
from elastic.dag.execution.xcom import encode_xcom
from elastic.dag.operator import BaseOperator

#: Keys of the context that become environment variables of the command, as `ELASTIC_CTX_<KEY>`.
_CONTEXT_KEYS = ("run_id", "map_index", "try_number", "attempt_uuid", "ds", "ts", "timeperiod")


class BashOperator(BaseOperator):
    """Task that runs a bash command. A non-zero exit code fails it; the last line of output is pushed as an XCom.

    Pass untrusted values (params of a run, values of other tasks) in `env`, not in the command itself: bash would
    execute them. The context is available as `ELASTIC_CTX_DAG_ID`, `ELASTIC_CTX_TASK_ID`, `ELASTIC_CTX_EXECUTION_DATE`,
    `ELASTIC_CTX_DS` and more. The environment contains neither the Fernet key nor the URL of the metadata database.

    Args:
        bash_command: A command, or the name of a file that ends in `.sh` or `.bash`; rendered as a template.
        env: Environment variables in addition to those of this process. Values are rendered as templates, except
            `literal()` ones, and never read from files.
        append_env: If False, the command gets only PATH and HOME from the variables of this process.
        cwd: The working directory; by default that of this process.
        skip_exit_code: The exit code that marks the task as skipped.
        settings: Settings of every task.
    """

    template_fields: ClassVar[Sequence[str]] = ("bash_command", "env", "cwd")
    template_ext: ClassVar[Sequence[str]] = (".sh", ".bash")
    file_fields: ClassVar[Sequence[str] | None] = ("bash_command",)
    ui_color = "#f0ede4"

    def __init__(
        self,
        bash_command: str,
        *,
        append_env: bool = True,
        cwd: str | Path | None = None,
        skip_exit_code: int | None = 99,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.bash_command = bash_command
        self.append_env = append_env
        self.cwd = None if cwd is None else str(cwd)
        self.skip_exit_code = skip_exit_code
        self._command: ShellProcess | None = None

    def execute(self, context: Context) -> str | None:
        self.log.info("Running command: %s", self.bash_command)
        self._command = ShellProcess(
            ["bash", "-c", self.bash_command], self._environment(context), self.cwd, append_env=self.append_env
        )
        self.log.info("Command STDOUT:")
        last, is_piece = "", False
        for line in self._command.lines():
            self.log.info("%s", line)
            if line:
                last, is_piece = line, self._command.is_piece
        code = self._command.exit_code()
        self.log.info("Command exited with return code %s", code)
        if code == self.skip_exit_code:
            raise TaskSkipped(f"the command of task {self.task_id!r} ended with exit code {code}, its skip_exit_code.")
        if code != 0:
            raise CommandError(self.task_id, self._command.exit_status(), last)
        return self._xcom_value(last, is_piece=is_piece)

    def _xcom_value(self, last: str, *, is_piece: bool) -> str | None:
        """Return the last line; None if it is too long for an XCom, because the command has succeeded anyway."""
        if is_piece:
            self.log.warning("the last line of task %r is too long for an XCom; no XCom is pushed", self.task_id)
            return None
        try:
            encode_xcom(last, task_id=self.task_id)
        except XComError as error:
            if self.do_xcom_push:
                self.log.warning("%s; no XCom is pushed", str(error).rstrip("."))
                return None
        return last

    def on_kill(self) -> None:
        if self._command is not None:
            self._command.kill()

    def _environment(self, context: Context) -> Mapping[str, str]:
        values = {name: context[name] for name in _CONTEXT_KEYS if name in context}
        if "ti" in context:
            ti = context["ti"]
            values |= {"dag_id": ti.dag_id, "task_id": ti.task_id, "execution_date": ti.execution_date.isoformat()}
        named = {f"ELASTIC_CTX_{name.upper()}": str(value) for name, value in values.items()}
        return {**named, **{name: str(value) for name, value in (self.env or {}).items()}}
