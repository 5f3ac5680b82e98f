"""Time limits for user code that raise an exception in it.

`elastic.stages.worker.timeout` has the other kind, which ends the whole process.
"""

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from elastic.dag.errors import TaskTimeoutError

#: Seconds until the timer fires again. A signal that arrives just before a system call, or in another thread, does not
#: interrupt the call.
_REPEAT_SECONDS = 1.0

#: Seconds that a cancelled coroutine has to end.
GRACE_SECONDS = 5.0


class _TimeLimitReached(BaseException):
    """Raised inside the block. Not an Exception, so that `except Exception` in user code does not catch it."""


class _CancellableBlock:
    """A block of code with a function that cancels it."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self.cancelled_at: float | None = None
        self.has_ended = threading.Event()

    def cancel(self) -> bool:
        """Cancel the block. Return False once its grace period has passed."""
        if self.cancelled_at is None:
            self.cancelled_at = time.monotonic()
            self._cancel()
        return time.monotonic() - self.cancelled_at < GRACE_SECONDS


#: Innermost cancellable block by thread id.
_blocks: dict[int, _CancellableBlock] = {}


@contextmanager
def cancelled_by(cancel: Callable[[], None]) -> Iterator[None]:
    """Make a time limit of this thread call `cancel` instead of raising an exception in the block.

    The event loop of a coroutine would lose an exception at an arbitrary place. A cancelled block always ends as timed
    out, whatever it returns or raises. If it does not end within `GRACE_SECONDS`, the limit raises anyway.
    """
    thread_id, block = threading.get_ident(), _CancellableBlock(cancel)
    outer = _blocks.get(thread_id)
    _blocks[thread_id] = block
    try:
        yield
    except BaseException:
        if block.cancelled_at is not None:
            raise _TimeLimitReached from None
        raise
    else:
        if block.cancelled_at is not None:
            raise _TimeLimitReached
    finally:
        block.has_ended.set()
        if outer is None:
            del _blocks[thread_id]
        else:
            _blocks[thread_id] = outer


class TimeLimit:
    """Context manager that stops a block after a time limit, by an exception that leaves it as TaskTimeoutError.

    In the main thread, a signal raises the exception and interrupts most blocking calls. In another thread, Python
    raises it before the next bytecode instruction. A thread that blocks in C code keeps waiting; only a supervisor of
    the process can end it.

    Args:
        what: Name of the block, for the error message.
        seconds: The limit; None for no limit.
    """

    def __init__(self, what: str, seconds: float | None) -> None:
        self.what, self.seconds = what, seconds
        self._is_main = threading.current_thread() is threading.main_thread()
        self._lock = threading.Lock()
        self._is_over = self._is_exception_pending = False

    def __enter__(self) -> Self:
        if self.seconds is None:
            return self
        if self._is_main:
            self._old_handler = signal.signal(signal.SIGALRM, self._on_alarm)
            signal.setitimer(signal.ITIMER_REAL, self.seconds, _REPEAT_SECONDS)
        else:
            self._timer = threading.Timer(self.seconds, self._raise_in_thread, [threading.get_ident()])
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.seconds is None:
            return
        if kind is _TimeLimitReached:
            self._is_exception_pending = False
        try:
            self._disarm()
        except _TimeLimitReached:
            kind = _TimeLimitReached
        if kind is _TimeLimitReached:
            raise TaskTimeoutError(self.what, self.seconds) from None

    def _disarm(self) -> None:
        if self._is_main:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._old_handler)
            return
        with self._lock:
            self._is_over = True
        self._timer.cancel()
        # An exception sent at the last moment must arrive here, not in the code after the block.
        while self._is_exception_pending:
            time.sleep(0)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        block = _blocks.get(threading.get_ident())
        if block is None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        elif block.cancel():
            return
        raise _TimeLimitReached

    def _raise_in_thread(self, thread_id: int) -> None:
        block = _blocks.get(thread_id)
        if block is not None:
            block.cancel()
            if block.has_ended.wait(GRACE_SECONDS):
                return
        with self._lock:
            if not self._is_over:
                self._is_exception_pending = True
                thread = ctypes.c_ulong(thread_id)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(_TimeLimitReached))
