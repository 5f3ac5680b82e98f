"""One attempt of a task, in this process."""

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from elastic.dag.context import Context
from elastic.dag.execution.action import Action
from elastic.dag.execution.action_sequence import ActionSequence, Observer, run_with_rollback
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.coroutines import call_user_function
from elastic.dag.execution.timeout import TimeLimit
from elastic.dag.execution.xcom import RETURN_VALUE
from elastic.dag.operator import BaseOperator, MappedOperator
from elastic.dag.states.synergy import ActionSetState
from elastic.dag.templating.renderer import render_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """What an attempt that did not fail came to."""

    #: what `execute` returned
    result: Any = None
    #: ids of the tasks that are skipped because of it
    skipped_task_ids: tuple[str, ...] = ()
    #: the task was to be skipped: it counts as complete, and nothing was done
    is_noop: bool = False


def execute(task: BaseOperator, context: Context, observe: Observer | None = None) -> TaskOutcome:
    """Run one attempt: render the templates, then pre actions, main work and post actions.

    The task itself is not changed: the attempt works on copies, deep ones of its actions. What `execute` returns is
    passed on, unless it is None. Callbacks are not called: whoever decides what the end of the attempt means does so.

    Args:
        task: As it is defined.
        context: Of `build_context`.
        observe: Told when the pre actions, the main work and the post actions begin and end.

    Raises:
        TaskSkipped: The work ended as skipped.
        TemplateError: A template cannot be rendered; nothing was executed.
        TaskTimeoutError: It took longer than `execution_timeout`.
        BaseException: What the work raised; what was done has been rolled back.
    """
    if task.skip:
        task.log.info("%s is to be skipped; it counts as complete", task)
        return TaskOutcome(is_noop=True)
    attempt, _ = prepared(task, context)
    context = {**context, "task": attempt}
    main = _Main(attempt, context)
    told = observe or _nobody
    sets = [
        ActionSequence("pre", [_Prepared(action, context) for action in task.pre], told),
        ActionSequence("main", [main], told),
        ActionSequence("post", [_Prepared(action, context) for action in task.post], told),
    ]
    limit = TimeLimit(
        f"task {task.task_id!r}", task.execution_timeout.total_seconds() if task.execution_timeout else None
    )
    with _environment(attempt.env):
        result = run_with_rollback(sets, attempt.log, limit)["main"]
    return TaskOutcome(result=result, skipped_task_ids=tuple(call_user_function(task.skipped_after, result)))


def prepared(task: BaseOperator, context: Context) -> tuple[BaseOperator, dict[str, str]]:
    """Return the copy of a task that an attempt works on, and its rendered fields as text.

    Raises:
        TemplateError: A template cannot be rendered.
    """
    attempt = task.copy_at(context["map_index"], context["ti"].xcom_pull) if isinstance(task, MappedOperator) else task
    attempt = copy.copy(attempt)
    return attempt, render_fields(attempt, context)


class _Main:
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
            # Stopped from outside: out of time, Ctrl-C, or told to exit.
            call_user_function(self.attempt.on_kill)
            raise
        if self.attempt.do_xcom_push and result is not None:
            self.context["ti"].xcom_push(RETURN_VALUE, result)
        return result

    def rollback(self) -> None:
        call_user_function(self.attempt.rollback, self.context)

    def cleanup(self) -> None:
        call_user_function(self.attempt.cleanup, self.context)


class _Prepared:
    """A deep copy of an action, made when its turn comes."""

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


def _nobody(kind: str, state: ActionSetState) -> None:
    """Nobody wants to know."""


@contextmanager
def _environment(names: Mapping[str, str] | None) -> Iterator[None]:
    """Set environment variables for the time of an attempt."""
    before = {name: os.environ.get(name) for name in names or {}}
    os.environ.update({name: str(value) for name, value in (names or {}).items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
