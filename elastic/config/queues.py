"""Queues of tasks and their executors, as the setting `core.queues` names them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from elastic.core.errors import UsageError

#: Name of the queue of tasks that name no other; its executor is `core.executor`.
DEFAULT_QUEUE = "default"

#: Executor of queues whose tasks are left to workers.
WORKERS = "worker"

#: Executors that run one task after the other.
ONE_AT_A_TIME = ("inline", "sequential")

_ENTRY = re.compile(
    r"(?P<queue>[\w.-]{1,250})\s*=\s*(?P<executor>[^\s*=]+)\s*(?:\*\s*(?P<parallelism>[1-9]\d{0,5}))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class QueueSetting:
    """Executor of a queue."""

    #: name of the executor, or `module:Class`
    executor: str
    #: maximum number of tasks that run at the same time; None for the default
    parallelism: int | None = None

    def places(self, parallelism: int) -> int:
        """Return the number of tasks that the executor runs at the same time; `parallelism` is the default."""
        return 1 if self.executor.lower() in ONE_AT_A_TIME else self.parallelism or parallelism


def worker_queues_of(executor: str, queues: Mapping[str, QueueSetting]) -> tuple[str, ...]:
    """Return the queues whose tasks are left to workers.

    Args:
        executor: Executor of the queue `default`.
        queues: Executors of the other queues.
    """
    default = [DEFAULT_QUEUE] if executor.lower() == WORKERS else []
    return (*default, *(queue for queue, one in queues.items() if one.executor.lower() == WORKERS))


def queues_of(text: str) -> dict[str, QueueSetting]:
    """Return the settings of the queues besides `default`.

    Args:
        text: Entries `QUEUE=EXECUTOR` or `QUEUE=EXECUTOR*PARALLELISM`, separated by commas.

    Raises:
        UsageError: An entry has another form, a queue occurs twice, or one has the name `default`.
    """
    found: dict[str, QueueSetting] = {}
    for entry in filter(None, (one.strip() for one in text.split(","))):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise UsageError(
                f"core.queues has the entry {entry[:80]!r}; write QUEUE=EXECUTOR or QUEUE=EXECUTOR*PARALLELISM, such "
                "as heavy=ray*64."
            )
        queue = match["queue"]
        if queue in found:
            raise UsageError(f"core.queues names the queue {queue!r} twice; give it one executor.")
        if queue == DEFAULT_QUEUE:
            raise UsageError(f"core.queues names the queue {queue!r}, whose executor is core.executor; remove it.")
        if match["executor"].lower() == WORKERS and match["parallelism"]:
            raise UsageError(
                f"core.queues limits the workers of the queue {queue!r} to {match['parallelism']} tasks; leave "
                f"{'*' + match['parallelism']!r} out, and limit each worker with `elastic worker -c`."
            )
        found[queue] = QueueSetting(match["executor"], int(match["parallelism"]) if match["parallelism"] else None)
    return found
