"""Time limit for user code in a worker process: it ends the process.

`elastic.dag.execution.timeout` has the other kind, which raises an exception in the code.
"""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def exit_after(seconds: float | None) -> Iterator[None]:
    """End this process, after printing its stack, if the block runs longer than `seconds`; None sets no limit.

    faulthandler uses no Python thread, so it also ends code that never releases the interpreter lock.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
