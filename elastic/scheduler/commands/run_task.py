"""One instance in a process beside this one, which watches it: what `elastic run` does.

Single instances: run in this process, or in one beside it, or begun by an executor elsewhere.
"""

import datetime as dt
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.states.verdict import Verdict
from elastic.dag.timetable.schedule import NoSchedule
from elastic.db import queries, transitions
from elastic.db.records import AttemptResult, DagRun, QueueRequest, RunType, TaskInstanceRow
from elastic.executors.local import SequentialExecutor
from elastic.scheduler.attempts.attempt_log import log_path
from elastic.scheduler.attempts.attempt_request import AttemptReport, AttemptRequest, facts_of, new_instance
from elastic.scheduler.attempts.lease import claim, renewing_lease
from elastic.scheduler.attempts.process_identity import ProcessIdentity, release_leases_of_dead_processes
from elastic.scheduler.attempts.run_attempt import run_attempt
from elastic.scheduler.commands.failure_reasons import reason_of
from elastic.scheduler.commands.planning import build_tracker, make_instances, new_run
from elastic.scheduler.decisions.conditions import ROOM, room_verdicts
from elastic.scheduler.decisions.decide import verdicts
from elastic.scheduler.decisions.inputs import FreeSlots, Overrides, RunnableTask
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import why_ended
from elastic.scheduler.supervisor.free_slots import room_in
from elastic.scheduler.supervisor.state_changes import OUTAGES, ResolvedWithoutRun, StateChanges, apply, write_each
from elastic.scheduler.supervisor.supervisor import Supervisor, SupervisorJob

Say = Callable[[str], None]

