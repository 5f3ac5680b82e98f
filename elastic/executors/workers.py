"""Worker executor: leaves commands to workers, which read them from the metadata database."""

from typing import ClassVar

from elastic.core.errors import UsageError
from elastic.dag.ids import TaskKey
from elastic.executors.executor import Executor, TaskCommand


class WorkerExecutor(Executor):
    """Executor whose commands are run by `elastic worker`, possibly on other hosts.

    A master only queues the attempts in the database. Workers take them, and record how they ended.
    """

    heeds: ClassVar[frozenset[str]] = frozenset(("queue",))
    leaves_to_workers: ClassVar[bool] = True

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        raise UsageError("the executor 'worker' starts no processes; start `elastic worker`.")
