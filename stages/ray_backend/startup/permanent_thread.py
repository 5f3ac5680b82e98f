"""Thread that lives as long as this process, for starting child processes that must end with it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def call_in_lasting_thread(function: Callable[[], T]) -> "Future[T]":
    """Call a function in a new thread that never ends after the function has returned.

    Linux kills a child that requests it (PR_SET_PDEATHSIG) when the *thread* that started it ends, not the process.
    Threads of a pool or of asyncio end long before the process does.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            value = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(value)
            threading.Event().wait()

    threading.Thread(target=run, name="elastic-lasting", daemon=True).start()
    return future
