"""Current verdicts on a task instance, from the rows of its run and the structure of its DAG."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from elastic.core.errors import UsageError
from elastic.dag.execution.wait import Wait, counted_checks
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.states.verdict import Decision, Verdict
from elastic.dag.timetable.schedule import Schedule
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.records import DagRun
from elastic.db.stores.jobs import TRIGGERER_JOB, jobs, living_jobs
from elastic.db.stores.waits import wait_of
from elastic.scheduler.commands.planning import build_tracker
from elastic.scheduler.decisions.conditions import NotDone
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.decide import verdicts
from elastic.scheduler.decisions.free_slots import FreeSlots, slot_verdicts
from elastic.scheduler.decisions.inputs import Overrides, RunnableTask, TaskSpec
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.waiting_notice import free_slots_of


def tracker_of(
    database: Database,
    tasks: Sequence[BaseOperator | TaskSpec],
    schedule: Schedule,
    run: DagRun,
    overrides: Overrides,
) -> RunTracker:
    """Return the tracker of a run with the states from the database; nothing is stored.

    A run outside the schedule does not wait for the end of its data interval.
    """
    if not schedule.is_slot(run.logical_date):
        overrides = replace(overrides, ignore_interval=True)
    tracker = build_tracker(database, tasks, [run], overrides)
    found = queries.instances(database, run.dag_id, [run.run_id])
    retry_at = {one.key: one.next_retry_at for one in found if one.next_retry_at is not None}
    tracker.sync(run.run_id, {one.key: one.state for one in found}, retry_at)
    return tracker


def verdicts_at(tracker: RunTracker, key: TaskKey, free_slots: FreeSlots, now: dt.datetime) -> list[Verdict]:
    """Return the verdict of each condition on an instance of a tracker, free slots included."""
    inputs = tracker.decision_input(key, now)
    return [*verdicts(inputs), *slot_verdicts(RunnableTask(key, inputs.task, inputs.logical_date), free_slots)]


def with_wait(deployment: Deployment, verdicts: Sequence[Verdict], tracker: RunTracker, key: TaskKey) -> list[Verdict]:
    """Return verdicts on an instance; for an attempt that waits, the one on its state says what for."""
    state = tracker.run_states[key.run_id].states[key]
    if state is None or not state.is_waiting:
        return list(verdicts)
    row = queries.instance(deployment.database, key)
    wait, _ = wait_of(deployment.database, row.attempt_uuid) if row and row.attempt_uuid else (None, None)
    if wait is None:
        return list(verdicts)
    reason = wait_reason(wait)
    if state is TaskState.DEFERRED:
        silence = silence_of_triggerers(deployment.database, deployment.heartbeat)
        reason = f"{silence}; {reason}" if silence else reason
    return [Verdict(NotDone.name, Decision.WAIT, reason) if one.condition == NotDone.name else one for one in verdicts]


def wait_reason(wait: Wait) -> str:
    """Return what an attempt waits for, in one sentence: since when, until when, and the last answer."""
    until = "has no timeout" if wait.deadline is None else f"times out on {wait.deadline:%Y-%m-%d %H:%M:%S} UTC"
    checked = f", the last on {wait.last_checked_at:%Y-%m-%d %H:%M:%S} UTC" if wait.last_checked_at else ""
    return (
        f"it waits since {wait.started_at:%Y-%m-%d %H:%M:%S} UTC and {until}: "
        f"{wait.progress.reason or 'its condition does not hold yet'} ({counted_checks(wait.progress.checks)}{checked})"
    )


def silence_of_triggerers(database: Database, heartbeat: float) -> str:
    """Return since when no triggerer has given a sign of life, in one sentence; empty if one is alive.

    Args:
        database: The database.
        heartbeat: Interval of the heartbeats of triggerers (seconds).
    """
    if living_jobs(database, heartbeat, kind=TRIGGERER_JOB):
        return ""
    since = last_sign_of_life(database, heartbeat, TRIGGERER_JOB) or "yet"
    return f"no triggerer has given a sign of life {since}; start one with `elastic triggerer`"


def last_sign_of_life(database: Database, heartbeat: float, kind: str) -> str:
    """Return since when no job of a kind has sent a heartbeat, as a phrase; empty if there was none."""
    found = jobs(database, heartbeat, kind=kind, limit=1)
    return f"since {found[0].heartbeat_at:%Y-%m-%d %H:%M:%S} UTC" if found else ""


def stored_verdicts(
    deployment: Deployment, dag: DagSpec, schedule: Schedule, run: DagRun, key: TaskKey, now: dt.datetime
) -> list[Verdict]:
    """Return the current verdicts on a task instance of a stored DAG.

    Raises:
        UsageError: The run has no such instance.
    """
    tracker = tracker_of(deployment.database, list(dag.tasks.values()), schedule, run, Overrides())
    key = checked_key(key.task_id, run, tracker, key.map_index)
    free_slots = free_slots_of(deployment, dag.dag_id, dag.concurrency, is_served=run.is_served)
    return with_wait(deployment, verdicts_at(tracker, key, free_slots, now), tracker, key)


def checked_key(task_id: str, run: DagRun, tracker: RunTracker, map_index: int) -> TaskKey:
    """Return the key of an instance of a run.

    Raises:
        UsageError: The run has no such instance.
    """
    key = TaskKey(run.dag_id, run.run_id, task_id, map_index)
    states = tracker.run_states[run.run_id]
    if key in states.states:
        return key
    if task_id not in states.tasks:
        raise UsageError(
            f"task {task_id!r} does not run on {run.logical_date:%Y-%m-%d %H:%M}; check its start and end date."
        )
    copies = [one.map_index for one in states.keys_of(task_id)]
    if copies != [-1] and map_index < 0:
        raise UsageError(
            f"task {task_id!r} has {len(copies)} copies; give --map-index {copies[0]} to {copies[-1]} for one."
        )
    raise UsageError(
        f"task {task_id!r} has no copy {map_index}; give --map-index {copies[0]} to {copies[-1]}."
        if copies != [-1]
        else f"task {task_id!r} has no copies on this date; leave --map-index out."
    )
