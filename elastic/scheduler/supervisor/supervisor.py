"""Supervisor: the loop of a command that runs one group of runs to its end."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from elastic.core.native_threads import has_native_threads
from elastic.dag.dag import DAG
from elastic.dag.execution.wait import WaitMode
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import transitions
from elastic.db.known_secrets import hide_known_secrets
from elastic.db.records import AttemptResult, DagRun
from elastic.db.stores.jobs import TRIGGERER_JOB, end_job, heartbeat, living_jobs, start_job
from elastic.executors.executor import Executor
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.attempts.process_identity import new_owner
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.inputs import RunnableTask
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import DeferredSignals, why_ended
from elastic.scheduler.supervisor.active_runs import requeue_orphaned_runs
from elastic.scheduler.supervisor.due_callbacks import LoadedDagCallbacks
from elastic.scheduler.supervisor.lease_keeper import LeaseKeeper
from elastic.scheduler.supervisor.run_group import WAITING, GroupSetup, RunGroup
from elastic.scheduler.supervisor.state_changes import StateChanges, apply


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorJob:
    """Work of a supervisor: runs of one DAG, and the rules under which they run."""

    dag: DAG
    #: in the order in which they start
    runs: tuple[DagRun, ...]
    tracker: RunTracker
    executor: Executor
    #: runs that may be active at the same time; 0 leaves the states of runs alone and tries each instance once
    max_active_runs: int
    #: True if failed instances are not retried
    tries_once: bool = False
    #: if `max_active_runs` is 0: the only instances that run, without those downstream; None for all instances
    only: frozenset[TaskKey] | None = None
    #: second destination of the logs of tasks that run in this process
    terminal: TextIO | None = None
    #: kind of the job in the job table
    kind: str = "BackfillJob"


class Supervisor:
    """Single-threaded loop that runs the task instances of one group of runs until no work is left.

    Each turn of the group collects results from the executor, asks the tracker what follows, and applies all state
    changes in one transaction. Only then does the executor start the queued attempts. Between turns the supervisor
    renews the leases of its attempts and reads what other processes changed in the same runs.

    Args:
        deployment: Database, folders and limits.
        job: The work.
        say: Receives progress messages, one line at a time.
    """

    def __init__(self, deployment: Deployment, job: SupervisorJob, say: Callable[[str], None]) -> None:
        # Processes that are forked from this one mask the same secrets.
        hide_known_secrets()
        self.deployment, self._job = deployment, job
        self.tracker, self.executor = job.tracker, job.executor
        self.owner = new_owner()
        self._signals = DeferredSignals()
        self._callbacks = LoadedDagCallbacks(deployment, job.dag, {run.run_id: run for run in job.runs}, say)
        setup = GroupSetup(
            dag=DagSpec.of(job.dag),
            tracker=job.tracker,
            executor=job.executor,
            callbacks=self._callbacks,
            owner=self.owner,
            max_active_runs=job.max_active_runs,
            tries_once=job.tries_once,
            only=job.only,
        )
        self.group = RunGroup(deployment, setup, job.runs, say)
        self.runs, self.attempts = self.group.runs, self.group.attempts
        self.group.dispatcher.wait_mode = self._wait_mode
        self._triggerer_checked_at = float("-inf")
        self._has_triggerer = False
        self._keeper = LeaseKeeper.of(deployment, "the command", self.owner, say)
        #: why instances wait for a condition that can never be met
        self.stuck: list[str] = []
        self._heartbeat_at = 0.0

    def run(self) -> None:
        """Run the job. On an interrupt or an internal error, fail the running attempts and stop them."""
        database, job = self.deployment.database, self._job
        job_id = start_job(database, job.kind, dag_id=job.dag.dag_id, executor=self.executor.title)
        self.group.dispatcher.job_id = job_id
        with self._signals:
            try:
                self.executor.start(AttemptRunner(job.dag, self.deployment, job.terminal))
                self._loop(job_id)
                self.executor.end()
            except BaseException as error:
                self._fail_running(error, job_id)
                raise
            finally:
                self._keeper.stop()
        end_job(database, job_id, "success")

    def _loop(self, job_id: int) -> None:
        group = self.group
        group.dispatcher.read_pools()
        group.expire_lost_leases()
        self._callbacks.call_left()
        self._heartbeat_at = time.monotonic() + self.deployment.renewal_interval
        while True:
            group.begin_runs()
            ready = group.turn(self.executor.get_event_buffer().values())
            if self._is_done(ready, job_id):
                break
            with self._signals.deliver():
                self.executor.heartbeat(self._poll_timeout())
            self._callbacks.poll()
            self._send_heartbeat(job_id)
            self._resume_waits()
            group.poll(ready)
        self._callbacks.finish()
        apply(self.deployment.database, StateChanges(log_lines=self.runs.log.take()))

    def _send_heartbeat(self, job_id: int) -> None:
        """Renew the leases of the attempts, and send the heartbeat of the job, if they are due."""
        now = time.monotonic()
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self.deployment.renewal_interval
            held = transitions.renew(self.deployment.database, self.owner, self.deployment.lease)
            heartbeat(self.deployment.database, job_id)
            if not has_native_threads():
                # It is forked, and a copy of other threads' locks could keep it waiting.
                self._keeper.beat(job_id)
            self.group.check_attempts(held)

    def _wait_mode(self) -> WaitMode:
        """Return how sensors wait: a command leaves the checks to a triggerer only if one is alive."""
        now = time.monotonic()
        if now - self._triggerer_checked_at > self.deployment.renewal_interval:
            self._triggerer_checked_at = now
            living = living_jobs(self.deployment.database, self.deployment.heartbeat, kind=TRIGGERER_JOB)
            self._has_triggerer = bool(living)
        return WaitMode.DEFER if self._has_triggerer else WaitMode.RESCHEDULE

    def _resume_waits(self) -> None:
        """Let deferred attempts check by themselves if no triggerer is alive."""
        deferred = self.group.waiting([TaskState.DEFERRED])
        if deferred and self._wait_mode() is not WaitMode.DEFER:
            run_ids = sorted({key.run_id for key in deferred})
            transitions.resume_waits(self.deployment.database, self._job.dag.dag_id, run_ids)
            self.group.sync()

    def _poll_timeout(self) -> float:
        """Return the seconds that the loop may wait for the executor."""
        return max(0.0, min(self.group.seconds_until_work(), self._heartbeat_at - time.monotonic()))

    def _is_done(self, ready: Sequence[RunnableTask], job_id: int) -> bool:
        if self.attempts.running or self.executor.running or self.executor.queued:
            return False
        if self.runs.is_done:
            return True
        dispatcher = self.group.dispatcher
        obstacles = {one.key: why for one in ready if (why := dispatcher.lasting_obstacle(one))}
        may_continue = len(obstacles) < len(ready) or self.group.waits_for_others or bool(self.group.waiting())
        if not self._job.max_active_runs:
            return not may_continue
        if may_continue or self.tracker.wakes_at() is not None:
            return False
        if not self.runs.active:
            requeue_orphaned_runs(self.deployment, self._job.dag.dag_id, self.runs.by_id, job_id)
            if self.runs.is_refused:
                self.group.report_max_active_runs()
            return False
        self.stuck += self.runs.fail_stuck(dt.datetime.now(dt.UTC), obstacles)
        return self.runs.is_done

    def _fail_running(self, error: BaseException, job_id: int) -> None:
        """Fail the running attempts and stop their processes."""
        why = why_ended(error, "its supervisor")
        database, failed = self.deployment.database, TaskState.FAILED
        try:
            for key, attempt in self.attempts.running.items():
                result = AttemptResult(attempt_uuid=attempt.attempt_uuid, state=failed, error=why, callback=failed)
                if not transitions.finish(database, result):
                    transitions.set_state(database, key, None, expected=(TaskState.QUEUED,), note=why)
            transitions.set_states(database, self.group.waiting(), failed, expected=WAITING, note=why)
            self.runs.interrupt(why)
            end_job(database, job_id, "failed")
        finally:
            self.executor.terminate()
        self._callbacks.finish()
