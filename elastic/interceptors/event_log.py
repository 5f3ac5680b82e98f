"""Event log with one JSON object per line."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from elastic.core.clock import Clock
from elastic.core.contracts.interceptor import Interceptor
from elastic.core.local_path import local_path
from elastic.core.model.failure import Failure
from elastic.core.model.step import Progress
from elastic.core.receipts.receipt import Receipt


class EventLog(Interceptor):
    """Interceptor that appends events to a file, one JSON object per line, each with `at` (ISO, UTC) and `event`.

    Args:
        path: The file, whose folder must exist.
        hops: Whether to write the events of single chunks, five per chunk, and not only those of steps.
        clock: Source of the time; None for the clock of this machine.
    """

    def __init__(self, path: str | os.PathLike[str], *, hops: bool = True, clock: Clock | None = None) -> None:
        self._path = local_path("the path of an EventLog", path)
        self._hops = hops
        self._clock = clock
        self._file: TextIO | None = None

    def step_started(self, progress: Progress) -> None:
        self._file = self._path.open("a", encoding="utf-8")
        self._write("step_started", **asdict(progress))

    def send(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        self._hop("send", receipt, host_node=host_node, to=to, action=action)

    def receive(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        self._hop("receive", receipt, host_node=host_node, to=to, action=action)

    def distributed(self, receipt: Receipt, task_count: int) -> None:
        self._hop("distributed", receipt, task_count=task_count)

    def aggregated(self, receipt: Receipt, task_count: int) -> None:
        self._hop("aggregated", receipt, task_count=task_count)

    def failed(self, failure: Failure) -> None:
        self._write("failed", **asdict(failure))

    def step_ended(self, progress: Progress, error: str | None) -> None:
        self._write("step_ended", **asdict(progress), error=error)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _hop(self, event: str, receipt: Receipt, **fields: Any) -> None:
        if self._hops:
            chunk = {"chunk_id": receipt.chunk_id, "stage": receipt.stage, "attempt": receipt.attempt}
            self._write(event, **fields, **chunk, entries=receipt.entries, receipt=receipt.token)

    def _write(self, event: str, **fields: Any) -> None:
        if self._file is not None:
            now = datetime.now(UTC) if self._clock is None else datetime.fromtimestamp(self._clock.now(), UTC)
            self._file.write(json.dumps({"at": now.isoformat(), "event": event, **fields}) + "\n")
            if event in ("step_started", "step_ended", "failed"):
                self._file.flush()
