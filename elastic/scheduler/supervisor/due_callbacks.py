"""Callbacks outside of attempts: of runs, and of attempts whose processes ended before they called them."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from elastic.dag.dag import DAG
from elastic.dag.execution.callbacks import run_callbacks
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.db.records import Attempt, DagRun
from elastic.db.stores.xcoms import add_log_lines
from elastic.executors.executor import TaskCommand
from elastic.executors.local import LocalExecutor
from elastic.scheduler.attempts.attempt_log import attempt_log
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.attempts.run_attempt import AttemptXCom, callbacks_of, context_of
from elastic.scheduler.deployment import Deployment

_log = logging.getLogger(__name__)

#: Seconds that the callbacks of an attempt may take.
_CALLBACK_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class _CallbackRequest:
    """Request to call the callbacks of one attempt."""

    attempt: AttemptRequest
    state: str
    error: str | None


class CallbackRunner(AttemptRunner):
    """Runner of callbacks in a process of its own. If several runners want the same callbacks, one of them wins."""

    def __call__(self, key: TaskKey, command: TaskCommand) -> None:
        """Call due callbacks and log to the log of their attempt."""
        deployment, dag = self._load()
        due: _CallbackRequest = command.request
        task, request = dag.get_task(key.task_id), due.attempt
        if not transitions.take_callbacks(deployment.database, request.info.attempt_uuid, is_own=False):
            return
        log = attempt_log(deployment, task, request, capture=True, continues=True)
        with task.helpers.installed(), log as lines:
            task.log.info("its process ended before it called the callbacks for %s; this process calls them", due.state)
            context = context_of(task, request, deployment, AttemptXCom(deployment, key))
            run_callbacks(
                callbacks_of(task, due.state), {**context, "state": due.state, "exception": due.error}, task.log
            )
            if lines:
                add_log_lines(deployment.database, lines.take())


class CallbackCaller(ABC):
    """Caller of the callbacks that a group of runs leaves to others, because it runs no user code itself."""

    @abstractmethod
    def queue_due(self) -> None:
        """Queue the callbacks of attempts that are due now."""

    @abstractmethod
    def call_for_run(self, run: DagRun, state: RunState) -> int:
        """Call the callbacks of a run that ended, or queue them; return the number of callbacks that failed."""


class DueCallbacks(CallbackCaller):
    """Queue of due callbacks, called one attempt after another. Callbacks of runs are called in this process.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        runs: Runs by id; the callbacks of other runs are left to other processes.
        say: Receives a message for each set of callbacks that failed or timed out.
    """

    def __init__(
        self, deployment: Deployment, dag: DAG, runs: Mapping[str, DagRun], say: Callable[[str], None]
    ) -> None:
        self._deployment, self._dag, self._runs, self._say = deployment, dag, runs, say
        self._executor: LocalExecutor | None = None
        self._seen: set[str] = set()
        self._deadlines: dict[TaskKey, float] = {}

    def queue_due(self) -> None:
        """Queue the callbacks that are due now."""
        for attempt in queries.due_callbacks(self._deployment.database, self._dag.dag_id):
            if attempt.attempt_uuid in self._seen or attempt.key in self._deadlines:
                continue
            if attempt.run_id not in self._runs or attempt.task_id not in self._dag:
                continue
            self._seen.add(attempt.attempt_uuid)
            if callbacks_of(self._dag.get_task(attempt.task_id), attempt.callback or ""):
                self._queue(attempt)
            else:
                transitions.take_callbacks(self._deployment.database, attempt.attempt_uuid, is_own=False)

    def call_for_run(self, run: DagRun, state: RunState) -> int:
        return call_run_callbacks(self._deployment, self._dag, run, state)

    def poll(self, timeout: float = 0.0) -> None:
        """Start queued callbacks and report failures; wait up to `timeout` seconds for callbacks to finish."""
        if self._executor is None or not self._deadlines:
            return
        self._executor.heartbeat(timeout)
        for key, event in self._executor.get_event_buffer().items():
            self._deadlines.pop(key, None)
            if event.error:
                self._say(f"Callbacks of {key} failed: {event.error}")
        now = time.monotonic()
        for key in [key for key in self._executor.running if self._deadlines.get(key, now) < now]:
            self._executor.kill(key)

    def finish(self) -> None:
        """Call all due callbacks and wait until they have finished."""
        self.queue_due()
        while self._deadlines:
            self.poll(timeout=1.0)
            self.queue_due()
        if self._executor is not None:
            self._executor.end()
            self._executor = None

    def _queue(self, attempt: Attempt) -> None:
        if self._executor is None:
            self._executor = LocalExecutor(1)
            self._executor.start(CallbackRunner(self._dag, self._deployment))
        info = attempt_info_of(
            self._runs[attempt.run_id],
            attempt.task_id,
            attempt.map_index,
            try_number=attempt.try_number,
            attempt_uuid=attempt.attempt_uuid,
        )
        request = AttemptRequest(info=info, max_tries=attempt.try_number, run_attempt=attempt.run_attempt)
        self._deadlines[attempt.key] = time.monotonic() + _CALLBACK_TIMEOUT
        due = _CallbackRequest(request, attempt.callback or "", attempt.error)
        self._executor.queue_command(attempt.key, TaskCommand(words=(), request=due))


def call_run_callbacks(deployment: Deployment, dag: DAG, run: DagRun, state: RunState) -> int:
    """Call the callbacks of a DAG for a run that ended, in this process; return the number of those that failed."""
    callbacks = dag.on_success_callback if state is RunState.SUCCESS else dag.on_failure_callback
    if not callbacks or not dag.tasks:
        return 0
    task = dag.tasks[-1]
    request = AttemptRequest(info=attempt_info_of(run, task.task_id), max_tries=1)
    with dag.helpers.installed():
        context = context_of(task, request, deployment, AttemptXCom(deployment, request.info.key))
        return run_callbacks(callbacks, {**context, "state": state}, _log)
