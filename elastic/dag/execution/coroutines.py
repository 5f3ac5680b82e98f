"""Answers of user functions: a coroutine is run to its end, and what would do nothing is refused."""

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import copy_context
from itertools import starmap
from typing import TYPE_CHECKING, Any

from elastic.core.callables import CallKind, call_kind
from elastic.dag.errors import DefinitionError, UserFunctionError
from elastic.dag.execution.timeout import GRACE, cancelled_by

if TYPE_CHECKING:
    import asyncio

#: What calls the user's function only when it is read.
_LAZY = (Generator, map, filter, starmap)

#: Seconds between two checks for a signal while a thread waits for a coroutine in another one.
_LOOK = 0.1


def resolve_result(value: Any, function: Callable[..., Any], *, lists: bool = False) -> Any:
    """Return what a call of a user's function gave; if that is a coroutine, run it and return its answer.

    A time limit around this cancels the coroutine. Where an event loop runs in this thread already, as in a notebook,
    the coroutine gets a loop in a thread of its own.

    Args:
        value: What the call returned.
        function: What was called, for the text of the error.
        lists: Read a generator, or a map object and its like, into a list; otherwise it is refused.

    Raises:
        AnswerError: It is a generator or its like, of which nothing has run, or a coroutine that cancelled itself.
    """
    while isinstance(value, Coroutine):
        value = _CoroutineRun(value, function).answer()
    if isinstance(value, _LAZY) and lists:
        return list(value)
    if isinstance(value, (*_LAZY, AsyncGenerator)):
        kind = f"a {type(value).__name__}" if isinstance(value, _LAZY) else "an async generator"
        raise UserFunctionError(
            function_name(function), f"returned {kind}, of which nothing has run; return a list instead"
        )
    return value


def call_user_function(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function and return its answer; see `resolve_result`."""
    return resolve_result(function(*arguments), function)


def check_not_generator(owner: str, setting: str, function: Any) -> None:
    """Refuse a function whose body would never run.

    Raises:
        DefinitionError: It is a generator function, async or not.
    """
    if function is not None and not runs_when_called(function):
        raise DefinitionError(
            f"{owner}: {setting}={function_name(function)} is {call_kind(function)}, whose body would never run; "
            "return a list instead."
        )


def runs_when_called(function: Any) -> bool:
    """Return whether a call of a function does something, as far as the function shows: a generator does not."""
    return call_kind(function) not in (CallKind.GENERATOR, CallKind.ASYNC_GENERATOR)


def function_name(function: Any) -> str:
    """Return a function as errors name it."""
    return f"{getattr(function, '__qualname__', None) or type(function).__qualname__}()"


class _CoroutineRun:
    """A coroutine and its run."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], function: Callable[..., Any]) -> None:
        self._coroutine, self._function = coroutine, function
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    def answer(self) -> Any:
        import asyncio  # only runs of coroutines pay for it

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with cancelled_by(self.cancel):
                return self._run()
        return self._beside()

    def cancel(self) -> None:
        """Cancel it, from any thread, and from a signal."""
        self._is_cancelled = True
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop is closed: it has ended
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _run(self) -> Any:
        import asyncio

        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                self._task = self._loop.create_task(self._coroutine)
                if self._is_cancelled:
                    self._task.cancel()
                return self._loop.run_until_complete(self._task)
        except asyncio.CancelledError as error:
            # No Exception: it would pass by all that sees to the end of an attempt.
            raise UserFunctionError(function_name(self._function), "was cancelled by its own code") from error

    def _beside(self) -> Any:
        """Run it in another thread, and wait."""
        ended: list[Any] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                ended.append(self._run())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=copy_context().run, args=(work,), name="elastic-coroutine", daemon=True)
        thread.start()
        with cancelled_by(self.cancel):
            try:
                while thread.is_alive():
                    thread.join(_LOOK)
            except BaseException:
                self.cancel()
                thread.join(GRACE)
                raise
            if failed:
                raise failed[0]
            return ended[0]
