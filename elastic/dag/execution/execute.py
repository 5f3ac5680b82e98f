"""Runs one attempt of a task in this process."""

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from elastic.dag.context import Context
from elastic.dag.execution.action import Action
from elastic.dag.execution.action_sequence import ActionSequence, StateChangeCallback, run_with_rollback
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.coroutines import call_user_function
from elastic.dag.execution.timeout import TimeLimit
from elastic.dag.execution.wait import WaitServices
from elastic.dag.execution.xcom import RETURN_VALUE
from elastic.dag.operator import BaseOperator, MappedOperator
from elastic.dag.states.synergy import ActionSetState
from elastic.dag.templating.renderer import render_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """Result of an attempt that did not fail."""

    #: return value of `execute`
    result: Any = None
    #: ids of the tasks to skip because of the result
    skipped_task_ids: tuple[str, ...] = ()
    #: True if the task has `skip=True`: it is complete without any work
    is_noop: bool = False


def execute(task: BaseOperator, context: Context, on_state_change: StateChangeCallback | None = None) -> TaskOutcome:
    """Run one attempt: render the templates, then run pre actions, main work and post actions.

    The attempt works on a copy of the task and on deep copies of its actions. Later tasks receive the return value of
    `execute`, unless it is None. The caller runs the callbacks, because it decides whether a failure leads to a retry.

    Args:
        task: The task as defined.
        context: The result of `build_context`.
        on_state_change: Called when the pre actions, the main work and the post actions start and end.

    Raises:
        TaskSkipped: The work ended as skipped.
        TaskDeferred: The task is a sensor, and waits without this process.
        TemplateError: A template cannot be rendered; nothing was executed.
        TaskTimeoutError: The attempt exceeded `execution_timeout`.
        BaseException: The work raised it; finished work has been rolled back.
    """
    if task.skip:
        task.log.info("%s has skip=True; it counts as complete", task)
        return TaskOutcome(is_noop=True)
    attempt, _ = prepare(task, context)
    context = {**context, "task": attempt}
    main = _MainWork(attempt, context)
    report = on_state_change or _ignore
    waiting = context.get("waiting")
    # A sensor that continues in another process has run its pre actions already.
    continues = isinstance(waiting, WaitServices) and waiting.wait is not None
    sequences = [
        ActionSequence("pre", [_ActionCopy(action, context) for action in (() if continues else task.pre)], report),
        ActionSequence("main", [main], report),
        ActionSequence("post", [_ActionCopy(action, context) for action in task.post], report),
    ]
    limit = TimeLimit(
        f"task {task.task_id!r}", task.execution_timeout.total_seconds() if task.execution_timeout else None
    )
    with _environment(attempt.env):
        result = run_with_rollback(sequences, attempt.log, limit)["main"]
    return TaskOutcome(result=result, skipped_task_ids=tuple(call_user_function(task.skipped_after, result)))


def prepare(task: BaseOperator, context: Context) -> tuple[BaseOperator, dict[str, str]]:
    """Return the copy of a task that an attempt works on, and its rendered fields as strings.

    Raises:
        TemplateError: A template cannot be rendered.
    """
    attempt = task.copy_at(context["map_index"], context["ti"].xcom_pull) if isinstance(task, MappedOperator) else task
    attempt = copy.copy(attempt)
    return attempt, render_fields(attempt, context)


class _MainWork:
    """The main work of an attempt."""

    name = "main"

    def __init__(self, attempt: BaseOperator, context: Context) -> None:
        self.attempt, self.context = attempt, context

    def do(self) -> Any:
        try:
            result = call_with_context(self.attempt.execute, self.context)
        except Exception:
            raise
        except BaseException:
            # Stopped from outside: a time limit, Ctrl-C, or SystemExit.
            call_user_function(self.attempt.on_kill)
            raise
        if self.attempt.do_xcom_push and result is not None:
            self.context["ti"].xcom_push(RETURN_VALUE, result)
        return result

    def rollback(self) -> None:
        call_user_function(self.attempt.rollback, self.context)

    def cleanup(self) -> None:
        call_user_function(self.attempt.cleanup, self.context)


class _ActionCopy:
    """Deep copy of an action, for one attempt."""

    def __init__(self, action: Action, context: Context) -> None:
        self.name, self._context = action.name, context
        self._action = copy.deepcopy(action)

    def do(self) -> Any:
        return self._action.set_context(self._context).do()

    def rollback(self) -> None:
        if not self._action.skip:
            call_user_function(self._action.rollback)

    def cleanup(self) -> None:
        call_user_function(self._action.cleanup)


def _ignore(kind: str, state: ActionSetState) -> None:
    """Ignore a state change."""


@contextmanager
def _environment(variables: Mapping[str, str] | None) -> Iterator[None]:
    """Set environment variables during an attempt."""
    before = {name: os.environ.get(name) for name in variables or {}}
    os.environ.update({name: str(value) for name, value in (variables or {}).items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
