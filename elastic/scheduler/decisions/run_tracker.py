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

    Tell it what a database has with `load`, which runs have begun with `begin`, and every change of a state with
    `note`; ask it with `look` what may follow. It looks only at instances that a change may have touched, so that a
    look costs no more in a great DAG than in a small one.

    Args:
        runs: In the order in which they are to run.
        tasks: In the order of the DAG.
        allowances: What need not be so.
    """

    def __init__(self, runs: Sequence[RunSpec], tasks: Sequence[TaskSpec], allowances: Overrides) -> None:
        self.boards = {run.run_id: RunStates(run, tasks) for run in runs}
        self.allowances = allowances
        self._next = {run.previous: run.run_id for run in runs if run.previous in self.boards}
        self._begun: set[str] = set()
        self._pending = _Pending()
        self._ready: dict[TaskKey, RunnableTask] = {}
        self._expandable: dict[TaskKey, None] = {}

    def begin(self, run_id: str) -> None:
        """Let the instances of a run be decided about."""
        self._begun.add(run_id)
        board = self.boards[run_id]
        for key in board.states:
            self._touch(key)

    def has_begun(self, run_id: str) -> bool:
        """Say whether `begin` was called for a run."""
        return run_id in self._begun

    def load(
        self, run_id: str, found: Mapping[TaskKey, TaskState | None], retry_at: Mapping[TaskKey, datetime]
    ) -> list[TaskKey]:
        """Take over what a database has of a run; return what differs from what was known."""
        board = self.boards[run_id]
        changed = board.load(found, retry_at)
        for key in changed:
            self._spread(board, key)
        for key in list(self._ready):
            if key.run_id == run_id and key not in board.states:
                del self._ready[key]
        return changed

    def note(self, key: TaskKey, state: TaskState | None, retry_at: datetime | None = None) -> None:
        """Take note of a state."""
        board = self.boards[key.run_id]
        if key not in board.states:
            return
        board.change(key, state, retry_at)
        self._spread(board, key)

    def expand(self, key: TaskKey, count: int) -> list[TaskKey]:
        """Say how many copies a mapped task has; at least one."""
        board = self.boards[key.run_id]
        keys = board.expand(key.task_id, range(count))
        for one in keys:
            self._touch(one)
        return keys

    def look(self, now: datetime) -> Changes:
        """Return what may follow now. What is ready is named again until a state of it is noted."""
        pending = self._pending
        for key in [key for key, at in pending.later.items() if at <= now]:
            del pending.later[key]
            pending.now[key] = None
        settled = []
        touched, pending.now = pending.now, {}
        for key in touched:
            board = self.boards[key.run_id]
            if key not in board.states or key.run_id not in self._begun:
                continue
            answer = self.answer(key, now)
            state = answer.decision.state
            if state is not None:
                settled.append((key, state, answer.reason))
            elif answer.decision is Decision.RUN:
                self._admit(board, key, settled)
            elif wake := self._wake(board, key, now):
                pending.later[key] = wake
        expandable, self._expandable = tuple(self._expandable), {}
        return Changes(ready=tuple(self._ready.values()), settled=tuple(settled), expandable=expandable)

    def answer(self, key: TaskKey, now: datetime) -> Verdict:
        """Return what is to become of an instance, and why."""
        return decide(self.question(key, now))

    def question(self, key: TaskKey, now: datetime) -> DecisionInput:
        """Return all that is known for a decision about an instance."""
        board = self.boards[key.run_id]
        task = board.tasks[key.task_id]
        return DecisionInput(
            key=key,
            task=task,
            state=board.states[key],
            logical_date=board.facts.logical_date,
            interval_end=board.facts.interval_end,
            now=now,
            upstream=board.upstream_of(task),
            past=self._past(board, task) if task.depends_on_past else None,
            next_retry_at=board.retry_at.get(key),
            allowances=self.allowances,
        )

    def wakes_at(self) -> datetime | None:
        """Return when there is something to look at, though no state changes before."""
        return min(self._pending.later.values(), default=None)

    def end_of(self, run_id: str) -> RunState | None:
        """Return how a run ended, None while it goes on."""
        return self.boards[run_id].end

    def states(self) -> dict[TaskKey, TaskState | None]:
        """Return the states of all instances."""
        return {key: state for board in self.boards.values() for key, state in board.states.items()}

    def _admit(self, board: RunStates, key: TaskKey, settled: list[tuple[TaskKey, TaskState, str]]) -> None:
        task = board.tasks[key.task_id]
        if not task.is_mapped or key.map_index >= 0:
            self._ready[key] = RunnableTask(key, task, board.facts.logical_date, board.position[key.task_id])
        elif task.copies == 0:
            settled.append((key, TaskState.SKIPPED, "it is mapped over nothing"))
        else:
            self._expandable[key] = None

    def _spread(self, board: RunStates, key: TaskKey) -> None:
        """Have everything looked at that the state of an instance may touch."""
        self._touch(key)
        for one in board.moved_by(key):
            self._touch(one)
        after = self.boards.get(self._next.get(key.run_id, ""))
        if after is not None:
            task = board.tasks[key.task_id]
            for task_id in (key.task_id, *task.upstream):
                if task_id in after.tasks and after.tasks[task_id].depends_on_past:
                    for one in after.keys_of(task_id):
                        self._touch(one)

    def _touch(self, key: TaskKey) -> None:
        self._ready.pop(key, None)
        self._pending.later.pop(key, None)
        self._pending.now[key] = None

    def _wake(self, board: RunStates, key: TaskKey, now: datetime) -> datetime | None:
        state = board.states[key]
        if state is not None and state not in (TaskState.SCHEDULED, TaskState.UP_FOR_RETRY):
            return None
        times = [board.facts.interval_end, board.retry_at.get(key)]
        return min((at for at in times if at is not None and at > now), default=None)

    def _past(self, board: RunStates, task: TaskSpec) -> PreviousRun | None:
        before = self.boards.get(board.facts.previous or "")
        if before is not None:
            return before.past_for(task) if task.task_id in before.tasks else None
        return (board.facts.past or {}).get(task.task_id)
