"""Standalone: all parts of the service on one machine, under one process that starts them again when they die."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

from elastic.core.backoff import Backoff
from elastic.core.errors import ElasticError
from elastic.core.parent_death import signal_at_parent_death
from elastic.executors.worker_process import exit_description
from elastic.scheduler.signals import DeferredSignals, TerminateRequested

#: Delays between restarts of a part.
_BACKOFF = Backoff(first=1.0, longest=30.0)

#: A part that ended this often within this time (seconds) is given up.
_MAX_ENDS, _PERIOD = 5, 60.0

#: Exit code of a command whose settings or options are invalid. A restart would fail in the same way.
_USAGE_CODE = 2

_POLL_SECONDS = 0.2


class Standalone:
    """Runs the parts of the service as child processes until a signal arrives.

    Args:
        commands: Command lines of Elastic by part.
        grace: Seconds that the parts may take to stop.
        say: Receives progress messages, one line at a time.
    """

    def __init__(self, commands: dict[str, Sequence[str]], grace: float, say: Callable[[str], None]) -> None:
        self._commands, self._grace, self._say = commands, grace, say
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._start_at = dict.fromkeys(commands, 0.0)
        self._ends: dict[str, deque[float]] = {name: deque(maxlen=_MAX_ENDS) for name in commands}
        self._signals = DeferredSignals()

    def run(self) -> None:
        """Run until a signal stops all parts.

        Raises:
            ElasticError: A part ended again and again, or its settings are invalid.
        """
        with self._signals:
            try:
                while True:
                    for name in self._commands:
                        self._check(name)
                    with self._signals.deliver():
                        time.sleep(_POLL_SECONDS)
            except (KeyboardInterrupt, TerminateRequested):
                self._say("stopping all parts")
            finally:
                self._stop()

    def _check(self, name: str) -> None:
        """Start a part that does not run, unless it waits for its restart."""
        child = self._children.get(name)
        if child is not None:
            code = child.poll()
            if code is None:
                return
            del self._children[name]
            self._note_end(name, code)
        if time.monotonic() >= self._start_at[name]:
            self._children[name] = self._start(name)

    def _note_end(self, name: str, code: int) -> None:
        ends, now = self._ends[name], time.monotonic()
        ends.append(now)
        how = exit_description(code)
        if code == _USAGE_CODE:
            raise ElasticError(f"the {name} could not start; its message above has the reason.")
        if len(ends) == _MAX_ENDS and now - ends[0] < _PERIOD:
            raise ElasticError(f"the {name} ended {_MAX_ENDS} times within a minute, the last time with {how}.")
        recent = sum(now - end < _PERIOD for end in ends)
        delay = _BACKOFF.delay(recent)
        self._start_at[name] = now + delay
        self._say(f"the {name} ended with {how}; it is started again in {delay:g} s")

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        parent = os.getpid()

        def end_with_parent() -> None:
            signal_at_parent_death(signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        # In a session of its own, so that Ctrl-C reaches only this process, which then stops the parts in order.
        return subprocess.Popen(  # noqa: S603 - a command of Elastic
            [sys.executable, "-m", "elastic", *self._commands[name]],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )

    def _stop(self) -> None:
        """Stop all parts: ask them, and kill those that take too long or that a second signal gives up."""
        children = list(self._children.values())
        for child in children:
            child.terminate()
        deadline = time.monotonic() + self._grace
        try:
            with self._signals.deliver():
                for child in children:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(max(0.0, deadline - time.monotonic()))
        except (KeyboardInterrupt, TerminateRequested):
            self._say("stopping at once")
            for child in children:
                child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                for child in children:
                    child.wait(self._grace)
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
