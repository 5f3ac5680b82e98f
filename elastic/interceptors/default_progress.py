"""The progress bar that a run has by default: on a terminal or in a notebook, after two seconds."""

import os
import sys
from collections.abc import Mapping, Sequence

from elastic.core.contracts.interceptor import Interceptor
from elastic.interceptors.console_progress import ConsoleProgress
from elastic.interceptors.notebook_progress import NotebookProgress, is_notebook

#: Seconds before the bar appears: a shorter run needs none.
_DELAY = 2.0


def default_progress(given: Sequence[Interceptor], environment: Mapping[str, str] | None = None) -> list[Interceptor]:
    """Return the progress bar for a step: none in a pipe, in CI, or beside a bar that the user gives.

    Args:
        given: Interceptors of the step.
        environment: Environment variables; None for those of this process. `CI` marks continuous integration.
    """
    environment = os.environ if environment is None else environment
    if any(isinstance(one, ConsoleProgress | NotebookProgress) for one in given):
        return []
    if is_notebook():
        return [NotebookProgress(delay=_DELAY)]
    is_animated = environment.get("TERM") != "dumb" and not environment.get("CI")
    return [ConsoleProgress(delay=_DELAY)] if is_animated and _has_terminal() else []


def _has_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False
