"""Executor contract: runs the commands of task instances and reports how they ended."""

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
    """Command line that runs one task instance and exits with 0 on success."""

    words: tuple[str, ...]
    #: request for a runner in a worker process; executors without a runner ignore it
    request: Any = field(default=None, repr=False)
    #: resources of the task: `cpus`, `memory` in bytes, `custom` resources by name
    resources: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __str__(self) -> str:
        return shlex.join(self.words)


#: Runs a command in a process that has loaded the DAG, and returns its result.
Runner = Callable[[TaskKey, TaskCommand], Any]

#: Seconds between polls of an executor that cannot wait for its commands.
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorEvent:
    """Event: a command has ended."""

    key: TaskKey
    #: SUCCESS or FAILED
    state: TaskState
    #: return value of the runner; None if no runner ran the command
    account: Any = None
    #: exit code of the process; negative for the signal that ended it
    exit_code: int | None = None
    #: why the command failed, if it could not report that itself; one sentence
    error: str | None = None


class Executor(ABC):
    """Base class of executors. Subclasses must implement `execute_async`; all other methods have a body.

    One thread of one process calls all methods: `start` once, then `queue_command`, `heartbeat` and
    `get_event_buffer` repeatedly, and finally `end` or `terminate`.

    Args:
        parallelism: Maximum number of commands that run at the same time.
    """

    #: task settings that the executor supports; of Elastic's own executors, only Ray's supports `resources`
    heeds: ClassVar[frozenset[str]] = frozenset(("queue", "resources"))
    #: True if the executor starts nothing, because workers take the attempts from the database
    leaves_to_workers: ClassVar[bool] = False

    def __init__(self, parallelism: int = 16) -> None:
        self.parallelism = parallelism
        #: commands that wait for a free slot
        self.queued: deque[tuple[TaskKey, TaskCommand, str]] = deque()
        #: commands that have started and not ended
        self.running: dict[TaskKey, TaskCommand] = {}
        self._events: dict[TaskKey, ExecutorEvent] = {}

    def start(self, runner: Runner | None = None) -> None:
        """Prepare the executor. No command runs yet.

        Args:
            runner: Runs commands in worker processes, if the executor has them.
        """

    def queue_command(self, key: TaskKey, command: TaskCommand, queue: str = "default") -> None:
        """Queue a command; a later `heartbeat` starts it."""
        self.queued.append((key, command, queue))

    @abstractmethod
    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        """Start a command; call `change_state` when it has ended, during this call or later.

        Called once for each command. The command checks whether it may still run, so a process that is started twice
        or late does no harm. An exception means that the command was not started.
        """

    def heartbeat(self, timeout: float = 0.0) -> None:
        """Start queued commands while slots are free, and collect the commands that have ended.

        Args:
            timeout: Maximum wait for a command to end, if none has ended yet (seconds).
        """
        while self.queued and len(self.running) < self.parallelism:
            key, command, queue = self.queued.popleft()
            self.running[key] = command
            try:
                self.execute_async(key, command, queue)
            except Exception as error:
                why = f"{type(self).__name__} could not start it ({type(error).__name__}: {error})"
                self.change_state(key, TaskState.FAILED, error=why)
        self.sync(0.0 if self._events else timeout)

    def sync(self, timeout: float) -> None:
        """Call `change_state` for the commands that have ended; wait up to `timeout` seconds."""
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
        """Record that a command has ended, as SUCCESS or FAILED."""
        self.running.pop(key, None)
        self._events[key] = ExecutorEvent(
            key=key, state=TaskState(state), account=account, exit_code=exit_code, error=error
        )

    def get_event_buffer(self) -> dict[TaskKey, ExecutorEvent]:
        """Return the events since the last call."""
        events, self._events = self._events, {}
        return events

    @property
    def has_events(self) -> bool:
        """Whether a command has ended since the last call of `get_event_buffer`."""
        return bool(self._events)

    @property
    def members(self) -> Mapping[str, "Executor"]:
        """Executors that start the commands, by name; by default, only this one, with an empty name."""
        return {"": self}

    @property
    def queues(self) -> Mapping[str, str] | None:
        """Names of the members by queue; None if this executor runs the commands of every queue."""
        return None

    @property
    def worker_members(self) -> frozenset[str]:
        """Names of the members that leave their commands to workers."""
        return frozenset(name for name, one in self.members.items() if one.leaves_to_workers)

    @property
    def title(self) -> str:
        """Name for users."""
        return type(self).__name__

    @property
    def free(self) -> int:
        """Number of commands that would start immediately."""
        return max(0, self.parallelism - len(self.running) - len(self.queued))

    def reserve(self, count: int) -> list[int]:
        """Return the ids of idle worker processes; the next commands run in them, in this order.

        An executor without worker processes returns an empty list.
        """
        return []

    def withdraw(self, is_withdrawn: Callable[[TaskKey], bool]) -> None:
        """Forget the queued commands that must not start."""
        self.queued = deque(one for one in self.queued if not is_withdrawn(one[0]))

    def kill(self, key: TaskKey) -> None:
        """Kill a command whose result no longer matters. The default implementation does nothing."""

    def end(self) -> None:
        """Wait for all commands and release all resources."""
        while self.queued or self.running:
            self.heartbeat(timeout=1.0)

    def terminate(self) -> None:
        """Kill all commands and release all resources."""
        self.queued.clear()
        for key in list(self.running):
            self.kill(key)
        self.running.clear()
