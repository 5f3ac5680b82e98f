"""Commands and executors for tests."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.executors import Executor, ExecutorEvent, TaskCommand


class PlainExecutor(Executor):
    """A user's executor: runs each command in this process, one at a time."""

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        done = subprocess.run(command.words, check=False)
        self.change_state(key, "success" if done.returncode == 0 else "failed", exit_code=done.returncode)


def key_of(task_id: str) -> TaskKey:
    return TaskKey("etl", "run0", task_id)


def python(source: str) -> TaskCommand:
    return TaskCommand(words=(sys.executable, "-c", source))


def events_of(executor: Executor, count: int, meanwhile: Callable[[], Any] = lambda: None) -> dict[str, ExecutorEvent]:
    """Wait for the events of some commands, and return them by task."""
    found: dict[str, ExecutorEvent] = {}
    deadline = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {sorted(found)} ended"
        executor.heartbeat(timeout=0.5)
        found |= {key.task_id: event for key, event in executor.get_event_buffer().items()}
        meanwhile()
    return found


def states_of(events: dict[str, ExecutorEvent]) -> dict[str, TaskState]:
    return {name: event.state for name, event in events.items()}
