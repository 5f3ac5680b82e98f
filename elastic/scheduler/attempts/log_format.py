"""Formats of log lines: Flux's format for tasks, Synergy's format for flows and steps."""

import logging
import os
from pathlib import Path
from typing import TextIO

from elastic.core.text import message
from elastic.persistence.durable_file import make_folder

#: Prefix of the logger names of tasks and of their actions.
TASK_PREFIX = "elastic.task."

#: `[time] {file:line} LEVEL - message`
TASK_FORMAT = "[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s"

#: Separator between the lines of two runs.
RULE = "-" * 80


class MessageFormatter(logging.Formatter):
    """Formatter that escapes a record, so that data in it cannot forge another record or control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return message(text) if is_line(record) else text


class StepFormatter(MessageFormatter):
    """Formatter of `step LEVEL message` and `step.action LEVEL message`."""

    def __init__(self, step: str) -> None:
        super().__init__("%(step)s %(levelname)s %(message)s")
        self._step = step

    def format(self, record: logging.LogRecord) -> str:
        record.step = step_of(record, self._step)
        return super().format(record)


def is_line(record: logging.LogRecord) -> bool:
    """Return whether a record is a line of Synergy's logs; Flux's header is not."""
    return not getattr(record, "is_header", False)


def step_of(record: logging.LogRecord, step: str) -> str:
    """Return the name that a line shows: the action that logged it, else the step."""
    name = record.name.removeprefix(TASK_PREFIX)
    return name if name == step or name.startswith(f"{step}.") else step


def log_file(path: Path) -> logging.StreamHandler[TextIO]:
    """Return a handler that appends to a file; create the file and its folders with access for the owner only.

    Raises:
        OSError: The file cannot be created.
    """
    make_folder(path.parent, is_durable=False)
    # Opened here because logging would create a file that other users can read.
    return _File(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))


class _File(logging.StreamHandler[TextIO]):
    """Handler that closes its file."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace"))

    def close(self) -> None:
        self.stream.close()
        super().close()
