"""Log of one attempt: to its file, to the log of its step, to the database and, on request, to the terminal."""

import contextlib
import datetime as dt
import io
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from elastic.config.secret_mask import protect
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.operator import BaseOperator
from elastic.db.known_secrets import hide_known_secrets
from elastic.db.records import LogLine
from elastic.db.stores.xcoms import add_log_lines
from elastic.scheduler.attempts.attempt_request import AttemptRequest
from elastic.scheduler.attempts.log_format import (
    RULE,
    TASK_FORMAT,
    MessageFormatter,
    StepFormatter,
    is_line,
    log_file,
    step_of,
)
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.log_location import log_path_at

#: Lines that are buffered before they are written to the database.
_MAX_BUFFERED_LINES = 500

#: Seconds between writes to the database.
_FLUSH_INTERVAL = 5.0


def log_path(deployment: Deployment, instance: TaskInstance) -> Path:
    """Return the log file of an instance."""
    return log_path_at(deployment.logs, instance.key, instance.attempt.logical_date, instance.task.zone)


class LogLineBuffer(logging.Handler):
    """Handler that buffers the lines of an attempt for the database.

    It writes the buffer when it is full or old; the caller takes the remaining lines.
    """

    def __init__(self, deployment: Deployment, request: AttemptRequest) -> None:
        super().__init__()
        self.addFilter(is_line)
        self._deployment, self._request = deployment, request
        self._lines: list[LogLine] = []
        self._since = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        info = self._request.info
        line = LogLine(
            dag_id=info.dag_id,
            run_id=info.run_id,
            run_attempt=self._request.run_attempt,
            task_id=info.task_id,
            map_index=info.map_index,
            attempt_uuid=info.attempt_uuid,
            at=dt.datetime.fromtimestamp(record.created, dt.UTC),
            logger=step_of(record, info.task_id),
            level=record.levelname,
            message=self.format(record),
        )
        self._lines.append(line)
        if len(self._lines) >= _MAX_BUFFERED_LINES or time.monotonic() - self._since > _FLUSH_INTERVAL:
            add_log_lines(self._deployment.database, self.take())

    def take(self) -> tuple[LogLine, ...]:
        """Return the buffered lines and clear the buffer."""
        lines, self._lines = tuple(self._lines), []
        self._since = time.monotonic()
        return lines


@contextmanager
def attempt_log(
    deployment: Deployment,
    task: BaseOperator,
    request: AttemptRequest,
    *,
    terminal: TextIO | None = None,
    capture: bool = False,
    continues: bool = False,
) -> Iterator[LogLineBuffer | None]:
    """Log an attempt while the block runs, beginning with Flux's header.

    Args:
        deployment: Folders and level of the logs.
        task: The task.
        request: The attempt.
        terminal: Second destination of the lines.
        capture: Make printed output part of the log.
        continues: Continue a log that another process began, without a header.
    """
    hide_known_secrets()
    root = logging.getLogger()
    instance = TaskInstance(task, attempt=request.info)
    lines = LogLineBuffer(deployment, request) if deployment.lines_in_database else None
    handlers = _handlers(deployment, task, instance, terminal) + ([lines] if lines else [])
    for handler in handlers:
        protect(handler)
        root.addHandler(handler)
    before = root.level
    root.setLevel(min(before, logging.getLevelName(deployment.level)) if before else deployment.level)
    try:
        with _captured(task.log) if capture else contextlib.nullcontext():
            if not continues:
                _header(task, instance, request)
            yield lines
    finally:
        root.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)
            if handler is not lines:
                handler.close()


def _handlers(
    deployment: Deployment, task: BaseOperator, instance: TaskInstance, terminal: TextIO | None
) -> list[logging.Handler]:
    of_task = log_file(log_path(deployment, instance))
    of_task.setFormatter(MessageFormatter(TASK_FORMAT))
    handlers: list[logging.Handler] = [of_task]
    if deployment.flow_logs is not None:
        of_step = log_file(deployment.flow_logs / instance.dag_id / f"{instance.task_id}.log")
        of_step.setFormatter(StepFormatter(instance.task_id))
        of_step.addFilter(is_line)
        handlers.append(of_step)
    if terminal is not None:
        shown = logging.StreamHandler(terminal)
        shown.setFormatter(MessageFormatter(TASK_FORMAT))
        handlers.append(shown)
    for handler in handlers:
        handler.setLevel(deployment.level)
    return handlers


def _header(task: BaseOperator, instance: TaskInstance, request: AttemptRequest) -> None:
    """Log Flux's header."""
    tries = request.info.try_number
    what = "New run" if tries == 1 else f"Retry run {tries - 1} out of {max(request.max_tries - 1, tries - 1)}"
    now = dt.datetime.now().isoformat()  # noqa: DTZ005 - local time, as in the lines around it
    task.log.info("\n%s\n%s starting @%s\n%s", RULE, what, now, RULE, extra={"is_header": True})
    date = instance.execution_date
    task.log.info("Executing %s for %s", task, date)


@contextmanager
def _captured(log: logging.Logger) -> Iterator[None]:
    """Log printed output while the block runs."""
    out, err = _PrintedLines(log, sys.stdout), _PrintedLines(log, sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.close_line()
            err.close_line()


class _PrintedLines(io.TextIOBase):
    """Stream that logs printed output line by line."""

    def __init__(self, log: logging.Logger, stream: TextIO) -> None:
        self._log, self._pending, self._stream = log, "", stream

    def write(self, text: str) -> int:
        *whole, self._pending = (self._pending + text).split("\n")
        for line in whole:
            self._log.info("%s", line)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def close_line(self) -> None:
        """Log printed output that has no end of line."""
        if self._pending:
            self.write("\n")
