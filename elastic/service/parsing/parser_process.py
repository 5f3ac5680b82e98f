"""Process of the DAG parser: scans the folder of DAG files at an interval, beside its master."""

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from elastic.core.backoff import Backoff
from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.executors.worker_process import Stopped, become_own_group, exit_description, signals_blocked
from elastic.service.parsing.dag_parser import DagParser, ParserSetup
from elastic.service.parsing.file_loader import become_subreaper

#: Delays between restarts.
_BACKOFF = Backoff(first=1.0, longest=30.0)

#: Seconds between SIGTERM and SIGKILL.
_GRACE_SECONDS = 15.0


@dataclass(slots=True)
class ParserProcess:
    """Parser in a process of its own, which ends with this process and is started again if it dies."""

    setup: ParserSetup
    #: seconds between scans
    interval: float
    _process: BaseProcess | None = None
    _starts: int = 0
    _start_at: float = 0.0

    def scan_once(self) -> None:
        """Scan the folder in another process, and wait for the end of the scan."""
        process = self._start(once=True)
        process.join()
        process.close()

    def check(self) -> None:
        """Start the process, or start it again if it has ended."""
        if self._process is not None:
            if self._process.is_alive():
                return
            how = exit_description(self._process.exitcode or 0)
            self._start_at = time.monotonic() + _BACKOFF.delay(self._starts)
            self.setup.say(f"the DAG parser ended with {how}; it is started again")
            self._process.close()
            self._process = None
        if time.monotonic() >= self._start_at:
            self._starts += 1
            self._process = self._start(once=False)

    def stop(self) -> None:
        """End the process, and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(_GRACE_SECONDS)
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None

    def _start(self, *, once: bool) -> BaseProcess:
        # Forked, because a scan needs all that this process has imported, and no thread of it.
        context: Any = multiprocessing.get_context("fork")
        interval = None if once else self.interval
        process: BaseProcess = context.Process(
            target=_run, args=(self.setup, interval, os.getpid()), name="elastic-parser"
        )
        with signals_blocked():
            process.start()
        return process


def _run(setup: ParserSetup, interval: float | None, parent: int) -> None:
    """Scan once, or at an interval until this process is stopped."""
    try:
        become_own_group(parent)
        become_subreaper()
        parser = DagParser(setup)
        while True:
            _scan(parser, setup.say)
            if interval is None:
                return
            time.sleep(interval)
    except Stopped:
        return


def _scan(parser: DagParser, say: Callable[[str], None]) -> None:
    try:
        parser.scan()
    except ElasticError as error:
        # The database may be away for a while; the next scan finds the same changes.
        say(f"the scan of the DAG folder failed: {error_text(error)}")
