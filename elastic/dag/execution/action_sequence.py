"""The life of one attempt: pre actions, main work, post actions, and the way back."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from elastic.core.text import error_text
from elastic.dag.errors import TaskSkipped
from elastic.dag.states.synergy import ActionSetState, check_action_set_transition


class Compensable(Protocol):
    """A unit of work with a way back: an action with its context, or the main work of a task."""

    @property
    def name(self) -> str:
        """What it is called in the log."""

    def do(self) -> Any:
        """Do it."""

    def rollback(self) -> None:
        """Undo it, after it was done."""

    def cleanup(self) -> None:
        """Let go of what it holds, after it was begun."""


#: Told each change of a set: `observe("pre", ActionSetState.RUNNING)`.
Observer = Callable[[str, ActionSetState], None]


@dataclass(slots=True)
class ActionSequence:
    """The pre actions, the main work, or the post actions of an attempt."""

    kind: str
    works: Sequence[Compensable]
    observe: Observer
    state: ActionSetState = field(default=ActionSetState.PENDING)

    def become(self, state: ActionSetState) -> None:
        """Change the state, and tell it."""
        self.state = check_action_set_transition(self.state, state)
        self.observe(self.kind, state)


def run_with_rollback(
    sets: Sequence[ActionSequence], log: logging.Logger, limit: AbstractContextManager[object]
) -> dict[str, Any]:
    """Run sets of actions one after another and return what the last work of each returned.

    When a work fails, nothing after it is done, and what was done is rolled back in reverse order; a rollback that
    fails is logged and noted on the exception, and the others are still tried. Everything that was begun is cleaned
    up, in reverse order, whatever happens. A work that raises `TaskSkipped` ends the attempt without a way back.

    Args:
        sets: In order.
        log: Where failures of rollbacks and cleanups go.
        limit: Entered for the time of the work, not for the way back.
    """
    begun: list[Compensable] = []
    done: list[Compensable] = []
    try:
        with limit:
            return {one.kind: _run(one, begun, done) for one in sets}
    except TaskSkipped:
        raise
    except BaseException as failure:
        for work in reversed(done):
            _try(work.rollback, f"rollback of {work.name!r}", log, failure)
        raise
    finally:
        for work in reversed(begun):
            _try(work.cleanup, f"cleanup of {work.name!r}", log)


def _run(one: ActionSequence, begun: list[Compensable], done: list[Compensable]) -> Any:
    one.become(ActionSetState.RUNNING)
    result = None
    try:
        for work in one.works:
            begun.append(work)
            result = work.do()
            done.append(work)
    except TaskSkipped:
        one.become(ActionSetState.COMPLETE)
        raise
    except BaseException:
        one.become(ActionSetState.FAILED)
        raise
    one.become(ActionSetState.COMPLETE)
    return result


def _try(step: Callable[[], None], what: str, log: logging.Logger, failure: BaseException | None = None) -> None:
    try:
        step()
    except Exception as error:
        log.exception("the %s failed", what)
        if failure is not None:
            failure.add_note(f"The {what} failed as well: {type(error).__name__}: {error_text(error)}")
