"""Inline executor: runs commands in this process, one at a time, for test runs and debugging."""

from typing import ClassVar

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.executors.executor import Executor, Runner, TaskCommand
from elastic.executors.worker_process import exit_description, run_program


class InlineExecutor(Executor):
    """Executor that runs one command at a time in this process. A crash of a task crashes the process."""

    heeds: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        super().__init__(1)
        self._runner: Runner | None = None

    def start(self, runner: Runner | None = None) -> None:
        self._runner = runner

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        if self._runner is not None:
            self.change_state(key, TaskState.SUCCESS, account=self._runner(key, command))
            return
        code = run_program(key, command)
        if code == 0:
            self.change_state(key, TaskState.SUCCESS, exit_code=0)
        else:
            why = f"the command ended with {exit_description(code)}"
            self.change_state(key, TaskState.FAILED, exit_code=code, error=why)
