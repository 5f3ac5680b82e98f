"""Queue router: executor that gives each command to the executor of its queue."""

import time
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from elastic.config.queues import DEFAULT_QUEUE
from elastic.core.errors import UsageError
from elastic.dag.ids import TaskKey
from elastic.executors.executor import Executor, ExecutorEvent, Runner, TaskCommand
from elastic.executors.local import LocalExecutor

#: Seconds that one of several busy executors may wait for its commands, while events of the others wait.
_SLICE_SECONDS = 0.05


class QueueRouter(Executor):
    """Executor that gives each command to the executor of its queue.

    Its events are those of all members. A command of a queue without an executor is refused.

    Args:
        members: Executors by queue; one of them has the queue `default`. Several queues may share an executor.

    Raises:
        UsageError: No executor has the queue `default`.
    """

    heeds: ClassVar[frozenset[str]] = frozenset(("queue", "resources"))

    def __init__(self, members: Mapping[str, Executor]) -> None:
        if DEFAULT_QUEUE not in members:
            raise UsageError(f"no executor has the queue {DEFAULT_QUEUE!r}.")
        self._by_queue = dict(members)
        #: each executor once, by the first of its queues
        self._members: dict[str, Executor] = {}
        self._names: dict[str, str] = {}
        for queue, one in self._by_queue.items():
            name = next((name for name, known in self._members.items() if known is one), queue)
            self._members[name], self._names[queue] = one, name
        # Not that of the base class: the commands and events are those of the members.
        self.parallelism = sum(one.parallelism for one in self._members.values())

    @property
    def members(self) -> Mapping[str, Executor]:
        return self._members

    @property
    def queues(self) -> Mapping[str, str]:
        return self._names

    @property
    def title(self) -> str:
        return ", ".join(dict.fromkeys(one.title for one in self._members.values()))

    def start(self, runner: Runner | None = None) -> None:
        # Others may start native threads, after which no process may be forked that watches local workers.
        ordered = sorted(self._members.values(), key=lambda one: not isinstance(one, LocalExecutor))
        for one in ordered:
            if isinstance(one, LocalExecutor) and len(ordered) > 1:
                one.watch_orphans()
            one.start(runner)

    def queue_command(self, key: TaskKey, command: TaskCommand, queue: str = DEFAULT_QUEUE) -> None:
        if queue not in self._by_queue:
            raise UsageError(f"no executor has the queue {queue!r}.")
        self._by_queue[queue].queue_command(key, command, queue)

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        raise NotImplementedError("the members start the commands")

    def heartbeat(self, timeout: float = 0.0) -> None:
        deadline = time.monotonic() + timeout
        members = list(self._members.values())
        for one in members:
            one.heartbeat()
        while not any(one.has_events for one in members):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            busy = [one for one in members if one.running] or members[:1]
            for one in busy:
                one.heartbeat(left if len(busy) == 1 else min(left, _SLICE_SECONDS))

    def get_event_buffer(self) -> dict[TaskKey, ExecutorEvent]:
        return {key: event for one in self._members.values() for key, event in one.get_event_buffer().items()}

    @property
    def has_events(self) -> bool:
        return any(one.has_events for one in self._members.values())

    @property
    def free(self) -> int:
        return sum(one.free for one in self._members.values())

    def withdraw(self, is_withdrawn: Callable[[TaskKey], bool]) -> None:
        for one in self._members.values():
            one.withdraw(is_withdrawn)

    def kill(self, key: TaskKey) -> None:
        for one in self._members.values():
            if key in one.running:
                one.kill(key)

    def end(self) -> None:
        for one in self._members.values():
            one.end()

    def terminate(self) -> None:
        for one in self._members.values():
            one.terminate()

    @property
    def running(self) -> Mapping[TaskKey, TaskCommand]:  # type: ignore[override]
        """Commands of all members that have started and not ended."""
        return ChainMap(*(one.running for one in self._members.values()))

    @property
    def queued(self) -> Sequence[tuple[TaskKey, TaskCommand, str]]:  # type: ignore[override]
        """Commands of all members that wait."""
        return [entry for one in self._members.values() for entry in one.queued]
