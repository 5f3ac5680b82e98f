"""Backfill: run a DAG for a range of logical dates, and summarize the result."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.timetable.schedule import NoSchedule
from elastic.db import queries, transitions
from elastic.db.records import DagRun, RunType
from elastic.db.transitions import Backfill
from elastic.executors.registry import executor_by_queue
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of, shown_command
from elastic.scheduler.catalog.dag_catalog import ignored_settings, store
from elastic.scheduler.commands.failure_reasons import reasons_of
from elastic.scheduler.commands.planning import build_tracker, intervals_of, make_instances, new_run
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.supervisor import Supervisor, SupervisorJob

#: Failed and stuck instances that a summary lists.
_MAX_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Summary of runs: the states of their task instances and their final states."""

    dag_id: str
    #: final states by run id
    runs: Mapping[str, RunState]
    states: Mapping[TaskKey, TaskState | None]
    #: error lines of the first failed instances
    reasons: Mapping[TaskKey, str] = field(default_factory=dict)
    #: sentences about instances that wait for conditions that can never be met
    stuck: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of instances by state; `none` for instances without a state."""
        counted = Counter("none" if state is None else str(state) for state in self.states.values())
        return dict(sorted(counted.items()))

    @property
    def succeeded(self) -> bool:
        """Whether all runs succeeded."""
        return all(state is RunState.SUCCESS for state in self.runs.values())

    @property
    def failed(self) -> list[TaskKey]:
        """The instances that failed themselves, without those downstream of them."""
        return [key for key, state in self.states.items() if state is TaskState.FAILED]

    def __str__(self) -> str:
        lines = ["Run summary:"]
        lines += [f"  {state}: {count}" for state, count in self.counts.items()]
        ended = Counter(map(str, self.runs.values()))
        lines.append(f"  runs: {', '.join(f'{count} {state}' for state, count in sorted(ended.items())) or 'none'}")
        for key in self.failed[:_MAX_LINES]:
            reason = self.reasons.get(key)
            lines.append(f"  failed: {key}" + (f": {reason}" if reason else ""))
        lines += [f"  waits: {reason}" for reason in self.stuck[:_MAX_LINES]]
        return "\n".join(lines)


_FAILED = (TaskState.FAILED, TaskState.UPSTREAM_FAILED)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOptions:
    """Options of a backfill."""

    #: first and last logical date, both included; None for those of the DAG
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    #: ids of existing runs instead of a range, such as triggered runs; their intervals need not have passed
    runs: tuple[str, ...] = ()
    #: run only the tasks whose ids match, and their upstream tasks
    task_regex: str | None = None
    #: with a regex: leave out the upstream tasks
    ignore_dependencies: bool = False
    mark_success: bool = False
    dry_run: bool = False
    rerun_failed: bool = False
    #: start with the latest date
    reverse: bool = False
    max_active_runs: int | None = None
    #: an executor, its class or its name
    executor: Any = None


def backfill(deployment: Deployment, dag: DAG, options: BackfillOptions, say: Say) -> Summary:
    """Run the task instances of a range that have not succeeded.

    Raises:
        UsageError: The range or the options are invalid.
    """
    part = part_of(dag, options)
    if options.reverse and any(task.depends_on_past or task.wait_for_downstream for task in part.tasks):
        raise UsageError(f"DAG {dag.dag_id!r} has tasks that depend on the previous date; it cannot run in reverse.")
    named = _named_runs(deployment, dag, options)
    new = [] if named else _new_runs(dag, options, say)
    if options.dry_run:
        return _dry_run(deployment, part, named or new, say)
    digests = store(deployment, dag)
    runs = named or [transitions.ensure_run(deployment.database, digests.set_in(one)) for one in new]
    if options.reverse:
        runs.reverse()
    tracker = build_tracker(deployment.database, part.tasks, runs, Overrides(ignore_interval=bool(named)))
    make_instances(deployment.database, part.tasks, runs, tracker)
    if options.rerun_failed:
        _clear_failed(deployment, part, runs)
    if options.mark_success:
        return _mark_success(deployment, part, runs, say)
    return supervise(deployment, part, runs, tracker, options, say)


def submit_range(deployment: Deployment, dag: DAG, options: BackfillOptions) -> Backfill:
    """Store a backfill for masters to carry out; dates that have a run keep it.

    Raises:
        UsageError: The range is invalid, or an option is set that masters do not know.
    """
    given = {name for name in BackfillOptions.__dataclass_fields__ if getattr(options, name)}
    unknown = sorted(given - {"start", "end", "max_active_runs"})
    if unknown:
        raise UsageError(f"a submitted backfill has no {', '.join(unknown)}; leave it out, or run it without --submit.")
    if isinstance(dag.schedule, NoSchedule):
        raise UsageError(f"DAG {dag.dag_id!r} has no schedule, so it has no dates; trigger a run for one date instead.")
    intervals = intervals_of(dag, options.start, options.end, dt.datetime.now(dt.UTC), lambda line: None)
    store(deployment, dag)
    limit = options.max_active_runs or dag.max_active_runs
    return transitions.submit_backfill(deployment.database, dag.dag_id, intervals[0].start, intervals[-1].start, limit)


def _new_runs(dag: DAG, options: BackfillOptions, say: Say) -> list[DagRun]:
    """Return the runs of a range, to be stored."""
    intervals = intervals_of(dag, options.start, options.end, dt.datetime.now(dt.UTC), say)
    if options.start is None and options.end is None:
        first, last = (f"{one.start:%Y-%m-%d %H:%M}" for one in (intervals[0], intervals[-1]))
        dates = first if first == last else f"{first} to {last}"
        say(f"No dates given, running {dates}; choose others with -s and -e (start_date and end_date in Python).")
    return [new_run(dag.dag_id, dag.schedule, one, RunType.BACKFILL) for one in intervals]


def _named_runs(deployment: Deployment, dag: DAG, options: BackfillOptions) -> list[DagRun]:
    """Return the runs with the given ids, by date.

    Raises:
        UsageError: A run does not exist, or the options have a range as well.
    """
    if options.runs and (options.start or options.end):
        raise UsageError("a range of dates and --runs are mutually exclusive; give one of them.")
    found = {run_id: queries.run_of_id(deployment.database, dag.dag_id, run_id) for run_id in options.runs}
    for run_id, run in found.items():
        if run is None:
            raise UsageError(
                f"DAG {dag.dag_id!r} has no run {run_id!r}; `elastic dags list-runs {dag.dag_id}` lists them."
            )
    return sorted((run for run in found.values() if run), key=lambda run: run.logical_date)


def supervise(
    deployment: Deployment, part: DAG, runs: list[DagRun], tracker: RunTracker, options: BackfillOptions, say: Say
) -> Summary:
    """Run the unfinished instances of runs under a supervisor, and return a summary."""
    executor = executor_by_queue(
        options.executor or part.executor or deployment.executor, deployment.queues, deployment.parallelism
    )
    for warning in ignored_settings(part, executor):
        say(f"warning: {warning}")
    job = SupervisorJob(
        dag=part,
        runs=tuple(runs),
        tracker=tracker,
        executor=executor,
        max_active_runs=options.max_active_runs or part.max_active_runs,
    )
    supervisor = Supervisor(deployment, job, say)
    supervisor.run()
    states = tracker.states()
    return Summary(
        dag_id=part.dag_id,
        runs=supervisor.runs.ended,
        states=states,
        reasons=reasons_of(deployment.database, states),
        stuck=tuple(supervisor.stuck),
    )


def part_of(dag: DAG, options: BackfillOptions) -> DAG:
    """Return the selected tasks as a DAG.

    Raises:
        UsageError: No task is selected.
    """
    if options.task_regex is None:
        part = dag
    else:
        part = dag.sub_dag(options.task_regex, include_upstream=not options.ignore_dependencies)
    if not part.tasks:
        what = f"no task that matches {options.task_regex!r}" if options.task_regex else "no tasks"
        raise UsageError(f"DAG {dag.dag_id!r} has {what}; `elastic tasks list {dag.dag_id}` lists them.")
    return part


def _clear_failed(deployment: Deployment, part: DAG, runs: list[DagRun]) -> None:
    found = queries.instances(deployment.database, part.dag_id, [run.run_id for run in runs])
    transitions.clear(deployment.database, [one.key for one in found if one.state in _FAILED and one.task_id in part])


def _mark_success(deployment: Deployment, part: DAG, runs: list[DagRun], say: Say) -> Summary:
    ids = [run.run_id for run in runs]
    found = [one for one in queries.instances(deployment.database, part.dag_id, ids) if one.task_id in part]
    marked = transitions.mark_success(deployment.database, [one.key for one in found])
    for key in marked:
        say(f"Marked as success: {key}")
    states: dict[TaskKey, TaskState | None] = {}
    ended = {}
    for run in runs:
        states |= (now := queries.states(deployment.database, run.dag_id, run.run_id))
        if all(state is not None and state.is_final for state in now.values()):
            transitions.set_run_state(deployment.database, run.dag_id, run.run_id, RunState.SUCCESS)
            ended[run.run_id] = RunState.SUCCESS
    return Summary(dag_id=part.dag_id, runs=ended, states=states)


def _dry_run(deployment: Deployment, part: DAG, runs: list[DagRun], say: Say) -> Summary:
    """Report the commands that a backfill would queue."""
    states: dict[TaskKey, TaskState | None] = {}
    spec = DagSpec.of(part)
    for new in runs:
        run = queries.run_at(deployment.database, new.dag_id, new.logical_date)
        known = queries.states(deployment.database, run.dag_id, run.run_id) if run else {}
        for task in part.topological():
            key = TaskKey(new.dag_id, run.run_id if run else new.run_id, task.task_id)
            states[key] = known.get(key)
            if states[key] is not TaskState.SUCCESS:
                request = AttemptRequest(info=attempt_info_of(run or new, task.task_id), max_tries=1)
                say(f"Would add to queue: {shown_command(spec, request)}")
    return Summary(dag_id=part.dag_id, runs={}, states=states)
