"""One attempt of a task instance, from its log to the account of how it ended. What counts is decided elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from elastic.config.secret_mask import masked
from elastic.core.errors import ElasticError
from elastic.core.text import error_text, traceback_text, writable
from elastic.dag.context import Context, ContextServices
from elastic.dag.errors import LookupFailedError, TaskFailedPermanently, TaskSkipped
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.callbacks import run_callbacks
from elastic.dag.execution.execute import execute
from elastic.dag.execution.retry import delay_before
from elastic.dag.ids import TaskKey
from elastic.dag.ignored_settings import settings_without_effect
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.task_settings import Callback
from elastic.db import queries, transitions
from elastic.db.records import AttemptResult
from elastic.scheduler.attempts.attempt_log import attempt_log
from elastic.scheduler.attempts.attempt_request import AttemptReport, AttemptRequest
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import TerminateRequested

#: Characters of an error that are kept.
_LONGEST_ERROR = 64 * 1024


@dataclass(slots=True)
class FlowRuns:
    """The data flow that the tries of an instance run: `flow_runs` in the context."""

    deployment: Deployment
    attempt_uuid: str
    #: of an earlier try
    earlier: str | None = None

    def keep(self, flow_run_id: str) -> None:
        """Keep the id of the flow's run, so that the next try resumes it."""
        transitions.set_flow_run(self.deployment.database, self.attempt_uuid, flow_run_id)
        self.earlier = flow_run_id


@dataclass(slots=True)
class AttemptXCom:
    """Values of the run as one attempt sees them. What it pushes itself is kept when, and only if, its end counts."""

    deployment: Deployment
    key: TaskKey
    pushed: dict[str, str] = field(default_factory=dict)

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        self.pushed[name] = encoded

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        found = {
            index: text for _, index, text in queries.xcoms(self.deployment.database, dag_id, run_id, [task_id], name)
        }
        if TaskKey(dag_id, run_id, task_id, self.key.map_index) == self.key and name in self.pushed:
            found[self.key.map_index] = self.pushed[name]
        return found


def run_attempt(
    task: BaseOperator,
    order: AttemptRequest,
    deployment: Deployment,
    *,
    terminal: TextIO | None = None,
    capture: bool = False,
) -> AttemptReport:
    """Run an attempt in this process, and return how it ended; nothing is written down.

    Args:
        task: As it is defined.
        order: The facts of the attempt.
        deployment: Where it happens.
        terminal: Where its log goes as well.
        capture: What it prints becomes part of its log.
    """
    xcoms = AttemptXCom(deployment, order.facts.key)
    skipped: tuple[str, ...] = ()
    log = attempt_log(deployment, task, order, terminal=terminal, capture=capture)
    with task.helpers.installed(), log as lines:
        for name, why in settings_without_effect(task).items():
            task.log.warning("%s has no effect: %s", name, why)
        context = context_of(task, order, deployment, xcoms)
        try:
            outcome = execute(task, context)
        except TaskSkipped as skip:
            task.log.info("skipped: %s", error_text(skip))
            ending = _ended(order, TaskState.SKIPPED, error_text(skip))
        except TerminateRequested:
            raise
        except (Exception, SystemExit) as error:
            task.log.exception("%s failed", task)
            ending = failure_of(task, order, error)
        else:
            ending = AttemptResult(
                attempt_uuid=order.facts.attempt_uuid, state=TaskState.SUCCESS, xcoms=dict(xcoms.pushed)
            )
            skipped = outcome.skipped_task_ids
            task.log.info("Task succeeded")
        _call_back(task, context, ending, deployment)
        return AttemptReport(ending=ending, skipped=skipped, lines=lines.taken() if lines else ())


def context_of(task: BaseOperator, order: AttemptRequest, deployment: Deployment, xcoms: AttemptXCom) -> Context:
    """Return the context of an attempt."""
    services = ContextServices(
        xcoms=xcoms, get_variable=_variable, get_connection=_connection, settings=deployment.settings
    )
    context = build_context(task, order.facts, services)
    context["flow_runs"] = FlowRuns(deployment, order.facts.attempt_uuid, order.flow_run_id)
    return context


def failure_of(task: BaseOperator, order: AttemptRequest, error: BaseException) -> AttemptResult:
    """Return how an attempt ends that raised an error: tried again, unless that was its last try."""
    text = writable(masked(traceback_text(error)), _LONGEST_ERROR)
    if isinstance(error, TaskFailedPermanently):
        return _ended(order, TaskState.FAILED, text)
    return retry_or_fail(task, order, text)


def retry_or_fail(task: BaseOperator, order: AttemptRequest, error: str, exit_code: int | None = None) -> AttemptResult:
    """Return how an attempt ends that failed."""
    tries = order.facts.try_number
    if tries >= order.max_tries:
        return _ended(order, TaskState.FAILED, error, exit_code)
    delay = delay_before(tries + 1, task, str(order.facts.key)).total_seconds()
    return AttemptResult(
        attempt_uuid=order.facts.attempt_uuid,
        state=TaskState.UP_FOR_RETRY,
        error=error,
        exit_code=exit_code,
        retry_in=delay,
    )


def callbacks_of(task: BaseOperator, state: TaskState | str) -> tuple[Callback, ...]:
    """Return what a task wants to be called after an attempt that left its instance in a state."""
    callbacks: dict[str, tuple[Callback, ...]] = {
        TaskState.SUCCESS: task.on_success_callback,
        TaskState.FAILED: task.on_failure_callback,
        TaskState.UP_FOR_RETRY: task.on_retry_callback,
    }
    return callbacks.get(state, ())


def _call_back(task: BaseOperator, context: Context, ending: AttemptResult, deployment: Deployment) -> None:
    """Call the callbacks of an attempt in its own process, unless it does not count any more."""
    callbacks = callbacks_of(task, ending.state)
    if not callbacks:
        return
    try:
        is_ours = transitions.take_callbacks(deployment.database, ending.attempt_uuid, is_own=True)
    except ElasticError as error:
        task.log.error("its callbacks are not called: %s", error)
        return
    if is_ours:
        run_callbacks(callbacks, {**context, "state": ending.state, "exception": ending.error}, task.log)
    else:
        task.log.warning("its callbacks are not called: the attempt does not count any more")


def _ended(order: AttemptRequest, state: TaskState, why: str, exit_code: int | None = None) -> AttemptResult:
    return AttemptResult(attempt_uuid=order.facts.attempt_uuid, state=state, error=masked(why), exit_code=exit_code)


def _variable(name: str) -> str:
    from elastic.db.lookup import variable

    found = variable(name)
    if found is None:
        raise LookupFailedError(f"variable {name!r} isn't defined; set it with `elastic variables set {name} VALUE`.")
    return found


def _connection(conn_id: str) -> Any:
    from elastic.hooks.connection_lookup import connection

    return connection(conn_id)
