"""A process that ends with the one that started it, however that one ends."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elastic.stages.ray_backend.startup.permanent_thread import call_in_lasting_thread

#: Of prctl: send this process a signal when the thread that started it ends. Linux only.
_PR_SET_PDEATHSIG = 1

#: Found before there is a fork, in which nothing should be looked up.
_prctl = getattr(ctypes.CDLL(None), "prctl", None)


def start_child(command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a process that is killed when this one ends, also when this one is killed itself (Linux).

    Args:
        command: The program and its arguments.
        options: As for `subprocess.Popen`.
    """
    parent = os.getpid()

    def end_with_parent() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    # The kernel goes by the thread: that of a test or of a fixture may end before this process does.
    return call_in_lasting_thread(
        lambda: subprocess.Popen(command, preexec_fn=end_with_parent, **options)  # noqa: S603 - the callers make it
    ).result()
