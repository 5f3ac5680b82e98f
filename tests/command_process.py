"""Processes of the command line that a test starts, waits for, and ends if it fails."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

#: Seconds after which a test fails that waits for a process.
LONGEST = 120

_processes: "list[subprocess.Popen[str]]" = []


def started(*words: str) -> "subprocess.Popen[str]":
    """Start the command line in a new process group."""
    process = subprocess.Popen(
        [sys.executable, "-m", "elastic", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _processes.append(process)
    return process


def ended(process: "subprocess.Popen[str]") -> str:
    """Return the output of a process; fail if it does not end."""
    printed, _ = process.communicate(timeout=LONGEST)
    return printed


def end_all() -> None:
    """Kill the processes of a failed test, and close the output of all."""
    while _processes:
        process = _processes.pop()
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def until(condition: Callable[[], bool], *processes: "subprocess.Popen[str]") -> None:
    """Wait for a condition; fail if a process ends before, or if the time is over."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        for process in processes:
            assert process.poll() is None, ended(process)
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
