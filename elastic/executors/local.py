"""Local executors: run commands in reusable worker processes on this machine."""

import contextlib
import multiprocessing
import os
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
from elastic.executors.orphan_reaper import OrphanReaper, kill_group, kill_tree
from elastic.executors.worker_process import ProcessSettings, WorkerSetup, exit_description, serve, signals_blocked

#: Seconds between SIGTERM and SIGKILL of a worker process.
KILL_GRACE_SECONDS = 10.0

#: Maximum number of processes started at a time. Busy processes may be idle again before more would be ready.
_MAX_STARTS = 4


@dataclass(slots=True)
class _Worker:
    """Worker process with its current command."""

    process: BaseProcess
    connection: Connection
    key: TaskKey | None = None
    #: time of SIGKILL, on the clock of `time.monotonic`, for a worker that was asked to end; None for others
    kill_at: float | None = None

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    @property
    def is_idle(self) -> bool:
        """Whether the process may take a command."""
        return self.key is None and self.kill_at is None


class LocalExecutor(Executor):
    """Executor that runs commands in worker processes on this machine, up to `parallelism` at the same time.

    A process starts when it is first needed, and is reused. If it crashes, its command fails with the name of the
    signal, and another process replaces it. If this process ends, even by SIGKILL, its workers receive SIGTERM,
    and are killed after `KILL_GRACE_SECONDS`.

    Args:
        parallelism: Maximum number of processes.
        start_method: `fork`, `spawn` or `forkserver`. By default, processes are forked. If this process has threads
            that Python did not start, a clean server process forks them instead: a fork of this process could wait
            forever for locks of threads that it does not have.
    """

    heeds: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, parallelism: int = 16, start_method: str | None = None) -> None:
        super().__init__(parallelism)
        self._start_method = start_method
        self._runner: Runner | None = None
        self._workers: list[_Worker] = []
        #: idle workers reserved for the next commands
        self._reserved: list[_Worker] = []
        self._reaper: OrphanReaper | None = None

    def start(self, runner: Runner | None = None) -> None:
        self._runner = runner

    def watch_orphans(self) -> None:
        """Start the reaper of workers that outlive this process, which cannot start once there are native threads."""
        if self._reaper is None and OrphanReaper.is_available() and not has_native_threads():
            with signals_blocked():
                self._reaper = OrphanReaper(2 * max(1, self.parallelism), KILL_GRACE_SECONDS)

    def reserve(self, count: int) -> list[int]:
        idle = [worker for worker in self._workers if worker.is_idle and worker.process.is_alive()]
        missing = min(count - len(idle), self.parallelism - len(self._workers), _MAX_STARTS)
        idle += [self._start_worker() for _ in range(missing)]
        self._reserved = idle[:count]
        return [worker.pid for worker in self._reserved]

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        worker = self._next_worker()
        worker.key = key
        try:
            worker.connection.send((key, command))
        except OSError:
            # The process is dead; `sync` detects that and reports how it ended.
            return

    def sync(self, timeout: float) -> None:
        if not self._workers:
            time.sleep(timeout)
            return
        kills = [worker.kill_at - time.monotonic() for worker in self._workers if worker.kill_at is not None]
        ready = wait([worker.connection for worker in self._workers], max(0.0, min([timeout, *kills])))
        for worker in [worker for worker in self._workers if worker.connection in ready]:
            self._receive(worker)
        for worker in list(self._workers):
            if worker.kill_at is not None and worker.kill_at < time.monotonic():
                self._end_overdue(worker)

    def kill(self, key: TaskKey) -> None:
        """Ask the process of a command to end; a later `sync` kills it if it takes too long, and reports its end."""
        for worker in self._workers:
            if worker.key == key and worker.kill_at is None:
                worker.kill_at = time.monotonic() + KILL_GRACE_SECONDS
                worker.process.terminate()

    def end(self) -> None:
        super().end()
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        self._stop(self._workers, ask=False)
        self._forget_all()

    def terminate(self) -> None:
        super().terminate()
        self._stop(self._workers, ask=True)
        self._forget_all()

    def _forget_all(self) -> None:
        self._workers, self._reserved = [], []
        if self._reaper is not None:
            self._reaper.stop()
            self._reaper = None

    def _next_worker(self) -> _Worker:
        while self._reserved:
            worker = self._reserved.pop(0)
            if worker.is_idle:
                return worker
        return next((worker for worker in self._workers if worker.is_idle), None) or self._start_worker()

    def _start_worker(self) -> _Worker:
        method = self._start_method or _start_method()
        # Without a reaper, workers only receive SIGTERM when this process ends.
        self.watch_orphans()
        context: Any = multiprocessing.get_context(method)
        ours, theirs = context.Pipe()
        others = [ours, *(worker.connection for worker in self._workers)] if method == "fork" else []
        setup = WorkerSetup(
            parent=None if method == "forkserver" else os.getpid(),
            others=others,
            # The fork server keeps the environment that it was started with.
            settings=None if method == "fork" else ProcessSettings.current(),
        )
        process = context.Process(target=serve, args=(theirs, self._runner, setup), name="elastic-worker")
        with signals_blocked(), contextlib.nullcontext() if method == "fork" else self._clean(method):
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        if self._reaper is not None:
            self._reaper.add(worker.pid)
        return worker

    @contextlib.contextmanager
    def _clean(self, method: str) -> Iterator[None]:
        """Keep new processes from running the user's main program again, as multiprocessing otherwise does."""
        if method == "forkserver":
            # This has no effect once the server runs.
            multiprocessing.set_forkserver_preload([serve.__module__, type(self._runner).__module__])
        program, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = program

    def _receive(self, worker: _Worker) -> None:
        try:
            is_done, account = worker.connection.recv()
        except (EOFError, OSError):
            self._remove(worker)
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
            why = f"the command ended with {exit_description(code)}"
            self.change_state(key, TaskState.FAILED, exit_code=code, error=why)

    def _end_overdue(self, worker: _Worker) -> None:
        """Kill a process that did not end in time; a result that it sent before counts."""
        if worker.connection.poll():
            self._receive(worker)
        if worker in self._workers:
            kill_tree(worker.pid)
            self._remove(worker)

    def _remove(self, worker: _Worker) -> None:
        wait([worker.process.sentinel], KILL_GRACE_SECONDS)
        if worker.key is not None:
            # What the command started in the group of its process must not go on beside the next try. Before `join`,
            # after which another process may get the id.
            kill_group(worker.pid)
        worker.process.join(KILL_GRACE_SECONDS)
        if self._reaper is not None:
            self._reaper.remove(worker.pid)
        worker.connection.close()
        self._workers.remove(worker)
        code = worker.process.exitcode
        if worker.key is not None:
            how = (
                "in an unknown way"
                if code is None
                else f"by {exit_description(code)}"
                if code < 0
                else f"with {exit_description(code)}"
            )
            self.change_state(worker.key, TaskState.FAILED, exit_code=code, error=f"its process was ended {how}")

    @staticmethod
    def _stop(workers: list[_Worker], *, ask: bool) -> None:
        """Stop processes: wait up to `KILL_GRACE_SECONDS`, then kill; `ask` sends SIGTERM first."""
        for worker in workers:
            if ask:
                worker.process.terminate()
        deadline = time.monotonic() + KILL_GRACE_SECONDS
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                kill_tree(worker.pid)
                worker.process.join()


def _start_method() -> str:
    return "forkserver" if has_native_threads() else "fork"


class SequentialExecutor(LocalExecutor):
    """Executor that runs one command at a time in a separate process."""

    def __init__(self, start_method: str | None = None) -> None:
        super().__init__(1, start_method)
