"""Decisions about task instances and runs, as pure functions."""

from collections.abc import Iterable, Sequence

from elastic.dag.states.state import RunState, TaskState
from elastic.dag.states.verdict import Decision, Verdict
from elastic.scheduler.decisions.conditions import CONDITIONS, Condition, NotDone
from elastic.scheduler.decisions.inputs import DecisionInput

#: The verdict on an instance that meets all conditions.
_RUN = Verdict("conditions", Decision.RUN, "all conditions are met")


def verdicts(inputs: DecisionInput, conditions: Sequence[Condition] = CONDITIONS) -> list[Verdict]:
    """Return the verdict of each condition."""
    return [condition.judge(inputs) for condition in conditions]


def decide(inputs: DecisionInput, conditions: Sequence[Condition] = CONDITIONS) -> Verdict:
    """Return the verdict that decides about a task instance.

    An instance that is done or active waits. Otherwise skipping and failing take precedence over waiting, and the
    first condition that is not met gives the reason.
    """
    waiting: Verdict | None = None
    for condition in conditions:
        verdict = condition.judge(inputs)
        if verdict.met:
            continue
        if isinstance(condition, NotDone) or verdict.decision is not Decision.WAIT:
            return verdict
        waiting = waiting or verdict
    return waiting or _RUN


def run_end(states: Iterable[TaskState | None], leaves: Iterable[TaskState | None]) -> RunState | None:
    """Return the final state of a run, or None while it is active.

    The leaves decide: a failure upstream of a leaf that succeeded does not fail the run.

    Args:
        states: States of all instances.
        leaves: States of the instances without downstream tasks.
    """
    if any(state is None or not state.is_final for state in states):
        return None
    return RunState.FAILED if any(state is not None and state.is_failure for state in leaves) else RunState.SUCCESS
