"""Runs the pre actions, main work and post actions of an attempt, with compensation after a failure (a saga)."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from elastic.core.text import error_text
from elastic.dag.errors import TaskDeferred, TaskSkipped
from elastic.dag.states.synergy import ActionSetState, check_action_set_transition


class Compensable(Protocol):
    """Unit of work that can be undone: an action with its context, or the main work of a task."""

    @property
    def name(self) -> str:
        """Name in the log."""

    def do(self) -> Any:
        """Do the work."""

    def rollback(self) -> None:
        """Undo the work after it was done."""

    def cleanup(self) -> None:
        """Release resources after the work was started."""


#: Called for each state change of a sequence, as `on_state_change("pre", ActionSetState.RUNNING)`.
StateChangeCallback = Callable[[str, ActionSetState], None]


@dataclass(slots=True)
class ActionSequence:
    """The pre actions, the main work, or the post actions of an attempt, with their state."""

    #: `pre`, `main` or `post`
    kind: str
    works: Sequence[Compensable]
    on_state_change: StateChangeCallback
    state: ActionSetState = field(default=ActionSetState.PENDING)

    def set_state(self, state: ActionSetState) -> None:
        """Change the state, and report the change."""
        self.state = check_action_set_transition(self.state, state)
        self.on_state_change(self.kind, state)


def run_with_rollback(
    sequences: Sequence[ActionSequence], log: logging.Logger, limit: AbstractContextManager[object]
) -> dict[str, Any]:
    """Run sequences one after another, and return the last result of each by its kind.

    When a unit of work fails, later ones do not run, and finished ones are rolled back in reverse order. A failed
    rollback is logged and noted on the exception; the other rollbacks still run. All started units are cleaned up in
    reverse order in any case. A unit that raises `TaskSkipped` or `TaskDeferred` ends the sequences without a rollback.

    Args:
        sequences: The sequences, in order.
        log: Receives failures of rollbacks and cleanups.
        limit: Entered while the units run, but not for rollbacks.
    """
    started: list[Compensable] = []
    done: list[Compensable] = []
    try:
        with limit:
            return {sequence.kind: _run(sequence, started, done) for sequence in sequences}
    except (TaskSkipped, TaskDeferred):
        raise
    except BaseException as failure:
        for work in reversed(done):
            _try(work.rollback, f"rollback of {work.name!r}", log, failure)
        raise
    finally:
        for work in reversed(started):
            _try(work.cleanup, f"cleanup of {work.name!r}", log)


def _run(sequence: ActionSequence, started: list[Compensable], done: list[Compensable]) -> Any:
    sequence.set_state(ActionSetState.RUNNING)
    result = None
    try:
        for work in sequence.works:
            started.append(work)
            result = work.do()
            done.append(work)
    except (TaskSkipped, TaskDeferred):
        sequence.set_state(ActionSetState.COMPLETE)
        raise
    except BaseException:
        sequence.set_state(ActionSetState.FAILED)
        raise
    sequence.set_state(ActionSetState.COMPLETE)
    return result


def _try(step: Callable[[], None], title: str, log: logging.Logger, failure: BaseException | None = None) -> None:
    try:
        step()
    except Exception as error:
        log.exception("the %s failed", title)
        if failure is not None:
            failure.add_note(f"The {title} failed as well: {type(error).__name__}: {error_text(error)}")
