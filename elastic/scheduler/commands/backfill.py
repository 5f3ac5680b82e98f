"""Backfill: run a DAG for a range of logical dates.

What came of a range of runs.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries as reading
from elastic.db import transitions as transition
from elastic.db.records import DagRun, NewDagRun, RunType
from elastic.executors.registry import executor_of
from elastic.scheduler.attempts.attempt_request import AttemptRequest, facts_of, shown_command
from elastic.scheduler.catalog.dag_catalog import store, unheeded
from elastic.scheduler.commands.failure_reasons import reasons_of
from elastic.scheduler.commands.planning import agenda_of, intervals_of, make_instances, new_run
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.supervisor import Supervisor, SupervisorJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many task instances are in which state, and how the runs ended."""

    dag_id: str
    #: by run id
    runs: Mapping[str, RunState]
    states: Mapping[TaskKey, TaskState | None]
    #: why instances failed, in a line each, for the first of them
    reasons: Mapping[TaskKey, str] = field(default_factory=dict)
    #: attempts that were made
    attempts: int = 0
    #: what waits for what will never come, in sentences
    stuck: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Instances by state; `none` for those that nothing was decided about."""
        counted = Counter("none" if state is None else str(state) for state in self.states.values())
        return dict(sorted(counted.items()))

    @property
    def succeeded(self) -> bool:
        """All runs ended well."""
        return all(state is RunState.SUCCESS for state in self.runs.values())

    @property
    def failed(self) -> list[TaskKey]:
        """What failed by itself."""
        return [key for key, state in self.states.items() if state is TaskState.FAILED]

    def __str__(self) -> str:
        lines = ["Run summary:"]
        lines += [f"  {state}: {count}" for state, count in self.counts.items()]
        ended = Counter(map(str, self.runs.values()))
        lines.append(f"  runs: {', '.join(f'{count} {state}' for state, count in sorted(ended.items())) or 'none'}")
        for key in self.failed[:20]:
            reason = self.reasons.get(key)
            lines.append(f"  failed: {key}" + (f": {reason}" if reason else ""))
        lines += [f"  waits: {reason}" for reason in self.stuck[:20]]
        return "\n".join(lines)


_FAILED = (TaskState.FAILED, TaskState.UPSTREAM_FAILED)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillWishes:
    """What is to be done in a range, and how."""

    #: logical dates, both included; None for those of the DAG
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    #: instead of a range: the ids of runs that are there, such as triggered ones; their intervals need not have passed
    runs: tuple[str, ...] = ()
    #: only tasks whose ids match, and those before them
    task_regex: str | None = None
    #: with a regex: leave out those before them
    ignore_dependencies: bool = False
    mark_success: bool = False
    dry_run: bool = False
    rerun_failed: bool = False
    #: the latest date first
    reverse: bool = False
    max_active_runs: int | None = None
    #: an executor, or its name
    executor: Any = None


def backfill(site: Deployment, dag: DAG, wishes: BackfillWishes, say: Say) -> Summary:
    """Run what has not succeeded yet in a range.

    Raises:
        UsageError: The range or the wishes cannot be.
    """
    part = part_of(dag, wishes)
    if wishes.reverse and any(task.depends_on_past or task.wait_for_downstream for task in part.tasks):
        raise UsageError(f"DAG {dag.dag_id!r} has tasks that depend on the date before; it cannot run in reverse.")
    named = _named(site, dag, wishes)
    made = [] if named else _made(dag, wishes, say)
    if wishes.dry_run:
        return _told(site, part, named or made, say)
    digests = store(site, dag)
    runs = named or [transition.ensure_run(site.database, digests.noted_in(one)) for one in made]
    if wishes.reverse:
        runs.reverse()
    agenda = agenda_of(site.database, part.tasks, runs, Overrides(ignore_interval=bool(named)))
    make_instances(site.database, part.tasks, runs, agenda)
    if wishes.rerun_failed:
        _clear_failed(site, part, runs)
    if wishes.mark_success:
        return _marked(site, part, runs, say)
    return carry_out(site, part, runs, agenda, wishes, say)


def _made(dag: DAG, wishes: BackfillWishes, say: Say) -> list[NewDagRun]:
    """Return the runs of a range."""
    intervals = intervals_of(dag, wishes.start, wishes.end, dt.datetime.now(dt.UTC), say)
    return [new_run(dag.dag_id, dag, one, RunType.BACKFILL) for one in intervals]


def _named(site: Deployment, dag: DAG, wishes: BackfillWishes) -> list[DagRun]:
    """Return the runs that are wanted by id, in the order of their dates.

    Raises:
        UsageError: There is no such run, or a range is wanted as well.
    """
    if wishes.runs and (wishes.start or wishes.end):
        raise UsageError("a range of dates and --runs name runs in two ways; give one of them.")
    found = {run_id: reading.run_of_id(site.database, dag.dag_id, run_id) for run_id in wishes.runs}
    for run_id, run in found.items():
        if run is None:
            raise UsageError(
                f"DAG {dag.dag_id!r} has no run {run_id!r}; `elastic dags list-runs {dag.dag_id}` shows what there is."
            )
    return sorted((run for run in found.values() if run), key=lambda run: run.logical_date)


def carry_out(
    site: Deployment, part: DAG, runs: list[DagRun], agenda: RunTracker, wishes: BackfillWishes, say: Say
) -> Summary:
    """Run what is to be done in runs, and return what came of it."""
    executor = executor_of(wishes.executor or part.executor or site.executor, site.parallelism)
    for warning in unheeded(part, executor):
        say(f"warning: {warning}")
    assignment = SupervisorJob(
        dag=part,
        runs=tuple(runs),
        agenda=agenda,
        executor=executor,
        max_active_runs=wishes.max_active_runs or part.max_active_runs,
    )
    supervisor = Supervisor(site, assignment, say)
    supervisor.run()
    states = agenda.states()
    return Summary(
        dag_id=part.dag_id,
        runs=supervisor.runs.ended,
        states=states,
        reasons=reasons_of(site.database, states),
        stuck=tuple(supervisor.stuck),
    )


def part_of(dag: DAG, wishes: BackfillWishes) -> DAG:
    """Return the tasks that are meant, as a DAG.

    Raises:
        UsageError: There is none.
    """
    if wishes.task_regex is None:
        part = dag
    else:
        part = dag.sub_dag(wishes.task_regex, include_upstream=not wishes.ignore_dependencies)
    if not part.tasks:
        what = f"no task that matches {wishes.task_regex!r}" if wishes.task_regex else "no tasks"
        raise UsageError(f"DAG {dag.dag_id!r} has {what}; `elastic tasks list {dag.dag_id}` shows what there is.")
    return part


def _clear_failed(site: Deployment, part: DAG, runs: list[DagRun]) -> None:
    found = reading.instances(site.database, part.dag_id, [run.run_id for run in runs])
    transition.clear(site.database, [one.key for one in found if one.state in _FAILED and one.task_id in part])


def _marked(site: Deployment, part: DAG, runs: list[DagRun], say: Say) -> Summary:
    ids = [run.run_id for run in runs]
    found = [one for one in reading.instances(site.database, part.dag_id, ids) if one.task_id in part]
    marked = transition.mark_success(site.database, [one.key for one in found])
    for key in marked:
        say(f"Marked as success: {key}")
    states: dict[TaskKey, TaskState | None] = {}
    ended = {}
    for run in runs:
        states |= (now := reading.states(site.database, run.dag_id, run.run_id))
        if all(state is not None and state.is_final for state in now.values()):
            transition.set_run_state(site.database, run.dag_id, run.run_id, RunState.SUCCESS)
            ended[run.run_id] = RunState.SUCCESS
    return Summary(dag_id=part.dag_id, runs=ended, states=states)


def _told(site: Deployment, part: DAG, made: list[Any], say: Say) -> Summary:
    """Say what would be queued."""
    states: dict[TaskKey, TaskState | None] = {}
    for new in made:
        run = reading.run_at(site.database, new.dag_id, new.logical_date)
        known = reading.states(site.database, run.dag_id, run.run_id) if run else {}
        for task in part.topological():
            key = TaskKey(new.dag_id, run.run_id if run else new.run_id, task.task_id)
            states[key] = known.get(key)
            if states[key] is not TaskState.SUCCESS:
                order = AttemptRequest(facts=facts_of(run or new, task.task_id), max_tries=1)
                say(f"Would add to queue: {shown_command(task, order)}")
    return Summary(dag_id=part.dag_id, runs={}, states=states)
