"""Run one attempt of a task instance and return its result. The caller records the result."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from elastic.config.secret_mask import masked
from elastic.core.errors import ElasticError
from elastic.core.text import error_text, traceback_text, writable
from elastic.dag.context import Context, ContextServices
from elastic.dag.errors import LookupFailedError, TaskDeferred, TaskFailedPermanently, TaskSkipped
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.callbacks import run_callbacks
from elastic.dag.execution.execute import execute
from elastic.dag.execution.retry import RetryPolicy, retry_delay_of
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.execution.wait import WaitMode, WaitRequest, WaitServices
from elastic.dag.ids import TaskKey
from elastic.dag.ignored_settings import settings_without_effect
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.task_settings import Callback
from elastic.db import queries, transitions
from elastic.db.records import AttemptResult
from elastic.db.stores.waits import wait_of
from elastic.scheduler.attempts.attempt_log import attempt_log, log_path
from elastic.scheduler.attempts.attempt_request import AttemptRequest
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import TerminateRequested
from elastic.scheduler.trigger_tools import Tools

#: States for which tasks may have callbacks.
CALLBACK_STATES = (TaskState.SUCCESS, TaskState.FAILED, TaskState.UP_FOR_RETRY)

#: Characters of an error that are stored.
_MAX_ERROR_LENGTH = 64 * 1024


@dataclass(slots=True)
class FlowRuns:
    """Access to the data flow that the tries of an instance run: `flow_runs` in the context."""

    deployment: Deployment
    attempt_uuid: str
    #: id of the flow run of an earlier try
    earlier: str | None = None

    def keep(self, flow_run_id: str) -> None:
        """Store the id of the flow run, so that the next try resumes it."""
        transitions.set_flow_run(self.deployment.database, self.attempt_uuid, flow_run_id)
        self.earlier = flow_run_id


@dataclass(slots=True)
class AttemptXCom:
    """XCom store of one attempt. It buffers pushed values, which are stored only with a result that counts."""

    deployment: Deployment
    key: TaskKey
    pushed: dict[str, str] = field(default_factory=dict)

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        self.pushed[name] = encoded

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        rows = queries.xcoms(self.deployment.database, dag_id, run_id, [task_id], name)
        found = {index: text for _, index, text in rows}
        if TaskKey(dag_id, run_id, task_id, self.key.map_index) == self.key and name in self.pushed:
            found[self.key.map_index] = self.pushed[name]
        return found


def run_attempt(
    task: BaseOperator,
    request: AttemptRequest,
    deployment: Deployment,
    *,
    terminal: TextIO | None = None,
    capture: bool = False,
) -> AttemptResult:
    """Run an attempt in this process and return its result, which is not recorded yet.

    Args:
        task: The task as its DAG file defines it.
        request: The attempt to run.
        deployment: Database, folders and limits.
        terminal: Second destination of the log.
        capture: Make printed output part of the log.
    """
    xcoms = AttemptXCom(deployment, request.info.key)
    waiting = wait_services(deployment, request) if task.is_sensor else None
    continues = waiting is not None and waiting.wait is not None
    log = attempt_log(deployment, task, request, terminal=terminal, capture=capture, continues=continues)
    with task.helpers.installed(), log as lines:
        for name, why in {} if continues else settings_without_effect(task).items():
            task.log.warning("%s has no effect: %s", name, why)
        if request.remark:
            task.log.warning("%s", request.remark)
        context = context_of(task, request, deployment, xcoms)
        context["waiting"] = waiting
        try:
            outcome = execute(task, context)
        except TaskSkipped as skip:
            task.log.info("skipped: %s", error_text(skip))
            result = _result(request, TaskState.SKIPPED, error_text(skip))
        except TaskDeferred as deferral:
            result = _suspended(task, request, deployment, deferral.request)
            return replace(result, xcoms=dict(xcoms.pushed), log_lines=lines.take() if lines else ())
        except TerminateRequested:
            raise
        except (Exception, SystemExit) as error:
            task.log.exception("%s failed", task)
            result = failure_of(task, request, error)
        else:
            result = AttemptResult(
                attempt_uuid=request.info.attempt_uuid,
                state=TaskState.SUCCESS,
                xcoms=dict(xcoms.pushed),
                skipped_task_ids=outcome.skipped_task_ids,
            )
            task.log.info("Task succeeded")
        result = _run_callbacks(task, context, result, deployment)
        note = result.note or request.remark or None
        return replace(result, note=note, log_lines=lines.take() if lines else ())


def wait_services(deployment: Deployment, request: AttemptRequest) -> WaitServices:
    """Return the services for a sensor, with its wait so far."""
    found, now = wait_of(deployment.database, request.info.attempt_uuid)
    return WaitServices(tools=Tools(deployment.database), mode=request.wait_mode, wait=found, began_at=now)


def _suspended(
    task: BaseOperator, request: AttemptRequest, deployment: Deployment, wanted: WaitRequest
) -> AttemptResult:
    """Return the result of an attempt that waits, with what a triggerer must know to end it."""
    delay = retry_delay_of(request.info.try_number, request.max_tries, task, str(request.info.key))
    path = log_path(deployment, TaskInstance(task, attempt=request.info))
    settings = replace(
        wanted.settings,
        retry_in=None if delay is None else delay.total_seconds(),
        callbacks=tuple(state for state in CALLBACK_STATES if callbacks_of(task, state)),
        log_path=str(path.relative_to(deployment.logs)) if path.is_relative_to(deployment.logs) else "",
        run_attempt=request.run_attempt,
    )
    is_deferred = wanted.mode is WaitMode.DEFER
    return AttemptResult(
        attempt_uuid=request.info.attempt_uuid,
        state=TaskState.DEFERRED if is_deferred else TaskState.UP_FOR_RESCHEDULE,
        wait=replace(wanted, settings=settings),
    )


def context_of(task: BaseOperator, request: AttemptRequest, deployment: Deployment, xcoms: AttemptXCom) -> Context:
    """Return the context of an attempt."""
    services = ContextServices(
        xcoms=xcoms, get_variable=_variable, get_connection=_connection, settings=deployment.settings
    )
    context = build_context(task, request.info, services)
    context["flow_runs"] = FlowRuns(deployment, request.info.attempt_uuid, request.flow_run_id)
    return context


def failure_of(task: BaseOperator, request: AttemptRequest, error: BaseException) -> AttemptResult:
    """Return the result of an attempt that raised an error."""
    text = writable(masked(traceback_text(error)), _MAX_ERROR_LENGTH)
    if isinstance(error, TaskFailedPermanently):
        return _result(request, TaskState.FAILED, text)
    return retry_or_fail(task, request, text)


def retry_or_fail(
    task: RetryPolicy, request: AttemptRequest, error: str, exit_code: int | None = None
) -> AttemptResult:
    """Return the result of a failed attempt: UP_FOR_RETRY after a delay, or FAILED on the last try."""
    delay = retry_delay_of(request.info.try_number, request.max_tries, task, str(request.info.key))
    if delay is None:
        return _result(request, TaskState.FAILED, error, exit_code)
    return AttemptResult(
        attempt_uuid=request.info.attempt_uuid,
        state=TaskState.UP_FOR_RETRY,
        error=error,
        exit_code=exit_code,
        retry_in=delay.total_seconds(),
    )


def callbacks_of(task: BaseOperator, state: TaskState | str) -> tuple[Callback, ...]:
    """Return the callbacks of a task for the state in which an attempt left its instance."""
    callbacks: dict[str, tuple[Callback, ...]] = {
        TaskState.SUCCESS: task.on_success_callback,
        TaskState.FAILED: task.on_failure_callback,
        TaskState.UP_FOR_RETRY: task.on_retry_callback,
    }
    return callbacks.get(state, ())


def _run_callbacks(
    task: BaseOperator, context: Context, result: AttemptResult, deployment: Deployment
) -> AttemptResult:
    """Run the callbacks of an attempt in its own process, unless the attempt is stale.

    Returns:
        The result, which leaves the callbacks to another process if the database is away.
    """
    callbacks = callbacks_of(task, result.state)
    if not callbacks:
        return result
    try:
        is_taken = transitions.take_callbacks(deployment.database, result.attempt_uuid, is_own=True)
    except ElasticError as error:
        task.log.error("callbacks are left to another process: %s", error)
        return replace(result, callback=result.state)
    if is_taken:
        run_callbacks(callbacks, {**context, "state": result.state, "exception": result.error}, task.log)
    else:
        task.log.warning("callbacks skipped: this attempt is no longer the current one")
    return result


def _result(request: AttemptRequest, state: TaskState, why: str, exit_code: int | None = None) -> AttemptResult:
    return AttemptResult(attempt_uuid=request.info.attempt_uuid, state=state, error=masked(why), exit_code=exit_code)


def _variable(name: str) -> str:
    from elastic.db.lookup import variable

    found = variable(name)
    if found is None:
        raise LookupFailedError(f"variable {name!r} isn't defined; set it with `elastic variables set {name} VALUE`.")
    return found


def _connection(conn_id: str) -> Any:
    from elastic.hooks.connection_lookup import connection

    return connection(conn_id)
