"""DAG as the scheduler sees it: plain values, from a loaded DAG or from its stored structure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from elastic.dag.errors import DefinitionError
from elastic.dag.serialized_dag import SerializedDag
from elastic.dag.states.state import RunState
from elastic.scheduler.decisions.inputs import TaskSpec

if TYPE_CHECKING:
    from elastic.dag.dag import DAG


@dataclass(frozen=True, slots=True, kw_only=True)
class DagSpec:
    """DAG as the scheduler sees it. It contains no user code."""

    dag_id: str
    #: by id, in the order of definition
    tasks: Mapping[str, TaskSpec]
    #: file that defines the DAG, and folder of its helper modules
    fileloc: str
    root: str
    timezone: str = "UTC"
    #: maximum number of queued and running task instances; 0 for no limit
    concurrency: int = 0
    #: ids of the tasks of the complete DAG that this part of it lacks
    left_out: frozenset[str] = frozenset()
    #: final states of runs for which the DAG has callbacks
    callback_states: frozenset[str] = frozenset()

    @classmethod
    def of(cls, dag: "DAG") -> "DagSpec":
        """Return the spec of a DAG."""
        callbacks = {RunState.SUCCESS: dag.on_success_callback, RunState.FAILED: dag.on_failure_callback}
        return cls(
            dag_id=dag.dag_id,
            tasks={task.task_id: TaskSpec.of(task) for task in dag.tasks},
            fileloc=dag.fileloc,
            root=str(dag.root),
            timezone=dag.timezone,
            concurrency=dag.concurrency,
            left_out=dag.left_out,
            callback_states=frozenset(state for state, found in callbacks.items() if found),
        )

    @classmethod
    def of_stored(cls, dag: SerializedDag) -> "DagSpec":
        """Return the spec of a stored DAG."""
        fields = dag.fields
        return cls(
            dag_id=dag.dag_id,
            tasks={task_id: TaskSpec.of_stored(task) for task_id, task in dag.tasks.items()},
            fileloc=fields["fileloc"],
            root=fields["root"] or str(PurePath(fields["fileloc"]).parent),
            timezone=fields["timezone"],
            concurrency=fields["concurrency"],
            callback_states=frozenset(fields["callbacks"]),
        )

    def matching(self, task_regex: str) -> frozenset[str]:
        """Return the ids of tasks that contain a match.

        Raises:
            DefinitionError: The regular expression is invalid.
        """
        try:
            pattern = re.compile(task_regex)
        except re.error as error:
            raise DefinitionError(f"{task_regex!r} is not a regular expression: {error}. Check its syntax.") from error
        return frozenset(task_id for task_id in self.tasks if pattern.search(task_id))

    def reachable(self, task_ids: Iterable[str], *, upstream: bool) -> frozenset[str]:
        """Return the ids of all upstream or downstream tasks of some tasks."""
        found: set[str] = set()
        pending = list(task_ids)
        while pending:
            task = self.tasks[pending.pop()]
            fresh = [one for one in (task.upstream if upstream else task.downstream) if one not in found]
            found.update(fresh)
            pending += fresh
        return frozenset(found)
