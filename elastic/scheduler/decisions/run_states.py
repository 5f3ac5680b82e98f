"""States of all task instances of one run, and the instances that a change of one affects. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.states.trigger_rule import TriggerRule
from elastic.scheduler.decisions.decide import run_end
from elastic.scheduler.decisions.inputs import PreviousRun, TaskSpec

#: Rules that may decide before all upstream tasks have succeeded.
_EARLY = (TriggerRule.ONE_SUCCESS, TriggerRule.ONE_FAILED, TriggerRule.ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """Run as the input of decisions."""

    dag_id: str
    run_id: str
    logical_date: datetime
    interval_end: datetime
    #: id of the previous run, if the tracker follows it too
    previous: str | None = None
    #: states of the previous run by task, if the tracker does not follow it
    previous_states: Mapping[str, PreviousRun] | None = None


class RunStates:
    """States of the instances of one run.

    Args:
        spec: The run.
        tasks: Tasks in the order of the DAG.
    """

    def __init__(self, spec: RunSpec, tasks: Sequence[TaskSpec]) -> None:
        self.spec = spec
        self.tasks = _tasks_on(tasks, spec.logical_date)
        self.position = {task_id: number for number, task_id in enumerate(self.tasks)}
        self.states: dict[TaskKey, TaskState | None] = {}
        self.retry_at: dict[TaskKey, datetime] = {}
        self._keys: dict[str, list[TaskKey]] = {}
        #: unfinished instances by task
        self._unfinished: dict[str, int] = {}
        #: upstream tasks with unfinished instances, by task
        self._unfinished_upstream: dict[str, int] = {}
        for task in self.tasks.values():
            self._create(task.task_id, range(task.copies) if task.copies else [-1])
        for task in self.tasks.values():
            self._unfinished_upstream[task.task_id] = sum(1 for one in task.upstream if self._unfinished[one])

    def keys_of(self, task_id: str) -> list[TaskKey]:
        """Return the instances of a task."""
        return self._keys[task_id]

    def sync(self, found: Mapping[TaskKey, TaskState | None], retry_at: Mapping[TaskKey, datetime]) -> list[TaskKey]:
        """Copy states from the database; return the instances that changed."""
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
                    self.set_state(key, found.get(key), retry_at.get(key))
                    changed.append(key)
        return changed

    def expand(self, task_id: str, indexes: Iterable[int]) -> list[TaskKey]:
        """Replace the instances of a mapped task and return the new ones."""
        before = self._unfinished[task_id] > 0
        for key in self._keys[task_id]:
            del self.states[key]
            self.retry_at.pop(key, None)
        keys = self._create(task_id, indexes)
        self._update_downstream(task_id, was_unfinished=before)
        return keys

    def set_state(self, key: TaskKey, state: TaskState | None, retry_at: datetime | None = None) -> None:
        """Set the state of an instance."""
        before = self._unfinished[key.task_id] > 0
        self._count(key.task_id, self.states[key], -1)
        self.states[key] = state
        self._count(key.task_id, state, 1)
        if retry_at is None:
            self.retry_at.pop(key, None)
        else:
            self.retry_at[key] = retry_at
        self._update_downstream(key.task_id, was_unfinished=before)

    def affected_by(self, key: TaskKey) -> list[TaskKey]:
        """Return the downstream instances whose decision may depend on the state of this instance."""
        state = self.states[key]
        is_plain = state is TaskState.SUCCESS or (state is not None and not state.is_final)
        found = []
        for task_id in self.tasks[key.task_id].downstream:
            rule = self.tasks[task_id].trigger_rule
            if not self._unfinished_upstream[task_id] or rule in _EARLY or not is_plain:
                found += self._keys[task_id]
        return found

    def upstream_of(self, task: TaskSpec) -> dict[str, TaskState | None]:
        """Return the states of the upstream instances of a task, by name."""
        return {key.task_name: self.states[key] for task_id in task.upstream for key in self._keys.get(task_id, ())}

    def previous_run_for(self, task: TaskSpec) -> PreviousRun:
        """Return the states of this run that matter to the same task in the next run."""
        after = {key.task_name: self.states[key] for one in task.downstream for key in self._keys[one]}
        states = tuple(self.states[key] for key in self._keys[task.task_id])
        return PreviousRun(logical_date=self.spec.logical_date, states=states, downstream=after)

    @property
    def end(self) -> RunState | None:
        """Final state of the run, or None while it is active."""
        if any(self._unfinished.values()):
            return None
        leaves = [
            self.states[key] for task in self.tasks.values() if not task.downstream for key in self._keys[task.task_id]
        ]
        return run_end(self.states.values(), leaves)

    def _create(self, task_id: str, indexes: Iterable[int]) -> list[TaskKey]:
        keys = [TaskKey(self.spec.dag_id, self.spec.run_id, task_id, index) for index in indexes]
        self._keys[task_id] = keys
        self._unfinished[task_id] = len(keys)
        self.states.update(dict.fromkeys(keys))
        return keys

    def _count(self, task_id: str, state: TaskState | None, by: int) -> None:
        if state is None or not state.is_final:
            self._unfinished[task_id] += by

    def _update_downstream(self, task_id: str, *, was_unfinished: bool) -> None:
        """Update the downstream tasks if the last instance of a task finished, or a finished task has a new one."""
        now = self._unfinished[task_id] > 0
        if was_unfinished is now:
            return
        for one in self.tasks[task_id].downstream:
            self._unfinished_upstream[one] += 1 if now else -1


def _tasks_on(tasks: Sequence[TaskSpec], date: datetime) -> dict[str, TaskSpec]:
    """Return the tasks whose dates include a date, linked among themselves."""
    present = {task.task_id for task in tasks if (task.start_date or date) <= date <= (task.end_date or date)}
    if len(present) == len(tasks):
        return {task.task_id: task for task in tasks}
    return {
        task.task_id: replace(
            task,
            upstream=tuple(one for one in task.upstream if one in present),
            downstream=tuple(one for one in task.downstream if one in present),
        )
        for task in tasks
        if task.task_id in present
    }
