"""Commands in processes of this machine, which are started once and take one command after another.

One command at a time.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, ClassVar

from elastic.core.native_threads import has_native_threads
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.executors.executor import Executor, Runner, TaskCommand
from elastic.executors.worker_process import Birth, Surroundings, ending_of, serve

#: Seconds that a process has to end after it was asked to.
GRACE = 10.0

#: How many processes are started at a time, at most: those that are there may be free again before the next ones are.
_AT_ONCE = 4


@dataclass(slots=True)
class _Worker:
    """A process, and what it runs."""

    process: BaseProcess
    connection: Connection
    key: TaskKey | None = None
    is_killed: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid or 0


class LocalExecutor(Executor):
    """Runs commands in processes of this machine, up to `parallelism` at the same time.

    Processes are started when they are first needed, and stay. One that crashes takes one command with it, whose
    failure names the signal; another process takes its place.

    Args:
        parallelism: How many processes there may be.
        start_method: `fork`, `spawn` or `forkserver`. By default processes are forked where that is safe. Where this
            process has threads that Python did not start, a clean server process forks them: a copy of this one
            might wait for ever for locks and threads that it does not have.
    """

    heeds: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, parallelism: int = 16, start_method: str | None = None) -> None:
        super().__init__(parallelism)
        self._start_method = start_method
        self._runner: Runner | None = None
        self._workers: list[_Worker] = []
        #: idle ones that the next commands were promised to
        self._reserved: list[_Worker] = []

    def start(self, runner: Runner | None = None) -> None:
        self._runner = runner

    def reserve(self, count: int) -> list[int]:
        idle = [worker for worker in self._workers if worker.key is None and worker.process.is_alive()]
        missing = min(count - len(idle), self.parallelism - len(self._workers), _AT_ONCE)
        idle += [self._started() for _ in range(missing)]
        self._reserved = idle[:count]
        return [worker.pid for worker in self._reserved]

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        worker = self._taken()
        worker.key = key
        try:
            worker.connection.send((key, command))
        except OSError:
            # It is dead: `sync` finds that out, and tells how it came about.
            return

    def sync(self, timeout: float) -> None:
        if not self._workers:
            time.sleep(timeout)
            return
        ready = wait([worker.connection for worker in self._workers], timeout)
        for worker in [worker for worker in self._workers if worker.connection in ready]:
            self._listen(worker)

    def kill(self, key: TaskKey) -> None:
        for worker in self._workers:
            if worker.key == key and not worker.is_killed:
                worker.is_killed = True
                self._stop([worker], ask=True)

    def end(self) -> None:
        super().end()
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        self._stop(self._workers, ask=False)
        self._workers = []

    def terminate(self) -> None:
        super().terminate()
        self._stop(self._workers, ask=True)
        self._workers = []

    def _taken(self) -> _Worker:
        while self._reserved:
            worker = self._reserved.pop(0)
            if worker.key is None:
                return worker
        return next((worker for worker in self._workers if worker.key is None), None) or self._started()

    def _started(self) -> _Worker:
        method = self._start_method or _start_method()
        context: Any = multiprocessing.get_context(method)
        ours, theirs = context.Pipe()
        others = [ours, *(worker.connection for worker in self._workers)] if method == "fork" else []
        birth = Birth(
            parent=None if method == "forkserver" else os.getpid(),
            others=others,
            # The server keeps the surroundings that it was started in.
            surroundings=None if method == "fork" else Surroundings.of_this_process(),
        )
        process = context.Process(target=serve, args=(theirs, self._runner, birth), name="elastic-worker")
        with _signals_blocked(), contextlib.nullcontext() if method == "fork" else self._clean(method):
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    @contextlib.contextmanager
    def _clean(self, method: str) -> Iterator[None]:
        """Start processes that do not run the user's program again, as multiprocessing would have them do."""
        if method == "forkserver":
            # Without effect once the server is there.
            multiprocessing.set_forkserver_preload([serve.__module__, type(self._runner).__module__])
        program, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = program

    def _listen(self, worker: _Worker) -> None:
        try:
            is_done, account = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        key, worker.key = worker.key, None
        if key is None:
            return
        if not is_done:
            self.change_state(key, TaskState.FAILED, error=f"the worker process failed: {account}")
        elif self._runner is not None:
            self.change_state(key, TaskState.SUCCESS, account=account)
        else:
            self._exited(key, account)

    def _exited(self, key: TaskKey, code: int) -> None:
        if code == 0:
            self.change_state(key, TaskState.SUCCESS, exit_code=0)
        else:
            self.change_state(key, TaskState.FAILED, exit_code=code, error=f"the command ended with {ending_of(code)}")

    def _bury(self, worker: _Worker) -> None:
        worker.process.join(GRACE)
        worker.connection.close()
        self._workers.remove(worker)
        code = worker.process.exitcode
        if worker.key is not None:
            how = (
                "in an unknown way"
                if code is None
                else f"by {ending_of(code)}"
                if code < 0
                else f"with {ending_of(code)}"
            )
            self.change_state(worker.key, TaskState.FAILED, exit_code=code, error=f"its process was ended {how}")

    @staticmethod
    def _stop(workers: list[_Worker], *, ask: bool) -> None:
        """See to it that processes end: first ask, after `GRACE` seconds force."""
        for worker in workers:
            if ask:
                worker.process.terminate()
        deadline = time.monotonic() + GRACE
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _start_method() -> str:
    return "forkserver" if has_native_threads() else "fork"


@contextlib.contextmanager
def _signals_blocked() -> Any:
    """Let no signal come to a new process before it knows what to do with it."""
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SequentialExecutor(LocalExecutor):
    """Runs one command at a time, in a process beside this one."""

    def __init__(self, start_method: str | None = None) -> None:
        super().__init__(1, start_method)
