"""Calls of user functions: runs coroutines to their end, and rejects generators, whose bodies would never run."""

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import copy_context
from itertools import starmap
from typing import TYPE_CHECKING, Any

from elastic.core.callables import CallKind, call_kind
from elastic.dag.errors import DefinitionError, UserFunctionError
from elastic.dag.execution.timeout import GRACE_SECONDS, cancelled_by

if TYPE_CHECKING:
    import asyncio

#: Results that run user code only when they are iterated.
_LAZY_TYPES = (Generator, map, filter, starmap)

#: Seconds between two checks for a signal while a thread waits for a coroutine in another thread.
_POLL_SECONDS = 0.1


def call_user_function(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user function and return its result; see `resolve_result`."""
    return resolve_result(function(*arguments), function)


def resolve_result(value: Any, function: Callable[..., Any], *, read_lazy: bool = False) -> Any:
    """Return the result of a call; if it is a coroutine, run it and return its result.

    An enclosing time limit cancels the coroutine. If an event loop already runs in this thread, as in a notebook, the
    coroutine gets a loop in a thread of its own.

    Args:
        value: The return value of the call.
        function: The called function, for the error message.
        read_lazy: Read a generator, map, filter or starmap object into a list instead of rejecting it.

    Raises:
        UserFunctionError: The value is lazy, so nothing has run, or the coroutine cancelled itself.
    """
    while isinstance(value, Coroutine):
        value = run_coroutine(value, function)
    if isinstance(value, _LAZY_TYPES) and read_lazy:
        return list(value)
    if isinstance(value, (*_LAZY_TYPES, AsyncGenerator)):
        kind = f"a {type(value).__name__}" if isinstance(value, _LAZY_TYPES) else "an async generator"
        raise UserFunctionError(function_name(function), f"returned {kind}, so nothing has run. Return a list instead")
    return value


def run_coroutine(coroutine: Coroutine[Any, Any, Any], function: Callable[..., Any]) -> Any:
    """Run a coroutine of a user function to its end, and return its result.

    Raises:
        UserFunctionError: The coroutine cancelled itself.
    """
    return _CoroutineRun(coroutine, function).result()


def check_function(owner: str, setting: str, function: Any) -> None:
    """Check that a setting is a function whose body runs when it is called.

    Raises:
        DefinitionError: It cannot be called, or is a generator function.
    """
    if not callable(function):
        raise DefinitionError(f"{owner}: {setting} must be a function, got {function!r}.")
    check_not_generator(owner, setting, function)


def check_not_generator(owner: str, setting: str, function: Any) -> None:
    """Check that a function is not a generator function.

    Raises:
        DefinitionError: It is a generator function, async or not.
    """
    if function is not None and not runs_when_called(function):
        raise DefinitionError(
            f"{owner}: {setting}={function_name(function)} is {call_kind(function)}, so its body would never run. "
            "Return a list instead."
        )


def runs_when_called(function: Any) -> bool:
    """Return whether calling a function runs its body. The body of a generator function does not run."""
    return call_kind(function) not in (CallKind.GENERATOR, CallKind.ASYNC_GENERATOR)


def function_name(function: Any) -> str:
    """Return the name of a function for error messages, as `load()`."""
    return f"{getattr(function, '__qualname__', None) or type(function).__qualname__}()"


class _CoroutineRun:
    """One run of a coroutine, which other threads and signal handlers can cancel."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], function: Callable[..., Any]) -> None:
        self._coroutine, self._function = coroutine, function
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    def result(self) -> Any:
        import asyncio  # slow to import, and rarely needed

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with cancelled_by(self.cancel):
                return self._run()
        return self._run_in_thread()

    def cancel(self) -> None:
        """Cancel the coroutine. Safe to call from any thread and from a signal handler."""
        self._is_cancelled = True
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop is closed: the coroutine has ended
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
            # CancelledError is not an Exception, so handlers for the end of an attempt would miss it.
            raise UserFunctionError(function_name(self._function), "was cancelled by its own code") from error

    def _run_in_thread(self) -> Any:
        """Run the coroutine in another thread, and wait for it."""
        results: list[Any] = []
        failures: list[BaseException] = []

        def run() -> None:
            try:
                results.append(self._run())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=copy_context().run, args=(run,), name="elastic-coroutine", daemon=True)
        thread.start()
        with cancelled_by(self.cancel):
            try:
                while thread.is_alive():
                    thread.join(_POLL_SECONDS)
            except BaseException:
                self.cancel()
                thread.join(GRACE_SECONDS)
                raise
            if failures:
                raise failures[0]
            return results[0]
