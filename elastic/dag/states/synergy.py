"""Synergy's names of states, and their allowed transitions."""

from enum import StrEnum

from elastic.dag.errors import TransitionError
from elastic.dag.states.state import RunState, TaskState


class FlowState(StrEnum):
    """State of a flow or step in Synergy. Only a step can be canceled."""

    EMBRYO = "embryo"
    IN_PROGRESS = "in_progress"
    PROCESSED = "processed"
    #: processed without any work
    NOOP = "noop"
    INVALID = "invalid"
    CANCELED = "canceled"


class ActionSetState(StrEnum):
    """State of the pre actions, the main work or the post actions of an attempt."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


_ACTION_SET = {
    ActionSetState.PENDING: {ActionSetState.RUNNING},
    ActionSetState.RUNNING: {ActionSetState.COMPLETE, ActionSetState.FAILED},
    ActionSetState.COMPLETE: set[ActionSetState](),
    ActionSetState.FAILED: set[ActionSetState](),
}

_TASKS = {
    None: FlowState.EMBRYO,
    TaskState.SCHEDULED: FlowState.EMBRYO,
    TaskState.QUEUED: FlowState.EMBRYO,
    TaskState.RUNNING: FlowState.IN_PROGRESS,
    TaskState.DEFERRED: FlowState.IN_PROGRESS,
    TaskState.UP_FOR_RESCHEDULE: FlowState.IN_PROGRESS,
    TaskState.UP_FOR_RETRY: FlowState.IN_PROGRESS,
    TaskState.SUCCESS: FlowState.PROCESSED,
    TaskState.SKIPPED: FlowState.NOOP,
    TaskState.FAILED: FlowState.INVALID,
    TaskState.UPSTREAM_FAILED: FlowState.CANCELED,
    TaskState.REMOVED: FlowState.CANCELED,
}

_RUNS = {
    None: FlowState.EMBRYO,
    RunState.QUEUED: FlowState.EMBRYO,
    RunState.RUNNING: FlowState.IN_PROGRESS,
    RunState.SUCCESS: FlowState.PROCESSED,
    RunState.FAILED: FlowState.INVALID,
}


def flow_state_of(state: TaskState | RunState | None, *, did_work: bool = True) -> FlowState:
    """Return Synergy's state for the state of a task or a run.

    Args:
        state: The state; None before the first one.
        did_work: False for a success without any work: no step ran, or the step had `skip=True`.
    """
    found = _RUNS[state] if isinstance(state, RunState) else _TASKS[state]
    return FlowState.NOOP if found is FlowState.PROCESSED and not did_work else found


def check_action_set_transition(old: ActionSetState, new: ActionSetState) -> ActionSetState:
    """Return the new state of a set of actions, if the transition is allowed.

    Raises:
        TransitionError: The transition is not allowed.
    """
    if new not in _ACTION_SET[old]:
        raise TransitionError("set of actions", old, new)
    return new
