"""Queues of tasks and their executors, as the setting `core.queues` names them."""

import re
from dataclasses import dataclass

from elastic.core.errors import UsageError

#: Name of the queue of tasks that name no other; its executor is `core.executor`.
DEFAULT_QUEUE = "default"

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
        found[queue] = QueueSetting(match["executor"], int(match["parallelism"]) if match["parallelism"] else None)
    return found
