"""The agenda: what is still to be done in a set of runs. It is told states, and says what may follow. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.states.verdict import Decision, Verdict
from elastic.scheduler.decisions.decide import decide
from elastic.scheduler.decisions.inputs import DecisionInput, Overrides, PreviousRun, RunnableTask, TaskSpec
from elastic.scheduler.decisions.run_states import RunSpec, RunStates, name_of

__all__ = ["RunTracker", "Changes", "RunSpec", "name_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What follows from the states as they are."""

    #: what may run, if there is room
    ready: tuple[RunnableTask, ...] = ()
    #: what takes a state without running, with the reason
    settled: tuple[tuple[TaskKey, TaskState, str], ...] = ()
    #: mapped tasks whose copies are to be counted now
    expandable: tuple[TaskKey, ...] = ()


@dataclass(slots=True)
class _Pending:
    """What is to be looked at again: now, or at some time."""

    now: dict[TaskKey, None] = field(default_factory=dict)
    later: dict[TaskKey, datetime] = field(default_factory=dict)


class RunTracker:
    """What is still to be done in runs of one DAG.

    `sync` copies states from the database, `begin` opens a run for decisions, and `set_state` records a change.
    `next_changes` returns the consequences. It examines only instances that a change may affect, so its cost does not
    grow with the size of the DAG.

    Args:
        runs: In the order in which they are to run.
        tasks: In the order of the DAG.
        allowances: What need not be so.
    """

    def __init__(self, runs: Sequence[RunSpec], tasks: Sequence[TaskSpec], allowances: Overrides) -> None:
        self.run_states = {run.run_id: RunStates(run, tasks) for run in runs}
        self.allowances = allowances
        self._next = {run.previous: run.run_id for run in runs if run.previous in self.run_states}
        self._begun: set[str] = set()
        self._pending = _Pending()
        self._ready: dict[TaskKey, RunnableTask] = {}
        self._expandable: dict[TaskKey, None] = {}

    def begin(self, run_id: str) -> None:
        """Let the instances of a run be decided about."""
        self._begun.add(run_id)
        run_states = self.run_states[run_id]
        for key in run_states.states:
            self._touch(key)

    def has_begun(self, run_id: str) -> bool:
        """Say whether `begin` was called for a run."""
        return run_id in self._begun

    def sync(
        self, run_id: str, found: Mapping[TaskKey, TaskState | None], retry_at: Mapping[TaskKey, datetime]
    ) -> list[TaskKey]:
        """Take over what a database has of a run; return what differs from what was known."""
        run_states = self.run_states[run_id]
        changed = run_states.sync(found, retry_at)
        for key in changed:
            self._spread(run_states, key)
        for key in list(self._ready):
            if key.run_id == run_id and key not in run_states.states:
                del self._ready[key]
        return changed

    def set_state(self, key: TaskKey, state: TaskState | None, retry_at: datetime | None = None) -> None:
        """Take note of a state."""
        run_states = self.run_states[key.run_id]
        if key not in run_states.states:
            return
        run_states.change(key, state, retry_at)
        self._spread(run_states, key)

    def expand(self, key: TaskKey, count: int) -> list[TaskKey]:
        """Say how many copies a mapped task has; at least one."""
        run_states = self.run_states[key.run_id]
        keys = run_states.expand(key.task_id, range(count))
        for one in keys:
            self._touch(one)
        return keys

    def next_changes(self, now: datetime) -> Changes:
        """Return what may follow now. What is ready is named again until a state of it is noted."""
        pending = self._pending
        for key in [key for key, at in pending.later.items() if at <= now]:
            del pending.later[key]
            pending.now[key] = None
        settled = []
        touched, pending.now = pending.now, {}
        for key in touched:
            run_states = self.run_states[key.run_id]
            if key not in run_states.states or key.run_id not in self._begun:
                continue
            answer = self.answer(key, now)
            state = answer.decision.state
            if state is not None:
                settled.append((key, state, answer.reason))
            elif answer.decision is Decision.RUN:
                self._admit(run_states, key, settled)
            elif wake := self._wake(run_states, key, now):
                pending.later[key] = wake
        expandable, self._expandable = tuple(self._expandable), {}
        return Changes(ready=tuple(self._ready.values()), settled=tuple(settled), expandable=expandable)

    def answer(self, key: TaskKey, now: datetime) -> Verdict:
        """Return what is to become of an instance, and why."""
        return decide(self.question(key, now))

    def question(self, key: TaskKey, now: datetime) -> DecisionInput:
        """Return all that is known for a decision about an instance."""
        run_states = self.run_states[key.run_id]
        task = run_states.tasks[key.task_id]
        return DecisionInput(
            key=key,
            task=task,
            state=run_states.states[key],
            logical_date=run_states.facts.logical_date,
            interval_end=run_states.facts.interval_end,
            now=now,
            upstream=run_states.upstream_of(task),
            past=self._past(run_states, task) if task.depends_on_past else None,
            next_retry_at=run_states.retry_at.get(key),
            allowances=self.allowances,
        )

    def wakes_at(self) -> datetime | None:
        """Return when there is something to look at, though no state changes before."""
        return min(self._pending.later.values(), default=None)

    def end_of(self, run_id: str) -> RunState | None:
        """Return how a run ended, None while it goes on."""
        return self.run_states[run_id].end

    def states(self) -> dict[TaskKey, TaskState | None]:
        """Return the states of all instances."""
        return {key: state for run_states in self.run_states.values() for key, state in run_states.states.items()}

    def _admit(self, run_states: RunStates, key: TaskKey, settled: list[tuple[TaskKey, TaskState, str]]) -> None:
        task = run_states.tasks[key.task_id]
        if not task.is_mapped or key.map_index >= 0:
            self._ready[key] = RunnableTask(key, task, run_states.facts.logical_date, run_states.position[key.task_id])
        elif task.copies == 0:
            settled.append((key, TaskState.SKIPPED, "it is mapped over nothing"))
        else:
            self._expandable[key] = None

    def _spread(self, run_states: RunStates, key: TaskKey) -> None:
        """Have everything looked at that the state of an instance may touch."""
        self._touch(key)
        for one in run_states.affected_by(key):
            self._touch(one)
        after = self.run_states.get(self._next.get(key.run_id, ""))
        if after is not None:
            task = run_states.tasks[key.task_id]
            for task_id in (key.task_id, *task.upstream):
                if task_id in after.tasks and after.tasks[task_id].depends_on_past:
                    for one in after.keys_of(task_id):
                        self._touch(one)

    def _touch(self, key: TaskKey) -> None:
        self._ready.pop(key, None)
        self._pending.later.pop(key, None)
        self._pending.now[key] = None

    def _wake(self, run_states: RunStates, key: TaskKey, now: datetime) -> datetime | None:
        state = run_states.states[key]
        if state is not None and state not in (TaskState.SCHEDULED, TaskState.UP_FOR_RETRY):
            return None
        times = [run_states.facts.interval_end, run_states.retry_at.get(key)]
        return min((at for at in times if at is not None and at > now), default=None)

    def _past(self, run_states: RunStates, task: TaskSpec) -> PreviousRun | None:
        before = self.run_states.get(run_states.facts.previous or "")
        if before is not None:
            return before.previous_run_for(task) if task.task_id in before.tasks else None
        return (run_states.facts.past or {}).get(task.task_id)
