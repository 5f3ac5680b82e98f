"""Callbacks outside of attempts: of runs, and of attempts whose processes ended before they called them."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from elastic.dag.dag import DAG
from elastic.dag.execution.attempt_info import AttemptInfo
from elastic.dag.execution.callbacks import run_callbacks
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.db.records import Attempt, DagRun
from elastic.db.stores.xcoms import add_log_lines
from elastic.db.transitions import RunCallback
from elastic.executors.executor import TaskCommand
from elastic.executors.local import LocalExecutor
from elastic.scheduler.attempts.attempt_log import attempt_log
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.attempts.run_attempt import AttemptXCom, callbacks_of, context_of
from elastic.scheduler.attempts.run_log import FlowLog
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.deployment import Deployment

_log = logging.getLogger(__name__)

#: Seconds that the callbacks of an attempt may take.
_CALLBACK_TIMEOUT = 300.0

#: Seconds in which a process whose callbacks took too long is ended.
_END_SECONDS = 30.0

#: Processes that call the callbacks of a run, if each of them ends meanwhile.
MAX_CALLS = 3

#: Map index in the key of callbacks of a run, which no task instance has.
_OF_RUN = -2


@dataclass(frozen=True, slots=True)
class AttemptCallbackRequest:
    """Request to call the callbacks of one attempt."""

    attempt: AttemptRequest
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class RunCallbackRequest:
    """Request to call the callbacks of a DAG for a run that ended; `attempt` names the run."""

    attempt: AttemptRequest
    due: RunCallback


class CallbackRunner(AttemptRunner):
    """Runner of callbacks in a process of its own. If several runners want the same callbacks, one of them wins."""

    def __call__(self, key: TaskKey, command: TaskCommand) -> None:
        """Call due callbacks and log to the log of their attempt, or of their run."""
        due: AttemptCallbackRequest | RunCallbackRequest = command.request
        deployment, dag = self.load(due.attempt)
        if isinstance(due, RunCallbackRequest):
            _call_and_log(deployment, dag, due)
            return
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


class CallbackQueue:
    """Queue of callbacks for one process, which starts when it is first needed.

    Args:
        runner: Calls the callbacks.
        say: Receives a message for each set of callbacks that failed or timed out.
    """

    def __init__(self, runner: CallbackRunner, say: Callable[[str], None]) -> None:
        self._runner, self._say = runner, say
        self._executor: LocalExecutor | None = None
        self._deadlines: dict[TaskKey, float] = {}

    def __contains__(self, key: TaskKey) -> bool:
        return key in self._deadlines

    @property
    def is_empty(self) -> bool:
        """Whether no callbacks are queued or running."""
        return not self._deadlines

    def add(self, key: TaskKey, request: AttemptCallbackRequest | RunCallbackRequest) -> None:
        """Queue callbacks."""
        if self._executor is None:
            self._executor = LocalExecutor(1)
            self._executor.start(self._runner)
        self._deadlines[key] = time.monotonic() + _CALLBACK_TIMEOUT
        self._executor.queue_command(key, TaskCommand(words=(), request=request))

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

    def close(self) -> None:
        """End the process, after the callbacks that it has begun."""
        if self._executor is not None:
            self._executor.end()
            self._executor = None

    def terminate(self) -> None:
        """Kill the process with the callbacks that it has begun."""
        if self._executor is not None:
            self._executor.terminate()
            self._executor = None
        self._deadlines.clear()


class DueCallbacks(CallbackCaller):
    """Callbacks of attempts whose processes ended before they called them, called one attempt after another.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        runs: Runs by id; the callbacks of other runs are left to other processes.
        queue: Calls the callbacks.
    """

    def __init__(self, deployment: Deployment, dag: DagSpec, runs: Mapping[str, DagRun], queue: CallbackQueue) -> None:
        self._deployment, self._dag, self.runs, self._queue = deployment, dag, runs, queue
        self._seen: set[str] = set()

    def queue_due(self) -> None:
        for attempt in queries.due_callbacks(self._deployment.database, self._dag.dag_id):
            if attempt.attempt_uuid not in self._seen:
                self.queue_for_attempt(attempt)

    def queue_for_attempt(self, attempt: Attempt) -> None:
        """Queue the callbacks of an attempt that are due."""
        if attempt.key in self._queue or attempt.run_id not in self.runs or attempt.task_id not in self._dag.tasks:
            return
        self._seen.add(attempt.attempt_uuid)
        if attempt.callback in self._dag.tasks[attempt.task_id].callback_states:
            self._add(attempt)
        else:
            transitions.take_callbacks(self._deployment.database, attempt.attempt_uuid, is_own=False)

    def call_for_run(self, run: DagRun, state: RunState) -> int:
        """Queue the callbacks of a run that has just ended; the process that calls them logs their failures."""
        due = RunCallback(dag_id=run.dag_id, run_id=run.run_id, attempt=run.attempt, state=state)
        self.queue_for_run(run, due)
        return 0

    def queue_for_run(self, run: DagRun, due: RunCallback) -> None:
        """Queue the callbacks of a run that this process has taken."""
        for task_id in list(self._dag.tasks)[-1:]:
            request = AttemptRequest(
                info=attempt_info_of(run, task_id),
                max_tries=1,
                run_attempt=run.attempt,
                fileloc=self._dag.fileloc,
                root=self._dag.root,
            )
            self._queue.add(TaskKey(run.dag_id, run.run_id, task_id, _OF_RUN), RunCallbackRequest(request, due))

    def poll(self, timeout: float = 0.0) -> None:
        """Start queued callbacks; wait up to `timeout` seconds for callbacks to finish."""
        self._queue.poll(timeout)

    def finish(self) -> None:
        """Call all due callbacks and wait until they have finished."""
        self.queue_due()
        while not self._queue.is_empty:
            self._queue.poll(timeout=1.0)
            self.queue_due()
        self._queue.close()

    def _add(self, attempt: Attempt) -> None:
        info = attempt_info_of(
            self.runs[attempt.run_id],
            attempt.task_id,
            attempt.map_index,
            try_number=attempt.try_number,
            attempt_uuid=attempt.attempt_uuid,
        )
        request = AttemptRequest(
            info=info,
            max_tries=attempt.try_number,
            run_attempt=attempt.run_attempt,
            fileloc=self._dag.fileloc,
            root=self._dag.root,
        )
        self._queue.add(attempt.key, AttemptCallbackRequest(request, attempt.callback or "", attempt.error))


class LoadedDagCallbacks(DueCallbacks):
    """Callbacks of a DAG that this process has loaded; those of runs are called in this process.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        runs: Runs by id; the callbacks of other runs are left to other processes.
        say: Receives a message for each set of callbacks that failed or timed out.
    """

    def __init__(
        self, deployment: Deployment, dag: DAG, runs: Mapping[str, DagRun], say: Callable[[str], None]
    ) -> None:
        super().__init__(deployment, DagSpec.of(dag), runs, CallbackQueue(CallbackRunner(dag, deployment), say))
        self._loaded = dag

    def call_left(self) -> None:
        """Call the callbacks of runs that an earlier command ended without calling them to the end."""
        database = self._deployment.database
        for due in transitions.take_run_callbacks(database, dag_id=self._dag.dag_id):
            run = queries.run_of_id(database, due.dag_id, due.run_id)
            if run is None or due.calls > MAX_CALLS:
                transitions.finish_run_callbacks(database, due)
            else:
                _call_run_callbacks(self._deployment, self._loaded, attempt_info_of(run, ""), due)

    def call_for_run(self, run: DagRun, state: RunState) -> int:
        """Call the callbacks in this process; return the number of those that failed."""
        due = RunCallback(dag_id=run.dag_id, run_id=run.run_id, attempt=run.attempt, state=state)
        return _call_run_callbacks(self._deployment, self._loaded, attempt_info_of(run, ""), due)


def _call_run_callbacks(deployment: Deployment, dag: DAG, info: AttemptInfo, due: RunCallback) -> int:
    """Call the callbacks of a run unless another process has taken them; return the number of those that failed."""
    database, state = deployment.database, due.state
    if not transitions.begin_run_callbacks(database, due, _CALLBACK_TIMEOUT + _END_SECONDS):
        return 0
    failed = _call_callbacks(deployment, dag, info, state)
    transitions.finish_run_callbacks(database, due)
    return failed


def _call_callbacks(deployment: Deployment, dag: DAG, info: AttemptInfo, state: RunState) -> int:
    callbacks = dag.on_success_callback if state is RunState.SUCCESS else dag.on_failure_callback
    if not callbacks or not dag.tasks:
        return 0
    task = dag.tasks[-1]
    request = AttemptRequest(info=replace(info, task_id=task.task_id), max_tries=1)
    with dag.helpers.installed():
        context = context_of(task, request, deployment, AttemptXCom(deployment, request.info.key))
        return run_callbacks(callbacks, {**context, "state": state}, _log)


def _call_and_log(deployment: Deployment, dag: DAG, request: RunCallbackRequest) -> None:
    """Call the callbacks of a run in a process of their own, and log a failure to the log of the run."""
    info = request.attempt.info
    failed = _call_run_callbacks(deployment, dag, info, request.due)
    run = queries.run_of_id(deployment.database, info.dag_id, info.run_id) if failed else None
    if run is not None:
        log = FlowLog(deployment, info.dag_id)
        log.write(run, f"{failed} of its callbacks failed", logging.ERROR)
        add_log_lines(deployment.database, log.take())
