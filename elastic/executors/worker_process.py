"""A process that runs commands one after another: started once, and warm from then on."""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from elastic.dag.ids import TaskKey
from elastic.executors.executor import Runner, TaskCommand

#: What prctl is to do: send this process a signal when its parent ends. Linux only.
_PR_SET_PDEATHSIG = 1


class Stopped(BaseException):
    """Raised in a process that is told to end. No Exception, so that user code does not hold it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a process inherits by a fork, for one that was not forked from the process that wants it."""

    environment: Mapping[str, str]
    folder: Path

    @classmethod
    def of_this_process(cls) -> "Surroundings":
        """Return those of this process."""
        return cls(environment=dict(os.environ), folder=Path.cwd())

    def enter(self) -> None:
        """Make them those of this process."""
        os.environ.clear()
        os.environ.update(self.environment)
        with contextlib.suppress(OSError):
            os.chdir(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """How a process came into being."""

    #: the process that must still be its parent; None for the server that forks, which ends with the one that asked
    parent: int | None
    #: ends of connections that belong to the parent, and came along with a fork
    others: Sequence[Connection] = ()
    #: None for those that it was born with
    surroundings: Surroundings | None = None


def serve(connection: Connection, runner: Runner | None, birth: Birth) -> None:
    """Run commands that come through a connection, until the process at its other end closes it.

    Args:
        connection: Brings `(key, command)` or None, and takes `(is_done, account or what went wrong)`.
        runner: Runs a command; None runs it as a program.
        birth: How this process came into being.
    """
    for other in birth.others:
        with contextlib.suppress(OSError):
            os.close(other.fileno())
    if birth.surroundings is not None:
        birth.surroundings.enter()
    # What the parent wants done at its end is not for this process to do.
    atexit._clear()
    try:
        _become_own_group(birth.parent)
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


def run_program(key: TaskKey, command: TaskCommand) -> int:
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


def _run(runner: Runner | None, key: TaskKey, command: TaskCommand) -> tuple[bool, Any]:
    try:
        return True, (runner or run_program)(key, command)
    except Stopped:
        raise
    except BaseException:
        # A runner answers for failures of tasks itself, so this is one of ours.
        return False, traceback.format_exc()


def _become_own_group(parent: int | None) -> None:
    """Leave the group of the parent, so that a terminal's Ctrl-C is for the parent alone, and end with it."""
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    # They were blocked while this process came into being.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        raise SystemExit


def _stop(number: int, frame: Any) -> None:
    # Once is enough: a second signal must not break into the way back.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped
