"""Signal that a process receives when its parent ends."""

import ctypes
import os

#: Option of prctl, see https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_PR_SET_PDEATHSIG = 1

#: Looked up before any fork, because a forked child must not load libraries. Only Linux has it.
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if os.name == "posix" else None


def signal_at_parent_death(number: int) -> None:
    """Let the kernel send this process a signal when the thread that started it ends (Linux only).

    The parent may have ended before: the caller must compare `os.getppid()` afterwards.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
