"""A progress bar in a notebook."""

import html
import sys
from collections.abc import Callable
from typing import Any

from elastic.core.contracts.interceptor import Interceptor
from elastic.core.model.step import Progress
from elastic.core.text import one_line
from elastic.interceptors.console_progress import detail_of

#: Shows HTML in the output of a cell, and returns a function that replaces it.
Display = Callable[[str], Callable[[str], None]]


class NotebookProgress(Interceptor):
    """Interceptor that shows a progress bar in the output of a notebook's cell; the bar is gone when the step ends.

    Args:
        display: Shows HTML, and returns a function that replaces it; None for the notebook of this process.
        delay: Seconds after the start of a step at which the bar appears.
    """

    def __init__(self, display: Display | None = None, *, delay: float = 0.0) -> None:
        self._display = display or _show_in_cell
        self._delay = delay
        self._replace: Callable[[str], None] | None = None

    def progressed(self, progress: Progress) -> None:
        if self._replace is not None:
            self._replace(_bar_of(progress))
        elif progress.seconds >= self._delay:
            self._replace = self._display(_bar_of(progress))

    def step_ended(self, progress: Progress, error: str | None) -> None:
        if self._replace is not None:
            self._replace("")
            self._replace = None


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook. Only a process that has imported IPython can be."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def _bar_of(progress: Progress) -> str:
    done, total = progress.aggregated_chunks, progress.expected_chunks
    share = f'value="{done}" max="{total}"' if total else ""
    counted = f"{done:,} of {'?' if total is None else format(total, ',')} chunks, {detail_of(progress)}"
    name = html.escape(one_line(progress.name))
    return f"<div><code>{name}</code> <progress {share}></progress> {counted}, {progress.seconds:.0f} s</div>"


def _show_in_cell(text: str) -> Callable[[str], None]:
    from IPython.display import HTML, display

    handle: Any = display(HTML(text), display_id=True)
    return lambda later: handle.update(HTML(later))
