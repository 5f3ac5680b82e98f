"""The states of all task instances of one run, and what a change of one means for others. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.states.trigger_rule import TriggerRule
from elastic.scheduler.decisions.decide import run_end
from elastic.scheduler.decisions.inputs import PreviousRun, TaskSpec

#: Rules that may decide before all tasks before it have ended well.
_EARLY = (TriggerRule.ONE_SUCCESS, TriggerRule.ONE_FAILED, TriggerRule.ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """A run as decisions see it."""

    dag_id: str
    run_id: str
    logical_date: datetime
    interval_end: datetime
    #: the run before, if decisions are made about that one too
    previous: str | None = None
    #: how the run before stands, if no decisions are made about it; by task
    past: Mapping[str, PreviousRun] | None = None


class RunStates:
    """One run: instances by task, each with its state.

    Args:
        facts: Of the run.
        tasks: In the order of the DAG.
    """

    def __init__(self, facts: RunSpec, tasks: Sequence[TaskSpec]) -> None:
        self.facts = facts
        self.tasks = _present(tasks, facts.logical_date)
        self.position = {task_id: number for number, task_id in enumerate(self.tasks)}
        self.states: dict[TaskKey, TaskState | None] = {}
        self.retry_at: dict[TaskKey, datetime] = {}
        self._keys: dict[str, list[TaskKey]] = {}
        #: instances of each task that have not ended; tasks directly before each with such instances
        self._open: dict[str, int] = {}
        self._waits: dict[str, int] = {}
        for task in self.tasks.values():
            self._place(task.task_id, range(task.copies) if task.copies else [-1])
        for task in self.tasks.values():
            self._waits[task.task_id] = sum(1 for one in task.upstream if self._open[one])

    def keys_of(self, task_id: str) -> list[TaskKey]:
        """Return the instances of a task."""
        return self._keys[task_id]

    def sync(self, found: Mapping[TaskKey, TaskState | None], retry_at: Mapping[TaskKey, datetime]) -> list[TaskKey]:
        """Take over what a database has, and return the instances that differ from what was known."""
        by_task: dict[str, list[int]] = {}
        for key, state in found.items():
            if key.task_id in self.tasks and state is not TaskState.REMOVED:
                by_task.setdefault(key.task_id, []).append(key.map_index)
        changed = []
        for task_id, indexes in by_task.items():
            known = {key.map_index for key in self._keys[task_id]}
            if known != set(indexes) and (known == {-1} or -1 not in indexes):
                self.expand(task_id, sorted(indexes))
            for key in self._keys[task_id]:
                if self.states[key] is not found.get(key) or self.retry_at.get(key) != retry_at.get(key):
                    self.change(key, found.get(key), retry_at.get(key))
                    changed.append(key)
        return changed

    def expand(self, task_id: str, indexes: Iterable[int]) -> list[TaskKey]:
        """Put other instances of a mapped task in place of those that are there, and return them."""
        before = self._open[task_id] > 0
        for key in self._keys[task_id]:
            del self.states[key]
            self.retry_at.pop(key, None)
        keys = self._place(task_id, indexes)
        self._passed_on(task_id, before=before)
        return keys

    def change(self, key: TaskKey, state: TaskState | None, retry_at: datetime | None = None) -> None:
        """Note a state."""
        before = self._open[key.task_id] > 0
        self._count(key.task_id, self.states[key], -1)
        self.states[key] = state
        self._count(key.task_id, state, 1)
        if retry_at is None:
            self.retry_at.pop(key, None)
        else:
            self.retry_at[key] = retry_at
        self._passed_on(key.task_id, before=before)

    def affected_by(self, key: TaskKey) -> list[TaskKey]:
        """Return the instances directly after one about which its present state may decide something."""
        state = self.states[key]
        is_plain = state is TaskState.SUCCESS or (state is not None and not state.is_final)
        found = []
        for task_id in self.tasks[key.task_id].downstream:
            rule = self.tasks[task_id].trigger_rule
            if not self._waits[task_id] or rule in _EARLY or not is_plain:
                found += self._keys[task_id]
        return found

    def upstream_of(self, task: TaskSpec) -> dict[str, TaskState | None]:
        """Return the state of each instance directly before a task, by name."""
        return {name_of(key): self.states[key] for task_id in task.upstream for key in self._keys.get(task_id, ())}

    def previous_run_for(self, task: TaskSpec) -> PreviousRun:
        """Return how this run stands, for the same task in the run after it."""
        after = {name_of(key): self.states[key] for one in task.downstream for key in self._keys[one]}
        states = tuple(self.states[key] for key in self._keys[task.task_id])
        return PreviousRun(logical_date=self.facts.logical_date, states=states, downstream=after)

    @property
    def end(self) -> RunState | None:
        """How the run ended, None while it goes on."""
        if any(self._open.values()):
            return None
        leaves = [
            self.states[key] for task in self.tasks.values() if not task.downstream for key in self._keys[task.task_id]
        ]
        return run_end(self.states.values(), leaves)

    def _place(self, task_id: str, indexes: Iterable[int]) -> list[TaskKey]:
        keys = [TaskKey(self.facts.dag_id, self.facts.run_id, task_id, index) for index in indexes]
        self._keys[task_id] = keys
        self._open[task_id] = len(keys)
        self.states.update(dict.fromkeys(keys))
        return keys

    def _count(self, task_id: str, state: TaskState | None, by: int) -> None:
        if state is None or not state.is_final:
            self._open[task_id] += by

    def _passed_on(self, task_id: str, *, before: bool) -> None:
        """Tell the tasks directly after one when the last of its instances ended, or the first one is open again."""
        now = self._open[task_id] > 0
        if before is now:
            return
        for one in self.tasks[task_id].downstream:
            self._waits[one] += 1 if now else -1


def _present(tasks: Sequence[TaskSpec], date: datetime) -> dict[str, TaskSpec]:
    """Return the tasks that are there on a date, linked among themselves."""
    there = {task.task_id for task in tasks if (task.start_date or date) <= date <= (task.end_date or date)}
    if len(there) == len(tasks):
        return {task.task_id: task for task in tasks}
    return {
        task.task_id: replace(
            task,
            upstream=tuple(one for one in task.upstream if one in there),
            downstream=tuple(one for one in task.downstream if one in there),
        )
        for task in tasks
        if task.task_id in there
    }


def name_of(key: TaskKey) -> str:
    """Return what an instance is called within its run: `sync`, `load[3]`."""
    return key.task_id if key.map_index < 0 else f"{key.task_id}[{key.map_index}]"
