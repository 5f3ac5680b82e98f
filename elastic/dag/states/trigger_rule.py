"""Trigger rules: what the tasks before a task mean for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from elastic.dag.states.state import TaskState


class TriggerRule(StrEnum):
    """When a task may start, by the states of the tasks directly before it."""

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    NONE_FAILED = "none_failed"
    NONE_SKIPPED = "none_skipped"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    ALWAYS = "always"


class Decision(StrEnum):
    """What follows for the task."""

    RUN = "run"
    WAIT = "wait"
    SKIP = "skip"
    #: a task before it failed, so that it never runs
    FAIL = "fail"

    @property
    def state(self) -> TaskState | None:
        """The state that the task takes without having run, if it takes one."""
        return {Decision.SKIP: TaskState.SKIPPED, Decision.FAIL: TaskState.UPSTREAM_FAILED}.get(self)


@dataclass(frozen=True, slots=True)
class TriggerVerdict:
    """A decision and the sentence that says why."""

    decision: Decision
    reason: str


@dataclass(frozen=True, slots=True)
class _Tally:
    """Names of the tasks before a task, by how they ended."""

    succeeded: list[str]
    failed: list[str]
    skipped: list[str]
    unfinished: list[str]


def verdict_of(rule: TriggerRule, upstream_states: Mapping[str, TaskState | None]) -> TriggerVerdict:
    """Decide whether a task runs, waits, is skipped or fails, from the states of the tasks directly before it.

    Args:
        rule: The trigger rule of the task.
        upstream_states: The state of each task instance before it by name; None where it has none yet. A removed
            one counts for nothing.
    """
    if rule is TriggerRule.ALWAYS:
        return TriggerVerdict(Decision.RUN, "the task runs whatever is before it")
    tally = _tally(upstream_states)
    if not any((tally.succeeded, tally.failed, tally.skipped, tally.unfinished)):
        return TriggerVerdict(Decision.RUN, "no task is before it")
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


def _run(reason: str) -> TriggerVerdict:
    return TriggerVerdict(Decision.RUN, reason)


def _wait(names: list[str]) -> TriggerVerdict:
    return TriggerVerdict(Decision.WAIT, f"waiting for {_names(names)}")


def _skip(what: str, names: list[str]) -> TriggerVerdict:
    return TriggerVerdict(Decision.SKIP, f"{_names(names)} {what}" if names else what)


def _fail(names: list[str]) -> TriggerVerdict:
    return TriggerVerdict(Decision.FAIL, f"{_names(names)} failed")


def _all_success(tally: _Tally) -> TriggerVerdict:
    if tally.failed:
        return _fail(tally.failed)
    if tally.skipped:
        return _skip("skipped", tally.skipped)
    return _wait(tally.unfinished) if tally.unfinished else _run("every task before it succeeded")


def _all_failed(tally: _Tally) -> TriggerVerdict:
    if tally.succeeded:
        return _skip("succeeded, and all should fail", tally.succeeded)
    if tally.skipped:
        return _skip("skipped, and all should fail", tally.skipped)
    return _wait(tally.unfinished) if tally.unfinished else _run("every task before it failed")


def _all_done(tally: _Tally) -> TriggerVerdict:
    return _wait(tally.unfinished) if tally.unfinished else _run("every task before it is done")


def _one_success(tally: _Tally) -> TriggerVerdict:
    if tally.succeeded:
        return _run(f"{_names(tally.succeeded[:1])} succeeded")
    if tally.unfinished:
        return _wait(tally.unfinished)
    return _fail(tally.failed) if tally.failed else _skip("no task before it succeeded", [])


def _one_failed(tally: _Tally) -> TriggerVerdict:
    if tally.failed:
        return _run(f"{_names(tally.failed[:1])} failed")
    return _wait(tally.unfinished) if tally.unfinished else _skip("no task before it failed", [])


def _none_failed(tally: _Tally) -> TriggerVerdict:
    if tally.failed:
        return _fail(tally.failed)
    return _wait(tally.unfinished) if tally.unfinished else _run("no task before it failed")


def _none_skipped(tally: _Tally) -> TriggerVerdict:
    if tally.skipped:
        return _skip("skipped", tally.skipped)
    return _wait(tally.unfinished) if tally.unfinished else _run("no task before it was skipped")


def _none_failed_min_one_success(tally: _Tally) -> TriggerVerdict:
    if tally.failed:
        return _fail(tally.failed)
    if tally.unfinished:
        return _wait(tally.unfinished)
    if tally.succeeded:
        return _run("no task before it failed, and one succeeded")
    return _skip("no task before it succeeded", [])


_RULES: dict[TriggerRule, Callable[[_Tally], TriggerVerdict]] = {
    TriggerRule.ALL_SUCCESS: _all_success,
    TriggerRule.ALL_FAILED: _all_failed,
    TriggerRule.ALL_DONE: _all_done,
    TriggerRule.ONE_SUCCESS: _one_success,
    TriggerRule.ONE_FAILED: _one_failed,
    TriggerRule.NONE_FAILED: _none_failed,
    TriggerRule.NONE_SKIPPED: _none_skipped,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: _none_failed_min_one_success,
}
