"""Child processes that end with their parent, however it ends."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elastic.core.parent_death import signal_at_parent_death
from elastic.stages.ray_backend.startup.permanent_thread import call_in_lasting_thread


def start_child(command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a process that the kernel kills when this one ends, even if this one is killed (Linux).

    Args:
        command: The program and its arguments.
        options: Options of `subprocess.Popen`.
    """
    parent = os.getpid()

    def end_with_parent() -> None:
        signal_at_parent_death(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    # The kernel watches the starting thread, and that of a test or fixture may end before this process does.
    return call_in_lasting_thread(
        lambda: subprocess.Popen(command, preexec_fn=end_with_parent, **options)  # noqa: S603 - the callers make it
    ).result()
