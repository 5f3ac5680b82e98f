"""Run single task instances: in this process (`task.run`), under a supervisor (`elastic run`), or for an executor.

All three prepare, claim, execute and record an attempt with the same functions.
"""

import datetime as dt
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TextIO

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.execution.wait import WaitMode
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.states.verdict import Verdict
from elastic.dag.timetable.schedule import NoSchedule
from elastic.db import queries, transitions
from elastic.db.records import AttemptResult, DagRun, QueueRequest, RunType, TaskInstanceRow
from elastic.db.stores.jobs import TRIGGERER_JOB, living_jobs
from elastic.executors.local import SequentialExecutor
from elastic.scheduler.attempts.attempt_log import log_path
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of, new_instance, request_of
from elastic.scheduler.attempts.lease import claim, renewing_lease
from elastic.scheduler.attempts.process_identity import new_owner, release_leases_of_dead_processes
from elastic.scheduler.attempts.run_attempt import run_attempt
from elastic.scheduler.commands.failure_reasons import reason_of
from elastic.scheduler.commands.planning import build_tracker, check_logical_date, make_instances, new_run
from elastic.scheduler.commands.why import checked_key, tracker_of, verdicts_at, with_wait
from elastic.scheduler.decisions.free_slots import SLOT_CONDITIONS, FreeSlots
from elastic.scheduler.decisions.inputs import Overrides, TaskSpec
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import why_ended
from elastic.scheduler.supervisor.state_changes import OUTAGES, ResolvedWithoutRun, StateChanges, apply, finish_each
from elastic.scheduler.supervisor.supervisor import Supervisor, SupervisorJob
from elastic.scheduler.supervisor.waiting_notice import free_slots_of

Say = Callable[[str], None]

#: States that `force` clears before it runs an instance again.
_FINISHED = (TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UPSTREAM_FAILED, TaskState.REMOVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRunOptions(Overrides):
    """Options of a run of a single task instance: the checks to skip, and what to run."""

    #: set the state to success without running the task
    mark_success: bool = False
    map_index: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResult:
    """Result of the run of a single task instance."""

    state: TaskState | None
    #: why the instance did not run; empty if it ran
    reason: str = ""
    #: why the instance failed, in one line
    error: str = ""


def run_at(deployment: Deployment, task: BaseOperator, logical_date: dt.datetime) -> DagRun:
    """Return the run of a task's DAG for a logical date; create it if it is missing."""
    return transitions.ensure_run(deployment.database, _new_run_at(task, logical_date))


def preview_run(deployment: Deployment, task: BaseOperator, logical_date: dt.datetime) -> DagRun:
    """Return the stored run of a task's DAG for a logical date, else the run that `run_at` would create."""
    found = queries.run_at(deployment.database, task.dag_id, logical_date)
    return found or _new_run_at(task, logical_date)


def _new_run_at(task: BaseOperator, logical_date: dt.datetime) -> DagRun:
    return new_run(
        task.dag_id, task.schedule, task.schedule.interval_of(check_logical_date(logical_date)), RunType.MANUAL
    )


def slots_beside(task: BaseOperator, logical_date: dt.datetime) -> list[str] | None:
    """Return the dates of a task's schedule before and after a date that is not on it.

    Returns:
        The dates as strings; None if the date is on the schedule, or the schedule has no dates.
    """
    schedule = task.schedule
    if isinstance(schedule, NoSchedule) or schedule.is_slot(logical_date):
        return None
    slots = (schedule.previous_slot(logical_date), schedule.next_slot(logical_date))
    return [f"{slot:%Y-%m-%d %H:%M} UTC" for slot in slots if slot is not None]


def tasks_beside(task: BaseOperator) -> list[BaseOperator]:
    """Return all tasks of a task's DAG in topological order; the task alone if it has no DAG."""
    return list(task.dag.topological()) if task.has_dag else [task]


def tracker_at(deployment: Deployment, task: BaseOperator, run: DagRun, overrides: Overrides) -> RunTracker:
    """Return the tracker of a task's run with the states from the database; nothing is stored."""
    return tracker_of(deployment.database, tasks_beside(task), task.schedule, run, overrides)


def verdicts_of(deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions) -> list[Verdict]:
    """Return the present verdict of each condition on a task instance, free slots included.

    Raises:
        UsageError: The run has no such instance.
    """
    tracker = tracker_at(deployment, task, run, options)
    key = checked_key(task.task_id, run, tracker, options.map_index)
    return with_wait(deployment, _verdicts(tracker, key, _free_slots(deployment, task, run)), tracker, key)


def verdicts_of_copies(
    deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions
) -> dict[Verdict, list[int]]:
    """Return the present verdicts on all instances of a mapped task, each with the map indexes that it applies to.

    Raises:
        UsageError: The run does not have the task.
    """
    tracker = tracker_at(deployment, task, run, options)
    states = tracker.run_states[run.run_id]
    keys = states.keys_of(task.task_id) if task.task_id in states.tasks else ()
    free_slots, found, order = _free_slots(deployment, task, run), dict[Verdict, list[int]](), dict[str, int]()
    for key in keys or [checked_key(task.task_id, run, tracker, options.map_index)]:
        for verdict in with_wait(deployment, _verdicts(tracker, key, free_slots), tracker, key):
            order.setdefault(verdict.condition, len(order))
            found.setdefault(verdict, []).append(key.map_index)
    return dict(sorted(found.items(), key=lambda item: order[item[0].condition]))


def _verdicts(tracker: RunTracker, key: TaskKey, free_slots: FreeSlots) -> list[Verdict]:
    return verdicts_at(tracker, key, free_slots, dt.datetime.now(dt.UTC))


def _free_slots(deployment: Deployment, task: BaseOperator, run: DagRun) -> FreeSlots:
    return free_slots_of(deployment, task.dag_id, _concurrency(task), is_served=run.is_served)


def _concurrency(task: BaseOperator) -> int:
    return task.dag.concurrency if task.has_dag else 0


def prepare_instance(
    deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions
) -> tuple[TaskKey, list[Verdict]]:
    """Insert the instances of a run, and return a task's key with the verdicts that prevent it from running.

    A lack of free slots is included only if waiting cannot help.
    """
    release_leases_of_dead_processes(deployment.database, run.dag_id)
    transitions.expire(deployment.database, dag_id=run.dag_id, gives_up=False)
    tracker = tracker_at(deployment, task, run, options)
    make_instances(deployment.database, tasks_beside(task), [run], tracker)
    key = checked_key(task.task_id, run, tracker, options.map_index)
    if options.force and tracker.run_states[run.run_id].states[key] in _FINISHED:
        transitions.clear(deployment.database, [key])
        tracker.set_state(key, None)
    found = _verdicts(tracker, key, _free_slots(deployment, task, run))
    return key, [one for one in found if not one.met and (one.is_lasting or one.condition not in SLOT_CONDITIONS)]


def _prepare(
    deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions
) -> tuple[TaskKey, SingleResult | None]:
    """Prepare an instance; return its key, and its result if it is not to run."""
    key, unmet = prepare_instance(deployment, task, run, options)
    if options.mark_success:
        marked = transitions.mark_success(deployment.database, [key])
        return key, SingleResult(state=TaskState.SUCCESS, reason="" if marked else "it previously succeeded")
    if unmet:
        return key, SingleResult(state=_state(deployment, key), reason=unmet[0].reason)
    return key, None


def run_in_process(
    deployment: Deployment,
    task: BaseOperator,
    run: DagRun,
    options: TaskRunOptions,
    *,
    terminal: TextIO | None = None,
) -> SingleResult:
    """Run one instance in this process, unless a condition is not met.

    There is no supervisor: a full pool is a reason not to run, and a task without a DAG can run.

    Raises:
        KeyboardInterrupt: The attempt was interrupted and has been marked as failed.
    """
    key, skipped = _prepare(deployment, task, run, options)
    if skipped is not None:
        return skipped
    before = queries.instance(deployment.database, key)
    if before is None:
        return SingleResult(state=None, reason="the run has no such instance")
    request = AttemptRequest(
        info=attempt_info_of(
            run, key.task_id, key.map_index, try_number=before.try_number + 1, attempt_uuid=uuid.uuid4().hex
        ),
        max_tries=before.max_tries,
        run_attempt=run.attempt,
        flow_run_id=before.flow_run_id,
        lease_owner=new_owner(),
    )
    queue_request = _queue_request(deployment, task, request, before)
    if not transitions.queue(deployment.database, queue_request) or not claim(deployment, request):
        reason = (
            f"pool {task.pool!r}, or the concurrency of the DAG, is exhausted, or another process runs the instance"
        )
        return SingleResult(state=_state(deployment, key), reason=reason)
    result = execute_claimed_attempt(deployment, task, request, terminal=terminal, is_supervised=False)
    return SingleResult(state=result.state if result else _state(deployment, key))


def run_queued_attempt(deployment: Deployment, task: BaseOperator, key: TaskKey, attempt_uuid: str) -> TaskState | None:
    """Run an attempt that a supervisor queued: the command of an executor without worker processes.

    Returns:
        The state after the attempt; None if the attempt is stale or another process claimed it.
    """
    run = queries.run_of_id(deployment.database, key.dag_id, key.run_id)
    before = queries.instance(deployment.database, key)
    if run is None or before is None or before.attempt_uuid != attempt_uuid:
        return None
    has_triggerer = bool(living_jobs(deployment.database, deployment.heartbeat, kind=TRIGGERER_JOB))
    mode = WaitMode.DEFER if has_triggerer else WaitMode.RESCHEDULE
    request = replace(request_of(run, before), wait_mode=mode)
    if not claim(deployment, request):
        return None
    result = execute_claimed_attempt(deployment, task, request, terminal=sys.stdout, capture=True, is_supervised=True)
    return result.state if result else None


def execute_claimed_attempt(
    deployment: Deployment,
    task: BaseOperator,
    request: AttemptRequest,
    *,
    terminal: TextIO | None = None,
    capture: bool = False,
    is_supervised: bool,
) -> AttemptResult | None:
    """Run an attempt that this process claimed, renew its lease meanwhile, and record its result.

    If an interrupt ends the attempt, its supervisor fails it; without a supervisor, this function does.

    Returns:
        The result; None if the attempt became stale.
    """
    try:
        with renewing_lease(deployment, request):
            result = run_attempt(task, request, deployment, terminal=terminal, capture=capture)
    except BaseException as error:
        if not is_supervised:
            why = why_ended(error, "its process")
            failed = AttemptResult(attempt_uuid=request.info.attempt_uuid, state=TaskState.FAILED, error=why)
            transitions.finish(deployment.database, failed)
        raise
    tasks = {one.task_id: one for one in tasks_beside(task)}
    return record_result(deployment, tasks, request, result)


def record_result(
    deployment: Deployment,
    tasks: Mapping[str, BaseOperator | TaskSpec],
    request: AttemptRequest,
    result: AttemptResult,
) -> AttemptResult | None:
    """Record the result of an attempt and skip the tasks that it skips; return None if the attempt is stale.

    Args:
        deployment: Database, folders and limits.
        tasks: The tasks of the DAG by id.
        request: The attempt.
        result: Its result.
    """
    run = queries.run_of_id(deployment.database, request.info.dag_id, request.info.run_id)
    resolved = _skipped(deployment, tasks, run, result, request.info.task_id) if run else []
    changes = StateChanges(results=[result], resolved=resolved, log_lines=result.log_lines)
    try:
        finished = apply(deployment.database, changes)
    except OUTAGES:
        raise
    except Exception:
        finished = finish_each(deployment.database, [result])
    return result if result.attempt_uuid in finished else None


def dates_of(task: BaseOperator, start: dt.datetime | None, end: dt.datetime | None) -> list[dt.datetime]:
    """Return the logical dates of a task in a range, both ends included.

    Raises:
        UsageError: The task has no start date, or the range is empty.
    """
    first = start or task.start_date
    if first is None:
        raise UsageError(f"task {task.task_id!r} has no start date; give the first date to run.")
    last = end or first
    if last < first:
        raise UsageError(f"the range ends ({last:%Y-%m-%d %H:%M}) before it starts ({first:%Y-%m-%d %H:%M}).")
    if isinstance(task.schedule, NoSchedule):
        return [first]
    found = [interval.start for interval in task.schedule.intervals(first, last)]
    return found or [first]


def run_range(
    deployment: Deployment, task: BaseOperator, dates: list[dt.datetime], options: TaskRunOptions, say: Say
) -> dict[dt.datetime, TaskState | None]:
    """Run a task for several dates in sequence, and report the dates that did not run."""
    found = {}
    for date in dates:
        result = run_in_process(deployment, task, run_at(deployment, task, date), options, terminal=sys.stdout)
        found[date] = result.state
        if result.reason:
            has_succeeded = result.state is TaskState.SUCCESS
            report = "previously succeeded" if has_succeeded else f"was not run: {result.reason}"
            say(f"{task} for {date:%Y-%m-%d %H:%M:%S} {report}")
    return found


def run_single(
    deployment: Deployment,
    dag: DAG,
    task_id: str,
    date: dt.datetime,
    options: TaskRunOptions,
    say: Callable[[str], None],
) -> SingleResult:
    """Run one instance in a process of its own under a supervisor, unless a condition is not met: `elastic run`.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        task_id: The task.
        date: The logical date.
        options: Checks to skip, and the instance of a mapped task.
        say: Receives the path of the log.

    Raises:
        UsageError: The run has no such task or instance.
    """
    task = dag.get_task(task_id)
    run = run_at(deployment, task, date)
    log = log_path(deployment, TaskInstance(task, attempt=attempt_info_of(run, task_id, options.map_index)))
    key, skipped = _prepare(deployment, task, run, options)
    if skipped is not None:
        return skipped
    say(f"Logging into: {log}")
    _supervise(deployment, dag, run, key)
    return SingleResult(state=_state(deployment, key), error=reason_of(deployment.database, key))


def _supervise(deployment: Deployment, dag: DAG, run: DagRun, key: TaskKey) -> None:
    overrides = Overrides(ignore_dependencies=True, ignore_interval=True)
    job = SupervisorJob(
        dag=dag,
        runs=(run,),
        tracker=build_tracker(deployment.database, list(dag.topological()), [run], overrides),
        executor=SequentialExecutor(),
        max_active_runs=0,
        only=frozenset({key}),
        kind="RunJob",
    )
    Supervisor(deployment, job, lambda line: None).run()


def _state(deployment: Deployment, key: TaskKey) -> TaskState | None:
    found = queries.instance(deployment.database, key)
    return found.state if found else None


def _queue_request(
    deployment: Deployment, task: BaseOperator, request: AttemptRequest, before: TaskInstanceRow
) -> QueueRequest:
    return QueueRequest(
        key=request.info.key,
        attempt_uuid=request.info.attempt_uuid,
        version=before.version,
        lease_owner=request.lease_owner,
        lease=deployment.lease,
        pool=task.pool,
        pool_slots=task.pool_slots,
        concurrency=_concurrency(task),
    )


def _skipped(
    deployment: Deployment,
    tasks: Mapping[str, BaseOperator | TaskSpec],
    run: DagRun,
    result: AttemptResult,
    by_task_id: str,
) -> list[ResolvedWithoutRun]:
    if not result.skipped_task_ids:
        return []
    wanted = set(result.skipped_task_ids)
    found = queries.instances(deployment.database, run.dag_id, [run.run_id])
    return [
        ResolvedWithoutRun(
            new_instance(run, tasks[one.task_id], one.map_index),
            TaskState.SKIPPED,
            f"skipped by {by_task_id!r}",
        )
        for one in found
        if one.task_id in wanted and one.state in (None, TaskState.SCHEDULED) and one.task_id in tasks
    ]
