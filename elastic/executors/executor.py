"""The executor contract: what runs task instances, and tells how they ended.

What an executor is given to run.
"""

import shlex
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCommand:
    """A program with its arguments, which runs one task instance and ends with 0 if that succeeded."""

    words: tuple[str, ...]
    #: the same for a process that has loaded the DAG already; an executor without such processes ignores it
    request: Any = field(default=None, repr=False)
    #: what the task says it needs: `cpus`, `memory` in bytes, `custom` resources by name
    resources: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __str__(self) -> str:
        return shlex.join(self.words)


#: Runs a command in a process that has loaded the DAG already, and returns an account of it.
Runner = Callable[[TaskKey, TaskCommand], Any]

#: How often an executor that cannot wait for its commands is asked about them, in seconds.
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorEvent:
    """How a command ended."""

    key: TaskKey
    #: success or failed
    state: TaskState
    #: what the runner returned, where one ran it
    account: Any = None
    #: of the process; less than 0 for the signal that ended it
    exit_code: int | None = None
    #: why it failed, where the command itself could not say so; one sentence
    error: str | None = None


class Executor(ABC):
    """Runs commands. Derive it, and override `execute_async`; the rest has a body.

    All is called by one thread of one process: `start` once, then `queue_command`, `heartbeat` and
    `get_event_buffer` in turns, and `end` or `terminate` last.

    Args:
        parallelism: How many commands may run at the same time.
    """

    #: settings of tasks that it heeds; Elastic's own executors have one kind of workers, and only Ray gives resources
    heeds: ClassVar[frozenset[str]] = frozenset(("queue", "resources"))

    def __init__(self, parallelism: int = 16) -> None:
        self.parallelism = parallelism
        #: what waits for a free slot
        self.queued: deque[tuple[TaskKey, TaskCommand, str]] = deque()
        #: what was started and has not ended
        self.running: dict[TaskKey, TaskCommand] = {}
        self._events: dict[TaskKey, ExecutorEvent] = {}

    def start(self, runner: Runner | None = None) -> None:
        """Get ready; nothing is run yet.

        Args:
            runner: Runs commands in processes of this executor, if it has some.
        """

    def queue_command(self, key: TaskKey, command: TaskCommand, queue: str = "default") -> None:
        """Take a command; it is started by this or a later `heartbeat`."""
        self.queued.append((key, command, queue))

    @abstractmethod
    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        """Start a command. When it has ended, by the end of this call or later, `change_state` says how.

        Called once for each command. The command itself looks whether it may still run, so that nothing breaks if a
        process is started twice or comes late. An exception here means that it was not started.
        """

    def heartbeat(self, timeout: float = 0.0) -> None:
        """Start what is queued while there are free slots, and look for what has ended.

        Args:
            timeout: How long to wait for something to end, in seconds, if nothing has yet.
        """
        while self.queued and len(self.running) < self.parallelism:
            key, command, queue = self.queued.popleft()
            self.running[key] = command
            try:
                self.execute_async(key, command, queue)
            except Exception as error:
                said = f"{type(self).__name__} could not start it ({type(error).__name__}: {error})"
                self.change_state(key, TaskState.FAILED, error=said)
        self.sync(0.0 if self._events else timeout)

    def sync(self, timeout: float) -> None:
        """Look for commands that have ended, and call `change_state` for them; wait up to `timeout` seconds."""
        if timeout:
            time.sleep(min(timeout, _POLL_SECONDS))

    def change_state(
        self,
        key: TaskKey,
        state: TaskState | str,
        *,
        account: Any = None,
        exit_code: int | None = None,
        error: str | None = None,
    ) -> None:
        """Note that a command has ended, as `success` or `failed`."""
        self.running.pop(key, None)
        self._events[key] = ExecutorEvent(
            key=key, state=TaskState(state), account=account, exit_code=exit_code, error=error
        )

    def get_event_buffer(self) -> dict[TaskKey, ExecutorEvent]:
        """Return how commands ended since this was asked last."""
        events, self._events = self._events, {}
        return events

    @property
    def free(self) -> int:
        """How many more commands would start at once."""
        return max(0, self.parallelism - len(self.running) - len(self.queued))

    def reserve(self, count: int) -> list[int]:
        """Return the ids of processes that wait for work: the next commands run in them, in this order.

        An executor without such processes returns an empty list.
        """
        return []

    def kill(self, key: TaskKey) -> None:
        """End a command that must not go on. What comes of it does not count; by default it is left alone."""

    def end(self) -> None:
        """Wait for what runs, and let go of everything."""
        while self.queued or self.running:
            self.heartbeat(timeout=1.0)

    def terminate(self) -> None:
        """End what runs, and let go of everything."""
        self.queued.clear()
        for key in list(self.running):
            self.kill(key)
        self.running.clear()
