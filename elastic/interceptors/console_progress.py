"""A progress bar on the terminal."""

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.interceptor import Interceptor
from elastic.core.model.step import Progress as StepProgress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

#: Held by the bar that has waited for its delay: of several steps at a time, one draws.
_delayed_bar = threading.Lock()


class ConsoleProgress(Interceptor):
    """Interceptor that draws a progress bar of chunks, entries and retries on a terminal, and nothing elsewhere.

    Args:
        console: Console to draw on; None for the standard error stream, so that results can be piped.
        delay: Seconds after the start of a step at which the bar appears; a shorter step draws nothing.
    """

    def __init__(self, console: "Console | None" = None, *, delay: float = 0.0) -> None:
        self._console = console
        self._delay = delay
        #: Guards the fields below, because a timer draws the bar after the delay.
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._latest: StepProgress | None = None
        self._bar: Progress | None = None
        self._task: Any = None

    def step_started(self, progress: StepProgress) -> None:
        if self._console is None and not sys.stderr.isatty():
            return
        with self._lock:
            self._latest = progress
            if not self._delay:
                self._draw(progress)
                return
            self._timer = threading.Timer(self._delay, self._draw_late)
            self._timer.daemon = True
            self._timer.start()

    def progressed(self, progress: StepProgress) -> None:
        with self._lock:
            if self._latest is not None:
                self._latest = progress
            if self._bar is not None:
                self._update(self._bar, progress)

    def step_ended(self, progress: StepProgress, error: str | None) -> None:
        with self._lock:
            self._latest = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
                if self._delay:
                    _delayed_bar.release()

    def _draw_late(self) -> None:
        with self._lock:
            if self._latest is None or not _delayed_bar.acquire(blocking=False):
                return
            try:
                # A terminal that is gone must not show the traceback of a thread.
                with suppress(OSError, ValueError):
                    self._draw(self._latest)
            finally:
                if self._bar is None:
                    _delayed_bar.release()

    def _draw(self, progress: StepProgress) -> None:
        # Imported late, because it takes 0.1 s, which a piped result need not wait for.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = self._console or Console(stderr=True)
        if not console.is_terminal:
            return
        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("chunks  {task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            # What user functions print must reach a pipe, and not the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = bar.add_task(progress.name, total=progress.expected_chunks, detail="starting workers")
        bar.start()
        self._bar = bar
        if progress.nodes:
            self._update(bar, progress)

    def _update(self, bar: "Progress", progress: StepProgress) -> None:
        bar.update(
            self._task,
            total=progress.expected_chunks,
            completed=progress.aggregated_chunks,
            detail=detail_of(progress),
        )


def detail_of(progress: StepProgress) -> str:
    """Return the entries, workers and repetitions of a step as text."""
    workers = sum(map(len, progress.nodes.values()))
    detail = f"{progress.entries:,} entries, {workers} worker{'s' * (workers != 1)}"
    return detail + (f", {progress.retries:,} sent again" if progress.retries else "")
