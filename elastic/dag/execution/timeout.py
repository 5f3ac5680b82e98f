"""A limit to how long a block of code may take."""

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from elastic.dag.errors import TaskTimeoutError

#: Seconds until the alarm rings again if it was not heard: a signal that comes just before a call into the system, or
#: to another thread, does not break the waiting in that call.
_AGAIN = 1.0

#: Seconds that a coroutine has to end after a limit cancelled it.
GRACE = 5.0


class _TimeLimitReached(BaseException):
    """Raised inside the block. No Exception, so that `except Exception` in user code does not hold it up."""


class _Cancellable:
    """A block that can be asked to end."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self.asked_at: float | None = None
        self.has_ended = threading.Event()

    def ask(self) -> bool:
        """Ask it to end; False if it has had its time for that."""
        if self.asked_at is None:
            self.asked_at = time.monotonic()
            self._cancel()
        return time.monotonic() - self.asked_at < GRACE


#: The innermost cancellable block of each thread.
_blocks: dict[int, _Cancellable] = {}


@contextmanager
def cancelled_by(cancel: Callable[[], None]) -> Iterator[None]:
    """Let a limit of this thread that runs out in the block call `cancel`, instead of breaking into the block.

    A coroutine's loop would lose an exception that comes anywhere. Once it was cancelled, the block ends as out of
    time whatever it returns or raises; if it does not end within `GRACE` seconds, the limit breaks in all the same.
    """
    thread, block = threading.get_ident(), _Cancellable(cancel)
    around = _blocks.get(thread)
    _blocks[thread] = block
    try:
        yield
    except BaseException:
        if block.asked_at is not None:
            raise _TimeLimitReached from None
        raise
    else:
        if block.asked_at is not None:
            raise _TimeLimitReached
    finally:
        block.has_ended.set()
        if around is None:
            del _blocks[thread]
        else:
            _blocks[thread] = around


class TimeLimit:
    """Stops a block that takes longer than its limit, by an exception in it; the block ends as TaskTimeoutError.

    In the main thread the exception comes by a signal, and breaks most waiting. In another thread it comes with the
    next instruction of Python: a thread that waits in C goes on waiting, and only who watches the process can end it.

    Args:
        what: What is limited, for the text of the error.
        seconds: None for no limit.
    """

    def __init__(self, what: str, seconds: float | None) -> None:
        self.what, self.seconds = what, seconds
        self._is_main = threading.current_thread() is threading.main_thread()
        self._lock = threading.Lock()
        self._is_over = self._is_struck = False

    def __enter__(self) -> Self:
        if self.seconds is None:
            return self
        if self._is_main:
            self._old = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, self.seconds, _AGAIN)
        else:
            self._timer = threading.Timer(self.seconds, self._strike, [threading.get_ident()])
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.seconds is None:
            return
        if kind is _TimeLimitReached:
            self._is_struck = False
        try:
            self._disarm()
        except _TimeLimitReached:
            kind = _TimeLimitReached
        if kind is _TimeLimitReached:
            raise TaskTimeoutError(self.what, self.seconds) from None

    def _disarm(self) -> None:
        if self._is_main:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._old)
            return
        with self._lock:
            self._is_over = True
        self._timer.cancel()
        # One that was sent in the last moment must arrive in here, not in the code that comes after.
        while self._is_struck:
            time.sleep(0)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        block = _blocks.get(threading.get_ident())
        if block is None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        elif block.ask():
            return
        raise _TimeLimitReached

    def _strike(self, thread_id: int) -> None:
        block = _blocks.get(thread_id)
        if block is not None:
            block.ask()
            if block.has_ended.wait(GRACE):
                return
        with self._lock:
            if not self._is_over:
                self._is_struck = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread_id), ctypes.py_object(_TimeLimitReached)
                )
