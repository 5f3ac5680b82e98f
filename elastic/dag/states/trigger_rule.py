"""Trigger rules: decide from the states of its upstream tasks whether a task may start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from elastic.dag.states.state import TaskState
from elastic.dag.states.verdict import Decision, Verdict


class TriggerRule(StrEnum):
    """When a task may start, by the states of its direct upstream tasks."""

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    NONE_FAILED = "none_failed"
    NONE_SKIPPED = "none_skipped"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    ALWAYS = "always"


#: The name of the condition that a trigger rule is.
CONDITION = "trigger rule"


@dataclass(frozen=True, slots=True)
class _Tally:
    """Names of the upstream tasks, grouped by outcome."""

    succeeded: list[str]
    failed: list[str]
    skipped: list[str]
    unfinished: list[str]


def evaluate_trigger_rule(rule: TriggerRule, upstream_states: Mapping[str, TaskState | None]) -> Verdict:
    """Decide from the states of its direct upstream tasks whether a task runs, waits, is skipped or fails.

    Args:
        rule: The trigger rule of the task.
        upstream_states: The state of each upstream task instance by name; None before it is first evaluated.
            Removed instances do not count.
    """
    if rule is TriggerRule.ALWAYS:
        return _run("the task runs regardless of its upstream tasks")
    tally = _tally(upstream_states)
    if not any((tally.succeeded, tally.failed, tally.skipped, tally.unfinished)):
        return _run("the task has no upstream tasks")
    return _RULES[rule](tally)


def _tally(states: Mapping[str, TaskState | None]) -> _Tally:
    tally = _Tally([], [], [], [])
    for name, state in states.items():
        if state is None or not state.is_final:
            tally.unfinished.append(name)
        elif state is TaskState.SUCCESS:
            tally.succeeded.append(name)
        elif state is TaskState.SKIPPED:
            tally.skipped.append(name)
        elif state.is_failure:
            tally.failed.append(name)
    return tally


def _names(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _run(reason: str) -> Verdict:
    return Verdict(CONDITION, Decision.RUN, reason)


def _wait(names: list[str]) -> Verdict:
    return Verdict(CONDITION, Decision.WAIT, f"waiting for {_names(names)}")


def _skip(reason: str) -> Verdict:
    return Verdict(CONDITION, Decision.SKIP, reason)


def _fail(names: list[str]) -> Verdict:
    return Verdict(CONDITION, Decision.FAIL, f"{_names(names)} failed")


def _all_success(tally: _Tally) -> Verdict:
    if tally.failed:
        return _fail(tally.failed)
    if tally.skipped:
        return _skip(f"{_names(tally.skipped)} skipped")
    return _wait(tally.unfinished) if tally.unfinished else _run("all upstream tasks succeeded")


def _all_failed(tally: _Tally) -> Verdict:
    if tally.succeeded:
        return _skip(f"{_names(tally.succeeded)} succeeded, but all must fail")
    if tally.skipped:
        return _skip(f"{_names(tally.skipped)} skipped, but all must fail")
    return _wait(tally.unfinished) if tally.unfinished else _run("all upstream tasks failed")


def _all_done(tally: _Tally) -> Verdict:
    return _wait(tally.unfinished) if tally.unfinished else _run("all upstream tasks are done")


def _one_success(tally: _Tally) -> Verdict:
    if tally.succeeded:
        return _run(f"{_names(tally.succeeded[:1])} succeeded")
    if tally.unfinished:
        return _wait(tally.unfinished)
    return _fail(tally.failed) if tally.failed else _skip("no upstream task succeeded")


def _one_failed(tally: _Tally) -> Verdict:
    if tally.failed:
        return _run(f"{_names(tally.failed[:1])} failed")
    return _wait(tally.unfinished) if tally.unfinished else _skip("no upstream task failed")


def _none_failed(tally: _Tally) -> Verdict:
    if tally.failed:
        return _fail(tally.failed)
    return _wait(tally.unfinished) if tally.unfinished else _run("no upstream task failed")


def _none_skipped(tally: _Tally) -> Verdict:
    if tally.skipped:
        return _skip(f"{_names(tally.skipped)} skipped")
    return _wait(tally.unfinished) if tally.unfinished else _run("no upstream task was skipped")


def _none_failed_min_one_success(tally: _Tally) -> Verdict:
    if tally.failed:
        return _fail(tally.failed)
    if tally.unfinished:
        return _wait(tally.unfinished)
    if tally.succeeded:
        return _run("no upstream task failed and at least one succeeded")
    return _skip("no upstream task succeeded")


_RULES: dict[TriggerRule, Callable[[_Tally], Verdict]] = {
    TriggerRule.ALL_SUCCESS: _all_success,
    TriggerRule.ALL_FAILED: _all_failed,
    TriggerRule.ALL_DONE: _all_done,
    TriggerRule.ONE_SUCCESS: _one_success,
    TriggerRule.ONE_FAILED: _one_failed,
    TriggerRule.NONE_FAILED: _none_failed,
    TriggerRule.NONE_SKIPPED: _none_skipped,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: _none_failed_min_one_success,
}
