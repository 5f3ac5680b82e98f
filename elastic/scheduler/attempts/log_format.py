"""How lines of logs look: Flux's for tasks, Synergy's for flows and steps."""

import logging
import os
from pathlib import Path
from typing import TextIO

from elastic.core.text import message
from elastic.persistence.durable_file import make_folder

#: The loggers of tasks and of their actions begin so.
TASK_PREFIX = "elastic.task."

#: `[time] {file:line} LEVEL - message`
TASK_FORMAT = "[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s"

#: Between a run's lines and the next one's.
RULE = "-" * 80


class MessageFormatter(logging.Formatter):
    """Formats a record so that data in it cannot pass for another record, or command the terminal that shows it."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return message(text) if is_line(record) else text


class StepFormatter(MessageFormatter):
    """`step LEVEL message` and `step.action LEVEL message`."""

    def __init__(self, step: str) -> None:
        super().__init__("%(step)s %(levelname)s %(message)s")
        self._step = step

    def format(self, record: logging.LogRecord) -> str:
        record.step = step_of(record, self._step)
        return super().format(record)


def is_line(record: logging.LogRecord) -> bool:
    """Say whether a record is a line of Synergy's logs: Flux's header is none."""
    return not getattr(record, "is_header", False)


def step_of(record: logging.LogRecord, step: str) -> str:
    """Return who speaks in a line: the step, or one of its actions; code that is neither speaks for the step."""
    name = record.name.removeprefix(TASK_PREFIX)
    return name if name == step or name.startswith(f"{step}.") else step


def log_file(path: Path) -> logging.StreamHandler[TextIO]:
    """Return a handler that adds lines to a file, which is made for its owner only, with its folders.

    Raises:
        OSError: It cannot be made.
    """
    make_folder(path.parent, is_durable=False)
    # Opened here and not by logging, which would let others read it.
    return _File(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))


class _File(logging.StreamHandler[TextIO]):
    """A handler that closes its file."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace"))

    def close(self) -> None:
        self.stream.close()
        super().close()
