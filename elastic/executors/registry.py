"""Registry of executors by name."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from elastic.config.queues import DEFAULT_QUEUE, WORKERS, QueueSetting
from elastic.core.errors import UsageError
from elastic.executors.executor import Executor
from elastic.executors.queue_router import QueueRouter

_NAMES = ("local", "sequential", "inline", "ray", WORKERS)


def executor_of(wanted: Any, parallelism: int = 16) -> Executor:
    """Return an executor.

    Args:
        wanted: An executor, its class, `module:Class`, or `local`, `sequential`, `inline`, `ray`, `worker`.
        parallelism: Maximum number of parallel commands, if the executor does not define it.

    Raises:
        UsageError: The name is unknown.
    """
    if isinstance(wanted, Executor):
        return wanted
    if isinstance(wanted, type) and issubclass(wanted, Executor):
        return wanted()
    name = str(wanted).lower()
    if name in _NAMES:
        return _builders()[name](parallelism)
    module, colon, attribute = str(wanted).partition(":")
    if not colon:
        raise UsageError(f"unknown executor {wanted!r}; use {', '.join(_NAMES)}, or module:Class.")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the executor {wanted!r} cannot be imported ({error}).") from error
    if not (isinstance(found, type) and issubclass(found, Executor)):
        raise UsageError(f"{wanted!r} is not an executor; derive it from elastic.executors.Executor.")
    return found()


def executor_by_queue(wanted: Any, queues: Mapping[str, QueueSetting], parallelism: int = 16) -> Executor:
    """Return an executor that gives the commands of some queues to executors of their own.

    Args:
        wanted: Executor of the queue `default`, as for `executor_of`.
        queues: Executors of the other queues. If there are none, the first executor has all queues.
        parallelism: Maximum number of parallel commands of each executor, if nothing else defines it.

    Raises:
        UsageError: An executor is unknown.
    """
    default = executor_of(wanted, parallelism)
    if not queues:
        return default
    members = {DEFAULT_QUEUE: default}
    for queue, setting in queues.items():
        try:
            members[queue] = executor_of(setting.executor, setting.parallelism or parallelism)
        except UsageError as error:
            raise UsageError(f"core.queues, queue {queue!r}: {error}") from error
    return QueueRouter(members)


def _builders() -> dict[str, Callable[[int], Executor]]:
    def local(parallelism: int) -> Executor:
        from elastic.executors.local import LocalExecutor

        return LocalExecutor(parallelism)

    def sequential(parallelism: int) -> Executor:
        from elastic.executors.local import SequentialExecutor

        return SequentialExecutor()

    def inline(parallelism: int) -> Executor:
        from elastic.executors.inline import InlineExecutor

        return InlineExecutor()

    def ray(parallelism: int) -> Executor:
        from elastic.executors.ray import RayExecutor

        return RayExecutor(parallelism)

    def worker(parallelism: int) -> Executor:
        from elastic.executors.workers import WorkerExecutor

        return WorkerExecutor(parallelism)

    return {"local": local, "sequential": sequential, "inline": inline, "ray": ray, WORKERS: worker}
