"""Conditions: one small class for each reason why a task instance may not run now."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

from elastic.dag.states.state import TaskState
from elastic.dag.states.trigger_rule import CONDITION, evaluate_trigger_rule
from elastic.dag.states.verdict import Decision, Verdict
from elastic.scheduler.decisions.inputs import DecisionInput


class Condition(ABC):
    """Condition that a task instance must meet to run. It is a pure function that always gives a reason."""

    #: name of the condition in its verdicts
    name: ClassVar[str]

    @abstractmethod
    def judge(self, inputs: DecisionInput) -> Verdict:
        """Return whether the condition is met, and why."""

    def met(self, reason: str) -> Verdict:
        """Return the verdict that the condition is met."""
        return Verdict(self.name, Decision.RUN, reason)

    def unmet(self, reason: str, decision: Decision = Decision.WAIT) -> Verdict:
        """Return the verdict that the condition is not met, with the decision that follows."""
        return Verdict(self.name, decision, reason)


class NotDone(Condition):
    """The instance is neither finished nor active."""

    name = "state"

    def judge(self, inputs: DecisionInput) -> Verdict:
        state = inputs.state
        if state is None or state in (TaskState.SCHEDULED, TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE):
            return self.met("it is not done yet")
        if state is TaskState.DEFERRED:
            return self.unmet("it is deferred; a triggerer checks what it waits for")
        if state.is_active:
            return self.unmet(f"it is {state} already")
        if inputs.overrides.force:
            return self.met(f"it is {state}, and --force runs it again")
        if state is TaskState.SUCCESS:
            return self.unmet("it previously succeeded; --force runs it again")
        return self.unmet(f"it is {state}; clear it to run it again")


class InDates(Condition):
    """The logical date is between the start and the end of the task."""

    name = "dates"

    def judge(self, inputs: DecisionInput) -> Verdict:
        task, date = inputs.task, inputs.logical_date
        if task.start_date is not None and date < task.start_date:
            return self.unmet(f"the task starts on {task.start_date:%Y-%m-%d %H:%M} UTC, later than this run")
        if task.end_date is not None and date > task.end_date:
            return self.unmet(f"the task ended on {task.end_date:%Y-%m-%d %H:%M} UTC, earlier than this run")
        return self.met("its date is between the start and the end of the task")


class IntervalPassed(Condition):
    """The data interval has passed, so its data is complete."""

    name = "interval"

    def judge(self, inputs: DecisionInput) -> Verdict:
        end = inputs.interval_end
        if inputs.now >= end:
            return self.met("its interval has passed")
        if inputs.overrides.ignore_interval:
            return self.met("its interval has not passed, but that is not required")
        return self.unmet(f"its interval ends on {end:%Y-%m-%d %H:%M:%S} UTC")


class RetryDelayPassed(Condition):
    """The delay before a retry, or before the next check of a sensor, has passed."""

    name = "retry delay"

    def judge(self, inputs: DecisionInput) -> Verdict:
        is_retry = inputs.state is TaskState.UP_FOR_RETRY
        if not (is_retry or inputs.state is TaskState.UP_FOR_RESCHEDULE) or inputs.next_retry_at is None:
            return self.met("no retry is pending")
        if inputs.now >= inputs.next_retry_at:
            return self.met(f"the delay before the {'retry' if is_retry else 'next check'} is over")
        what = "is retried" if is_retry else "checks its condition again"
        return self.unmet(f"it {what} on {inputs.next_retry_at:%Y-%m-%d %H:%M:%S} UTC")


class Triggered(Condition):
    """The upstream tasks ended as the trigger rule requires."""

    name = CONDITION

    def judge(self, inputs: DecisionInput) -> Verdict:
        if inputs.overrides.ignore_dependencies:
            return self.met("upstream tasks are ignored on request")
        verdict = evaluate_trigger_rule(inputs.task.trigger_rule, inputs.upstream)
        return replace(verdict, reason=f"{verdict.reason} ({inputs.task.trigger_rule})")


class PastSucceeded(Condition):
    """The same task succeeded in the previous run, if the task depends on it."""

    name = "depends on past"

    def judge(self, inputs: DecisionInput) -> Verdict:
        previous = inputs.previous_run
        if not inputs.task.depends_on_past:
            return self.met("it does not depend on the previous run")
        if inputs.overrides.ignore_dependencies:
            return self.met("the previous run is ignored on request")
        if previous is None:
            return self.met("there is no previous run")
        before = f"on {previous.logical_date:%Y-%m-%d %H:%M} UTC"
        if previous.states and all(state is not None and state.is_success for state in previous.states):
            return self.met(f"it succeeded {before}")
        standing = next((str(state) for state in previous.states if state is None or not state.is_success), "not there")
        return self.unmet(f"it depends on its run {before}, which is {'not done' if standing == 'None' else standing}")


class DownstreamSucceeded(Condition):
    """The downstream tasks succeeded in the previous run, if the task waits for them."""

    name = "downstream of past"

    def judge(self, inputs: DecisionInput) -> Verdict:
        previous = inputs.previous_run
        if not inputs.task.wait_for_downstream or previous is None or inputs.overrides.ignore_dependencies:
            return self.met("it does not wait for downstream tasks of the previous run")
        for name, state in previous.downstream.items():
            if state is None or not state.is_success:
                return self.unmet(f"it waits for {name!r} on {previous.logical_date:%Y-%m-%d %H:%M} UTC")
        return self.met("its downstream tasks succeeded in the previous run")


#: In the order in which users see them.
CONDITIONS: tuple[Condition, ...] = (
    NotDone(),
    InDates(),
    Triggered(),
    PastSucceeded(),
    DownstreamSucceeded(),
    IntervalPassed(),
    RetryDelayPassed(),
)
