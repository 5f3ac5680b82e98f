"""Where the lines of one attempt go: its file, the log of its step, the database, and perhaps the terminal."""

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

#: Lines that are kept in memory, at most, and for how many seconds, before they go to the database.
_MANY, _LONG = 500, 5.0


def log_path(deployment: Deployment, instance: TaskInstance) -> Path:
    """Return the file of an instance's log: `<logs>/<dag>/<task>/<iso date>`, and behind it the number of a copy."""
    copy = f".{instance.map_index}" if instance.map_index >= 0 else ""
    return deployment.logs / (instance.log_filepath + copy)


class Lines(logging.Handler):
    """Collects the lines of an attempt for the database. Many, or old ones, go there at once; the rest is asked for."""

    def __init__(self, deployment: Deployment, order: AttemptRequest) -> None:
        super().__init__()
        self.addFilter(is_line)
        self._deployment, self._order = deployment, order
        self._lines: list[LogLine] = []
        self._since = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        facts = self._order.facts
        line = LogLine(
            dag_id=facts.dag_id,
            run_id=facts.run_id,
            run_attempt=self._order.run_attempt,
            task_id=facts.task_id,
            map_index=facts.map_index,
            attempt_uuid=facts.attempt_uuid,
            at=dt.datetime.fromtimestamp(record.created, dt.UTC),
            logger=step_of(record, facts.task_id),
            level=record.levelname,
            message=self.format(record),
        )
        self._lines.append(line)
        if len(self._lines) >= _MANY or time.monotonic() - self._since > _LONG:
            add_log_lines(self._deployment.database, self.taken())

    def taken(self) -> tuple[LogLine, ...]:
        """Return the lines that are not in the database, and forget them."""
        lines, self._lines = tuple(self._lines), []
        self._since = time.monotonic()
        return lines


@contextmanager
def attempt_log(
    deployment: Deployment,
    task: BaseOperator,
    order: AttemptRequest,
    *,
    terminal: TextIO | None = None,
    capture: bool = False,
    goes_on: bool = False,
) -> Iterator[Lines | None]:
    """Log an attempt while the block runs, and begin with Flux's header.

    Args:
        deployment: Where logs lie.
        task: What is tried.
        order: The facts of the attempt.
        terminal: Where lines go as well.
        capture: What is printed becomes lines of the log.
        goes_on: The log has begun in another process, so it gets no header.
    """
    hide_known_secrets()
    root = logging.getLogger()
    instance = TaskInstance(task, attempt=order.facts)
    lines = Lines(deployment, order) if deployment.lines_in_database else None
    handlers = _handlers(deployment, task, instance, terminal) + ([lines] if lines else [])
    for handler in handlers:
        protect(handler)
        root.addHandler(handler)
    before = root.level
    root.setLevel(min(before, logging.getLevelName(deployment.level)) if before else deployment.level)
    try:
        with _captured(task.log) if capture else contextlib.nullcontext():
            if not goes_on:
                _header(task, instance, order)
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


def _header(task: BaseOperator, instance: TaskInstance, order: AttemptRequest) -> None:
    """Log Flux's header."""
    tries = order.facts.try_number
    what = "New run" if tries == 1 else f"Retry run {tries - 1} out of {max(order.max_tries - 1, tries - 1)}"
    now = dt.datetime.now().isoformat()  # noqa: DTZ005 - by the clock of the lines around it
    task.log.info("\n%s\n%s starting @%s\n%s", RULE, what, now, RULE, extra={"is_header": True})
    date = instance.execution_date
    task.log.info("Executing %s for %s", task, date)


@contextmanager
def _captured(log: logging.Logger) -> Iterator[None]:
    """Log what is printed."""
    out, err = _Printed(log, sys.stdout), _Printed(log, sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.close_line()
            err.close_line()


class _Printed(io.TextIOBase):
    """Takes what is printed, and logs it line by line."""

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
        """Log what was printed without an end of line."""
        if self._pending:
            self.write("\n")
