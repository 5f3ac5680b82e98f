"""Deferred SIGINT and SIGTERM: a signal raises only where the program allows it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

#: Exit code of a process that SIGTERM ended, by the convention of shells.
TERMINATED = 143


class TerminateRequested(SystemExit):
    """SIGTERM arrived. A SystemExit of a task, in contrast, only fails the task."""


def why_ended(error: BaseException, watcher: str) -> str:
    """Return why attempts ended without a result; `watcher` names the process that the error ended."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, TerminateRequested):
        return "terminated"
    return f"{watcher} ended ({type(error).__name__})"


class DeferredSignals:
    """Context manager that delays SIGINT and SIGTERM until a `deliver` block runs.

    Outside the main thread, which receives no signals, it has no effect.
    """

    def __init__(self) -> None:
        self._previous_handlers: dict[signal.Signals, Any] = {}
        self._pending: signal.Signals | None = None
        self._is_delivering = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers.clear()

    @contextmanager
    def deliver(self) -> Iterator[None]:
        """Let signals raise in this block, including a signal that arrived before it."""
        self._is_delivering = True
        try:
            self._raise_pending()
            yield
        finally:
            self._is_delivering = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = signal.Signals(number)
        if self._is_delivering:
            self._is_delivering = False
            self._raise_pending()

    def _raise_pending(self) -> None:
        pending, self._pending = self._pending, None
        if pending is signal.SIGINT:
            raise KeyboardInterrupt
        if pending is signal.SIGTERM:
            raise TerminateRequested(TERMINATED)
