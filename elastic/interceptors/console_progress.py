"""A progress bar on the terminal."""

import sys
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.interceptor import Interceptor
from elastic.core.model.step import Progress as StepProgress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class ConsoleProgress(Interceptor):
    """Interceptor that draws a progress bar of chunks, entries and retries on a terminal, and nothing elsewhere.

    Args:
        console: Console to draw on; None for the standard error stream, so that results can be piped.
    """

    def __init__(self, console: "Console | None" = None) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: Any = None

    def step_started(self, progress: StepProgress) -> None:
        if self._console is None and not sys.stderr.isatty():
            return
        # Imported late, because it takes 0.1 s, which a piped result need not wait for.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = self._console or Console(stderr=True)
        if not console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("chunks  {task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(progress.name, total=progress.expected_chunks, detail="starting workers")
        self._bar.start()

    def progressed(self, progress: StepProgress) -> None:
        if self._bar is None:
            return
        workers = sum(map(len, progress.nodes.values()))
        detail = f"{progress.entries:,} entries, {workers} worker{'s' * (workers != 1)}"
        if progress.retries:
            detail += f", {progress.retries:,} sent again"
        self._bar.update(
            self._task, total=progress.expected_chunks, completed=progress.aggregated_chunks, detail=detail
        )

    def step_ended(self, progress: StepProgress, error: str | None) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
