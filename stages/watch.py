"""The watch: ends this process when user code takes too long."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End this process, after printing where it stands, if the block takes longer; None for no limit.

    The watch is no Python thread, so that it also ends code that never lets go of the interpreter.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
