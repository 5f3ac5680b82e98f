"""A thread that lasts as long as this process: for starting processes that must end with it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def call_in_lasting_thread(function: Callable[[], T]) -> "Future[T]":
    """Call a function in a thread of its own, which never ends once the function has returned.

    Linux ends a child that asks for it (PR_SET_PDEATHSIG) with the *thread* that started it, and not with the process.
    A thread of a queue or of asyncio ends long before the process does.
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
