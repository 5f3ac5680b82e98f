"""Ctrl-C during a run: what must finish finishes, several presses are one interrupt, and its traceback is short."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

#: Seconds after an interrupt in which another press of Ctrl-C is part of it: users press it twice, and the second press
#: would break the clean-up that the first one began.
_REPEAT_SECONDS = 1.0

#: Packages whose frames say nothing about the user's program.
_INTERNAL_PACKAGES = sys.stdlib_module_names | {"elastic", "ray"}


class _IgnoreRepeats:
    """Handler of SIGINT that ignores it until a deadline, and gives way to Python's own handler then."""

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() >= self.ends_at:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back during a block that must not end in its middle, and raise KeyboardInterrupt after it.

    The second press in the block raises at once, so that a block that hangs cannot hold the user. A block that runs
    because of a KeyboardInterrupt raises no other one at its end.

    Does nothing in other threads than the main one, which Ctrl-C never reaches, and in programs with their own handler.
    """
    if not _is_free():
        yield
        return
    presses = 0

    def count(number: int, frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, count)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if presses and not isinstance(sys.exception(), KeyboardInterrupt):
        raise KeyboardInterrupt


def ignore_repeats(seconds: float = _REPEAT_SECONDS) -> None:
    """Ignore Ctrl-C for some seconds, because the program is ending already.

    Does nothing in other threads than the main one, and in programs with their own handler.
    """
    if _is_free():
        signal.signal(signal.SIGINT, _IgnoreRepeats(time.monotonic() + seconds))


def concise(interrupt: KeyboardInterrupt) -> KeyboardInterrupt:
    """Return an interrupt that shows no frames of Elastic, Ray and the standard library, for a caller to raise.

    Frames of user functions stay, because they show what the run was waiting for. Repeated presses are ignored from now
    on, see `ignore_repeats`.
    """
    ignore_repeats()
    return interrupt.with_traceback(_user_frames(interrupt.__traceback__))


def _user_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame of the user's code on; None if there is none."""
    while frames is not None:
        name = str(frames.tb_frame.f_globals.get("__name__", ""))
        package = name.partition(".")[0]
        if package == "importlib":
            return None  # an import by Elastic or Ray; the frames below are those of their dependencies
        if package not in _INTERNAL_PACKAGES:
            return frames
        frames = frames.tb_next
    return None


def _is_free() -> bool:
    """Return whether this is the main thread, and SIGINT raises KeyboardInterrupt as Python does by itself."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGINT)
    return handler is signal.default_int_handler or isinstance(handler, _IgnoreRepeats)
