"""A process that runs commands one after another: started once, and warm from then on."""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from elastic.dag.key import TaskKey
from elastic.executors.command import Command
from elastic.executors.executor import Runner

#: What prctl is to do: send this process a signal when its parent ends. Linux only.
_PR_SET_PDEATHSIG = 1


class Stopped(BaseException):
    """Raised in a process that is told to end. No Exception, so that user code does not hold it up."""


def serve(connection: Connection, runner: Runner | None, parent: int, others: Sequence[Connection]) -> None:
    """Run commands that come through a connection, until nobody is at its other end.

    Args:
        connection: Brings `(key, command)` or None, and takes `(is_done, account or what went wrong)`.
        runner: Runs a command; None runs it as a program.
        parent: The process that started this one.
        others: Ends of connections that belong to the parent, and came along with a fork.
    """
    for other in others:
        with contextlib.suppress(OSError):
            os.close(other.fileno())
    # What the parent wants done at its end is not for this process to do.
    atexit._clear()
    try:
        _become_own_group(parent)
        while (wanted := connection.recv()) is not None:
            key, command = wanted
            answer = _run(runner, key, command)
            connection.send(answer)
    except (EOFError, OSError, Stopped):
        pass
    finally:
        # A process of multiprocessing ends without what was registered in it, which lets go of an embedded Ray.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def run_program(key: TaskKey, command: Command) -> int:
    """Run a command as a program and return its exit code; less than 0 for the signal that ended it."""
    with subprocess.Popen(command.words, stdin=subprocess.DEVNULL) as process:  # noqa: S603 - it is what is asked for
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def ending_of(exit_code: int) -> str:
    """Say how a process ended: `exit code 3`, `signal SIGKILL`."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"signal {-exit_code}"


def _run(runner: Runner | None, key: TaskKey, command: Command) -> tuple[bool, Any]:
    try:
        return True, (runner or run_program)(key, command)
    except Stopped:
        raise
    except BaseException:
        # A runner answers for failures of tasks itself, so this is one of ours.
        return False, traceback.format_exc()


def _become_own_group(parent: int) -> None:
    """Leave the group of the parent, so that a terminal's Ctrl-C is for the parent alone, and end with it."""
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    # They were blocked while this process came into being.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit


def _stop(number: int, frame: Any) -> None:
    # Once is enough: a second signal must not break into the way back.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped
