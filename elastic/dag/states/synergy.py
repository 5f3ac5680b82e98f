"""Synergy's names of states: what they are here, and which may follow which."""

from enum import StrEnum

from elastic.dag.errors import TransitionError
from elastic.dag.states.state import RunState, TaskState


class FlowState(StrEnum):
    """States of Synergy's flows and steps. Only a step can be canceled."""

    EMBRYO = "embryo"
    IN_PROGRESS = "in_progress"
    PROCESSED = "processed"
    #: it was processed, and there was nothing to do
    NOOP = "noop"
    INVALID = "invalid"
    CANCELED = "canceled"


class ActionSetState(StrEnum):
    """How far the pre actions, the main work or the post actions of an attempt are."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


_FLOW = {
    FlowState.EMBRYO: {FlowState.IN_PROGRESS, FlowState.NOOP, FlowState.INVALID, FlowState.CANCELED},
    FlowState.IN_PROGRESS: {FlowState.PROCESSED, FlowState.NOOP, FlowState.INVALID, FlowState.CANCELED},
    # a run that ended may be recovered, run again, or run again from a step
    FlowState.PROCESSED: {FlowState.EMBRYO, FlowState.IN_PROGRESS},
    FlowState.NOOP: {FlowState.EMBRYO, FlowState.IN_PROGRESS},
    FlowState.INVALID: {FlowState.EMBRYO, FlowState.IN_PROGRESS},
    FlowState.CANCELED: {FlowState.EMBRYO, FlowState.IN_PROGRESS},
}

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
    """Return what Synergy calls the state of a task or of a run.

    Args:
        state: None where there is no state yet.
        did_work: False for a success in which nothing was done: no step ran, or the step was to be skipped.
    """
    found = _RUNS[state] if isinstance(state, RunState) else _TASKS[state]
    return FlowState.NOOP if found is FlowState.PROCESSED and not did_work else found


def check_flow_transition(old: FlowState, new: FlowState) -> FlowState:
    """Return the new state of a flow or step.

    Raises:
        TransitionError: It cannot follow the old one.
    """
    if new not in _FLOW[old]:
        raise TransitionError("flow or step", old, new)
    return new


def check_action_set_transition(old: ActionSetState, new: ActionSetState) -> ActionSetState:
    """Return the new state of a set of actions.

    Raises:
        TransitionError: It cannot follow the old one.
    """
    if new not in _ACTION_SET[old]:
        raise TransitionError("set of actions", old, new)
    return new