#: States that a task instance leaves when it is run again on purpose.
_DONE = (TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UPSTREAM_FAILED, TaskState.REMOVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRunOptions:
    """How single instances are to be run."""

    #: wait neither for tasks before nor for dates before
    ignore_dependencies: bool = False
    #: run again what is done
    force: bool = False
    #: do not run, only say that it succeeded
    mark_success: bool = False
    #: the interval need not have passed
    ignore_interval: bool = False
    map_index: int = -1

    @property
    def allowances(self) -> Overrides:
        """The same, as decisions want it."""
        return Overrides(
            ignore_dependencies=self.ignore_dependencies, force=self.force, ignore_interval=self.ignore_interval
        )


def run_at(deployment: Deployment, task: BaseOperator, logical_date: dt.datetime) -> DagRun:
    """Return the run of a task's DAG for a logical date; create it if it is missing."""
    return transitions.ensure_run(deployment.database, _new_run_at(task, logical_date))


def preview_run(deployment: Deployment, task: BaseOperator, logical_date: dt.datetime) -> DagRun:
    """Return the stored run of a task's DAG for a logical date, else the one that `run_at` would create."""
    found = queries.run_at(deployment.database, task.dag_id, logical_date)
    return found or _new_run_at(task, logical_date)


def _new_run_at(task: BaseOperator, logical_date: dt.datetime) -> DagRun:
    return new_run(task.dag_id, task, task.schedule.interval_of(logical_date), RunType.MANUAL)


def siblings(task: BaseOperator) -> list[BaseOperator]:
    """Return the tasks of a task's DAG in order; the task alone if it has none."""
    return list(task.dag.topological()) if task.has_dag else [task]


def tracker_at(deployment: Deployment, task: BaseOperator, run: DagRun, allowances: Overrides) -> RunTracker:
    """Return the agenda of the run that a task instance is in, as the database has it; nothing is made.

    A run that was asked for at a moment of its own waits for the end of no interval.
    """
    if not task.schedule.is_slot(run.logical_date):
        allowances = replace(allowances, ignore_interval=True)
    tracker = build_tracker(deployment.database, siblings(task), [run], allowances)
    found = queries.instances(deployment.database, run.dag_id, [run.run_id])
    retry_at = {one.key: one.next_retry_at for one in found if one.next_retry_at is not None}
    tracker.sync(run.run_id, {one.key: one.state for one in found}, retry_at)
    return tracker


def verdicts_of(deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions) -> list[Verdict]:
    """Return what each condition says about a task instance now, and whether there is room for it.

    Raises:
        UsageError: There is no such instance.
    """
    tracker = tracker_at(deployment, task, run, options.allowances)
    return _judged(tracker, checked_key(task, run, tracker, options.map_index), _room(deployment, task))


def verdicts_of_copies(
    deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions
) -> dict[Verdict, list[int]]:
    """Return what each condition says about all copies of a mapped task now, and of which copies it says so.

    Raises:
        UsageError: The task is not there on this date.
    """
    tracker = tracker_at(deployment, task, run, options.allowances)
    run_states = tracker.run_states[run.run_id]
    keys = run_states.keys_of(task.task_id) if task.task_id in run_states.tasks else ()
    room, found, order = _room(deployment, task), dict[Verdict, list[int]](), dict[str, int]()
    for key in keys or [checked_key(task, run, tracker, options.map_index)]:
        for verdict in _judged(tracker, key, room):
            order.setdefault(verdict.condition, len(order))
            found.setdefault(verdict, []).append(key.map_index)
    return dict(sorted(found.items(), key=lambda item: order[item[0].condition]))


def _judged(tracker: RunTracker, key: TaskKey, room: FreeSlots) -> list[Verdict]:
    question = tracker.question(key, dt.datetime.now(dt.UTC))
    return [*verdicts(question), *room_verdicts(RunnableTask(key, question.task, question.logical_date), room)]


def _room(deployment: Deployment, task: BaseOperator) -> FreeSlots:
    return room_in(deployment.database, task.dag_id, _concurrency(task))


def _concurrency(task: BaseOperator) -> int:
    return task.dag.concurrency if task.has_dag else 0


def checked_key(task: BaseOperator, run: DagRun, tracker: RunTracker, map_index: int) -> TaskKey:
    """Return the key of an instance that is there.

    Raises:
        UsageError: There is no such instance.
    """
    key = TaskKey(run.dag_id, run.run_id, task.task_id, map_index)
    run_states = tracker.run_states[run.run_id]
    if key in run_states.states:
        return key
    if task.task_id not in run_states.tasks:
        raise UsageError(
            f"task {task.task_id!r} is not there on {run.logical_date:%Y-%m-%d %H:%M}; see its start and end."
        )
    copies = [one.map_index for one in run_states.keys_of(task.task_id)]
    if copies != [-1] and map_index < 0:
        raise UsageError(
            f"task {task.task_id!r} has {len(copies)} copies; give --map-index {copies[0]} to {copies[-1]} for one."
        )
    raise UsageError(
        f"task {task.task_id!r} has no copy {map_index}; give --map-index {copies[0]} to {copies[-1]}."
        if copies != [-1]
        else f"task {task.task_id!r} has no copies on this date; leave --map-index out."
    )


def prepare_instance(
    deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions
) -> tuple[TaskKey, list[Verdict]]:
    """Get an instance ready to run: cleared if that is wanted. Return it with what stands against it.

    Room that is missing only now does not stand against it: it is waited for.
    """
    release_leases_of_dead_processes(deployment.database, run.dag_id)
    transitions.expire(deployment.database, dag_id=run.dag_id, gives_up=False)
    tracker = tracker_at(deployment, task, run, options.allowances)
    make_instances(deployment.database, siblings(task), [run], tracker)
    key = checked_key(task, run, tracker, options.map_index)
    if options.force and tracker.run_states[run.run_id].states[key] in _DONE:
        transitions.clear(deployment.database, [key])
        tracker.set_state(key, None)
    found = _judged(tracker, key, _room(deployment, task))
    return key, [one for one in found if not one.met and (one.is_lasting or one.condition not in ROOM)]


def run_in_process(
    deployment: Deployment, task: BaseOperator, run: DagRun, options: TaskRunOptions, *, terminal: TextIO | None = None
) -> tuple[TaskState | None, str]:
    """Run one instance in this process, unless something stands against it.

    Returns:
        The state that it is in now, and why it was not run; empty if it was.
    """
    key, unmet = prepare_instance(deployment, task, run, options)
    if options.mark_success:
        marked = transitions.mark_success(deployment.database, [key])
        return TaskState.SUCCESS, "" if marked else "it previously succeeded"
    before = queries.instance(deployment.database, key)
    if unmet or before is None:
        return before.state if before else None, unmet[0].reason if unmet else "it is not there"
    owner = f"{ProcessIdentity.of_this_process()}/{uuid.uuid4().hex[:8]}"
    order = AttemptRequest(
        facts=facts_of(
            run, key.task_id, key.map_index, try_number=before.try_number + 1, attempt_uuid=uuid.uuid4().hex
        ),
        max_tries=before.max_tries,
        run_attempt=run.attempt,
        flow_run_id=before.flow_run_id,
        lease_owner=owner,
    )
    ticket = _ticket(deployment, task, order, before)
    if not transitions.queue(deployment.database, ticket) or not claim(deployment, order):
        return _state(
            deployment, key
        ), f"pool {task.pool!r}, or the concurrency of the DAG, has no room, or another process has it"
    report = execute_claimed_attempt(deployment, task, order, terminal=terminal)
    return report.ending.state if report.ending else _state(deployment, key), ""


def execute_claimed_attempt(
    deployment: Deployment, task: BaseOperator, order: AttemptRequest, *, terminal: TextIO | None = None
) -> AttemptReport:
    """Make an attempt that this process has claimed, keep its lease meanwhile, and write down how it ended.

    Raises:
        KeyboardInterrupt: It was interrupted, and has been marked as failed.
    """
    try:
        with renewing_lease(deployment, order):
            report = run_attempt(task, order, deployment, terminal=terminal)
    except BaseException as error:
        why = why_ended(error, "its process")
        ending = AttemptResult(attempt_uuid=order.facts.attempt_uuid, state=TaskState.FAILED, error=why)
        transitions.finish(deployment.database, ending)
        raise
    return record_result(deployment, task, order, report)


def record_result(
    deployment: Deployment, task: BaseOperator, order: AttemptRequest, report: AttemptReport
) -> AttemptReport:
    """Write down how an attempt ended, with what follows from it at once; None as its end if it did not count."""
    if report.ending is None:
        return report
    run = queries.run_of_id(deployment.database, order.facts.dag_id, order.facts.run_id)
    skipped = _skipped(deployment, task, run, report) if run else []
    turn = StateChanges(endings=[report.ending], settled=skipped, lines=report.lines)
    try:
        counted = apply(deployment.database, turn).counted
    except OUTAGES:
        raise
    except Exception:
        counted = write_each(deployment.database, [report.ending])
    return report if report.ending.attempt_uuid in counted else replace(report, ending=None)


def run_queued_attempt(deployment: Deployment, task: BaseOperator, key: TaskKey, attempt_uuid: str) -> TaskState | None:
    """Make an attempt that somebody queued: what an executor's command does. Return how it ended.

    None means that it does not count: somebody else has it, or it was given up.
    """
    run = queries.run_of_id(deployment.database, key.dag_id, key.run_id)
    before = queries.instance(deployment.database, key)
    if run is None or before is None or before.attempt_uuid != attempt_uuid:
        return None
    order = AttemptRequest(
        facts=facts_of(run, key.task_id, key.map_index, try_number=before.try_number, attempt_uuid=attempt_uuid),
        max_tries=before.max_tries,
        run_attempt=run.attempt,
        flow_run_id=before.flow_run_id,
        lease_owner=before.lease_owner or "",
    )
    if not claim(deployment, order):
        return None
    # Whoever queued it may be held up by its executor, and renew nothing meanwhile.
    with renewing_lease(deployment, order):
        report = run_attempt(task, order, deployment, terminal=sys.stdout, capture=True)
    report = record_result(deployment, task, order, report)
    return report.ending.state if report.ending else None


def dates_of(task: BaseOperator, start: dt.datetime | None, end: dt.datetime | None) -> list[dt.datetime]:
    """Return the logical dates of a task in a range, both ends included.

    Raises:
        UsageError: There is none.
    """
    first = start or task.start_date
    if first is None:
        raise UsageError(f"task {task.task_id!r} has no start date; say from when on it is to run.")
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
    """Run a task for several dates, one after another, and say what was left out and why."""
    found = {}
    for date in dates:
        run = run_at(deployment, task, date)
        state, why = run_in_process(deployment, task, run, options, terminal=sys.stdout)
        found[date] = state
        if why:
            said = "previously succeeded" if state is TaskState.SUCCESS else why
            say(f"{task} for {date:%Y-%m-%d %H:%M:%S} {said if state is TaskState.SUCCESS else f'was not run: {why}'}")
    return found


def _state(deployment: Deployment, key: TaskKey) -> TaskState | None:
    found = queries.instance(deployment.database, key)
    return found.state if found else None


def _ticket(deployment: Deployment, task: BaseOperator, order: AttemptRequest, before: TaskInstanceRow) -> QueueRequest:
    return QueueRequest(
        key=order.facts.key,
        attempt_uuid=order.facts.attempt_uuid,
        version=before.version,
        lease_owner=order.lease_owner,
        lease=deployment.lease,
        pool=task.pool,
        pool_slots=task.pool_slots,
        concurrency=_concurrency(task),
    )


def _skipped(
    deployment: Deployment, task: BaseOperator, run: DagRun, report: AttemptReport
) -> list[ResolvedWithoutRun]:
    if not report.skipped:
        return []
    wanted = set(report.skipped)
    found = queries.instances(deployment.database, run.dag_id, [run.run_id])
    return [
        ResolvedWithoutRun(
            new_instance(run, task.dag.get_task(one.task_id), one.map_index),
            TaskState.SKIPPED,
            f"{task.task_id!r} chose so",
        )
        for one in found
        if one.task_id in wanted and one.state in (None, TaskState.SCHEDULED) and one.task_id in task.dag
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResult:
    """What came of one instance."""

    state: TaskState | None
    log: Path
    #: why it was not run; empty if it was
    reason: str = ""
    #: why it failed, in one line
    error: str = ""


def run_single(
    deployment: Deployment,
    dag: DAG,
    task_id: str,
    date: dt.datetime,
    options: TaskRunOptions,
    say: Callable[[str], None],
) -> SingleResult:
    """Run one instance, unless something stands against it.

    Args:
        deployment: Where.
        dag: The DAG.
        task_id: The task.
        date: The logical date.
        options: What need not be so.
        say: Told where the log is.

    Raises:
        UsageError: There is no such task or copy.
    """
    task = dag.get_task(task_id)
    run = run_at(deployment, task, date)
    log = log_path(deployment, TaskInstance(task, attempt=facts_of(run, task_id, options.map_index)))
    key, unmet = prepare_instance(deployment, task, run, options)
    if options.mark_success:
        marked = transitions.mark_success(deployment.database, [key])
        reason = "" if marked else "it previously succeeded"
        return SingleResult(state=TaskState.SUCCESS, log=log, reason=reason)
    if unmet:
        found = queries.instance(deployment.database, key)
        return SingleResult(state=found.state if found else None, log=log, reason=unmet[0].reason)
    say(f"Logging into: {log}")
    return _watched(deployment, dag, run, key.map_index, task_id, log)


def _watched(deployment: Deployment, dag: DAG, run: DagRun, map_index: int, task_id: str, log: Path) -> SingleResult:
    key = facts_of(run, task_id, map_index).key
    tracker = build_tracker(
        deployment.database, list(dag.topological()), [run], Overrides(ignore_dependencies=True, ignore_interval=True)
    )
    assignment = SupervisorJob(
        dag=dag,
        runs=(run,),
        tracker=tracker,
        executor=SequentialExecutor(),
        max_active_runs=0,
        only=frozenset({key}),
        kind="RunJob",
    )
    Supervisor(deployment, assignment, lambda line: None).run()
    found = queries.instance(deployment.database, key)
    return SingleResult(state=found.state if found else None, log=log, error=reason_of(deployment.database, key))
