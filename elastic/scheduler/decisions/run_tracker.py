"""Run tracker: derives the next state changes of a set of runs from the states of their instances. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.states.verdict import Decision, Verdict
from elastic.scheduler.decisions.decide import decide
from elastic.scheduler.decisions.inputs import DecisionInput, Overrides, PreviousRun, RunnableTask, TaskSpec
from elastic.scheduler.decisions.run_states import RunSpec, RunStates

__all__ = ["RunTracker", "Changes", "RunSpec"]


#: States, besides none, from which an instance may be queued.
_PENDING = (TaskState.SCHEDULED, TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """State changes that follow from the present states."""

    #: instances that may run if slots are free
    ready: tuple[RunnableTask, ...] = ()
    #: instances that take a state without running, with the state and the reason
    resolved: tuple[tuple[TaskKey, TaskState, str], ...] = ()
    #: mapped tasks to expand now
    expandable: tuple[TaskKey, ...] = ()


@dataclass(slots=True)
class _Pending:
    """Instances to evaluate: now, or at a later time."""

    now: dict[TaskKey, None] = field(default_factory=dict)
    later: dict[TaskKey, datetime] = field(default_factory=dict)


class RunTracker:
    """State machine of the runs of one DAG.

    `sync` copies states from the database, `begin` opens a run for decisions, and `set_state` records a change.
    `next_changes` returns the consequences. It examines only instances that a change may affect, so its cost does not
    grow with the size of the DAG.

    Args:
        runs: Runs in the order in which they start.
        tasks: Tasks in the order of the DAG.
        overrides: Checks that the user chose to skip.
    """

    def __init__(self, runs: Sequence[RunSpec], tasks: Sequence[TaskSpec], overrides: Overrides) -> None:
        self._tasks = tuple(tasks)
        self.run_states = {run.run_id: RunStates(run, tasks) for run in runs}
        self.overrides = overrides
        self._next = {run.previous: run.run_id for run in runs if run.previous in self.run_states}
        self._begun: set[str] = set()
        self._pending = _Pending()
        self._ready: dict[TaskKey, RunnableTask] = {}
        self._expandable: dict[TaskKey, None] = {}

    def begin(self, run_id: str) -> None:
        """Open a run, so that its instances are evaluated."""
        self._begun.add(run_id)
        run_states = self.run_states[run_id]
        for key in run_states.states:
            self._mark(key)

    def add(self, run: RunSpec) -> None:
        """Follow another run, whose previous run is not followed or is given by its states."""
        self.run_states[run.run_id] = RunStates(run, self._tasks)

    def set_previous(self, run_id: str, previous_states: Mapping[str, PreviousRun] | None) -> None:
        """Replace the states of the previous run, if they changed, and evaluate the tasks that depend on them."""
        run_states = self.run_states[run_id]
        if run_states.spec.previous_states != previous_states:
            run_states.spec = replace(run_states.spec, previous_states=previous_states)
            for task in run_states.tasks.values():
                for key in run_states.keys_of(task.task_id) if task.depends_on_past else ():
                    self._mark(key)

    def close(self, run_id: str) -> None:
        """Make no more decisions about a run, and keep its states."""
        self._begun.discard(run_id)
        for key in self.run_states[run_id].states:
            self._ready.pop(key, None)
            self._pending.now.pop(key, None)
            self._pending.later.pop(key, None)
            self._expandable.pop(key, None)

    def remove(self, run_id: str) -> None:
        """Forget a run and its states."""
        self.close(run_id)
        del self.run_states[run_id]

    def discard(self, run_id: str) -> None:
        """Forget a run if it is known."""
        if run_id in self.run_states:
            self.remove(run_id)

    def has_begun(self, run_id: str) -> bool:
        """Return whether `begin` was called for a run."""
        return run_id in self._begun

    def sync(
        self, run_id: str, found: Mapping[TaskKey, TaskState | None], retry_at: Mapping[TaskKey, datetime]
    ) -> list[TaskKey]:
        """Copy the states of a run from the database; return the instances that changed."""
        run_states = self.run_states[run_id]
        changed = run_states.sync(found, retry_at)
        for key in changed:
            self._mark_affected(run_states, key)
        for key in list(self._ready):
            if key.run_id == run_id and key not in run_states.states:
                del self._ready[key]
        return changed

    def set_state(self, key: TaskKey, state: TaskState | None, retry_at: datetime | None = None) -> None:
        """Record the state of an instance."""
        run_states = self.run_states[key.run_id]
        if key not in run_states.states:
            return
        run_states.set_state(key, state, retry_at)
        self._mark_affected(run_states, key)

    def expand(self, key: TaskKey, count: int) -> list[TaskKey]:
        """Replace a mapped task by `count` instances, at least one; return them."""
        run_states = self.run_states[key.run_id]
        keys = run_states.expand(key.task_id, range(count))
        for one in keys:
            self._mark(one)
        return keys

    def next_changes(self, now: datetime) -> Changes:
        """Return the state changes that may follow now. A ready instance is returned until its state changes."""
        pending = self._pending
        for key in [key for key, at in pending.later.items() if at <= now]:
            del pending.later[key]
            pending.now[key] = None
        resolved = []
        marked, pending.now = pending.now, {}
        for key in marked:
            run_states = self.run_states[key.run_id]
            if key not in run_states.states or key.run_id not in self._begun:
                continue
            verdict = self.verdict(key, now)
            state = verdict.decision.state
            if state is not None:
                resolved.append((key, state, verdict.reason))
            elif verdict.decision is Decision.RUN:
                self._resolve(run_states, key, resolved)
            elif wake := self._wake_time(run_states, key, now):
                pending.later[key] = wake
        expandable, self._expandable = tuple(self._expandable), {}
        return Changes(ready=tuple(self._ready.values()), resolved=tuple(resolved), expandable=expandable)

    def verdict(self, key: TaskKey, now: datetime) -> Verdict:
        """Return the verdict that decides about an instance."""
        return decide(self.decision_input(key, now))

    def decision_input(self, key: TaskKey, now: datetime) -> DecisionInput:
        """Return the input of a decision about an instance."""
        run_states = self.run_states[key.run_id]
        task = run_states.tasks[key.task_id]
        return DecisionInput(
            key=key,
            task=task,
            state=run_states.states[key],
            logical_date=run_states.spec.logical_date,
            interval_end=run_states.spec.interval_end,
            now=now,
            upstream=run_states.upstream_of(task),
            previous_run=self._previous_run(run_states, task) if task.depends_on_past else None,
            next_retry_at=run_states.retry_at.get(key),
            overrides=self.overrides,
        )

    def wakes_at(self) -> datetime | None:
        """Return the time of the next evaluation that no state change triggers; None if there is none."""
        return min(self._pending.later.values(), default=None)

    def end_of(self, run_id: str) -> RunState | None:
        """Return the final state of a run, or None while it is active."""
        return self.run_states[run_id].end

    def states(self) -> dict[TaskKey, TaskState | None]:
        """Return the states of all instances of all runs."""
        return {key: state for run_states in self.run_states.values() for key, state in run_states.states.items()}

    def _resolve(self, run_states: RunStates, key: TaskKey, resolved: list[tuple[TaskKey, TaskState, str]]) -> None:
        task = run_states.tasks[key.task_id]
        if not task.is_mapped or key.map_index >= 0:
            self._ready[key] = RunnableTask(
                key,
                task,
                run_states.spec.logical_date,
                run_states.position[key.task_id],
                continues=run_states.states[key] is TaskState.UP_FOR_RESCHEDULE,
            )
        elif task.copies == 0:
            resolved.append((key, TaskState.SKIPPED, "it is mapped over nothing"))
        else:
            self._expandable[key] = None

    def _mark_affected(self, run_states: RunStates, key: TaskKey) -> None:
        """Mark all instances for evaluation that the state of an instance may affect."""
        self._mark(key)
        for one in run_states.affected_by(key):
            self._mark(one)
        after = self.run_states.get(self._next.get(key.run_id, ""))
        if after is not None:
            task = run_states.tasks[key.task_id]
            for task_id in (key.task_id, *task.upstream):
                if task_id in after.tasks and after.tasks[task_id].depends_on_past:
                    for one in after.keys_of(task_id):
                        self._mark(one)

    def _mark(self, key: TaskKey) -> None:
        self._ready.pop(key, None)
        self._pending.later.pop(key, None)
        self._pending.now[key] = None

    def _wake_time(self, run_states: RunStates, key: TaskKey, now: datetime) -> datetime | None:
        state = run_states.states[key]
        if state is not None and state not in _PENDING:
            return None
        times = [run_states.spec.interval_end, run_states.retry_at.get(key)]
        return min((at for at in times if at is not None and at > now), default=None)

    def _previous_run(self, run_states: RunStates, task: TaskSpec) -> PreviousRun | None:
        before = self.run_states.get(run_states.spec.previous or "")
        if before is not None:
            return before.previous_run_for(task) if task.task_id in before.tasks else None
        return (run_states.spec.previous_states or {}).get(task.task_id)
