"""Ctrl-C and the request to end, at moments when nothing is half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

#: What a shell calls the exit of a program that was asked to end.
TERMINATED = 143


class TerminateRequested(SystemExit):
    """This process was asked to end. A task that ends with SystemExit has only failed."""


def why_ended(error: BaseException, what: str) -> str:
    """Say why attempts have no end of their own: `what` watched them, and was left by an error."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, TerminateRequested):
        return "terminated"
    return f"{what} ended ({type(error).__name__})"


class DeferredSignals:
    """While it is entered, SIGINT and SIGTERM raise only where that is allowed, and otherwise wait until then.

    Out of the main thread, where no signal arrives, it does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._came: signal.Signals | None = None
        self._is_allowed = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let signals raise in this block, one that came before as well."""
        self._is_allowed = True
        try:
            self._raise()
            yield
        finally:
            self._is_allowed = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = signal.Signals(number)
        if self._is_allowed:
            self._is_allowed = False
            self._raise()

    def _raise(self) -> None:
        came, self._came = self._came, None
        if came is signal.SIGINT:
            raise KeyboardInterrupt
        if came is signal.SIGTERM:
            raise TerminateRequested(TERMINATED)
