"""Worker process of a local executor: runs one command after another."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from elastic.core.parent_death import signal_at_parent_death
from elastic.dag.ids import TaskKey
from elastic.executors.executor import Runner, TaskCommand


class Stopped(BaseException):
    """Raised by SIGTERM in a worker process. It is not an Exception, so that user code does not catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """Environment and working folder that a fork would inherit, for processes that are not forked."""

    environment: Mapping[str, str]
    folder: Path

    @classmethod
    def current(cls) -> "ProcessSettings":
        """Return the settings of this process."""
        return cls(environment=dict(os.environ), folder=Path.cwd())

    def apply(self) -> None:
        """Apply the settings to this process."""
        os.environ.clear()
        os.environ.update(self.environment)
        with contextlib.suppress(OSError):
            os.chdir(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """Parameters of the start of a worker process."""

    #: expected parent process; None under a fork server, which ends with the executor's process
    parent: int | None
    #: connections of the parent that a fork inherited, to be closed
    others: Sequence[Connection] = ()
    #: None for inherited settings
    settings: ProcessSettings | None = None


def serve(connection: Connection, runner: Runner | None, setup: WorkerSetup) -> None:
    """Run commands from a connection until the executor closes it.

    Args:
        connection: Receives `(key, command)` or None, and sends `(is_done, result or traceback)`.
        runner: Runs a command; None runs it as a program.
        setup: Parameters of the start.
    """
    for other in setup.others:
        with contextlib.suppress(OSError):
            os.close(other.fileno())
    if setup.settings is not None:
        setup.settings.apply()
    # The exit handlers of the parent must not run in this process.
    atexit._clear()
    try:
        become_own_group(setup.parent)
        while (wanted := connection.recv()) is not None:
            key, command = wanted
            answer = _run(runner, key, command)
            connection.send(answer)
    except (EOFError, OSError, Stopped):
        pass
    finally:
        # multiprocessing skips exit handlers, one of which stops an embedded Ray.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def run_program(key: TaskKey, command: TaskCommand) -> int:
    """Run a command as a program and return its exit code; less than 0 for the signal that ended it."""
    with subprocess.Popen(command.words, stdin=subprocess.DEVNULL) as process:  # noqa: S603 - the command comes from the scheduler
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def exit_description(exit_code: int) -> str:
    """Return how a process ended: `exit code 3`, `signal SIGKILL`."""
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
        # A runner handles failures of tasks itself, so this error is internal.
        return False, traceback.format_exc()


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Block signals while a process starts, until it has installed its handlers by `become_own_group`."""
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become_own_group(parent: int | None) -> None:
    """Leave the parent's process group, so that Ctrl-C reaches only the parent, and end with the parent."""
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    # The parent blocked them during the start.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    signal_at_parent_death(signal.SIGTERM)
    if parent is not None and os.getppid() != parent:
        raise SystemExit


def _stop(number: int, frame: Any) -> None:
    # A second signal must not interrupt the cleanup.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped
