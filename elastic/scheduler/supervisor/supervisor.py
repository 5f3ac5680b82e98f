"""Supervisor: the loop that decides, queues, starts and records task instances."""

import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from elastic.config.secret_mask import masked
from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.errors import DatabaseError
from elastic.db.known_secrets import hide_known_secrets
from elastic.db.records import AttemptResult, DagRun
from elastic.db.stores.jobs import end_job, heartbeat, start_job
from elastic.executors.executor import Executor, ExecutorEvent
from elastic.scheduler.attempts.attempt_request import NOT_CLAIMED, command_of, new_instance, shown_command
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.attempts.process_identity import ProcessIdentity, release_leases_of_dead_processes
from elastic.scheduler.attempts.run_attempt import retry_or_fail
from elastic.scheduler.decisions.inputs import RunnableTask
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import DeferredSignals, why_ended
from elastic.scheduler.supervisor.active_runs import ActiveRuns, requeue_orphaned_runs
from elastic.scheduler.supervisor.dispatcher import Dispatcher
from elastic.scheduler.supervisor.due_callbacks import DueCallbacks
from elastic.scheduler.supervisor.mapping import mapped_count
from elastic.scheduler.supervisor.running_attempts import RunningAttempt, RunningAttempts
from elastic.scheduler.supervisor.state_changes import OUTAGES, ResolvedWithoutRun, StateChanges, apply, finish_each
from elastic.scheduler.supervisor.waiting_notice import WaitingNotice

#: Seconds between reads of the database for changes by other processes: at first, and at most.
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.1, 2.0

_ACTIVE = (TaskState.QUEUED, TaskState.RUNNING)


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
    """Single-threaded loop that runs task instances until no work is left.

    Each step collects results from the executor, asks the tracker what follows, and applies all state changes in one
    transaction. Only then does the executor start the queued attempts. Between steps the supervisor renews the leases
    of its attempts and reads what other processes changed in the same runs.

    Args:
        deployment: Database, folders and limits.
        job: The work.
        say: Receives progress messages, one line at a time.
    """

    def __init__(self, deployment: Deployment, job: SupervisorJob, say: Callable[[str], None]) -> None:
        # Processes that are forked from this one mask the same secrets.
        hide_known_secrets()
        self.deployment, self.say, self.dag = deployment, say, job.dag
        self.tracker, self.executor, self._kind = job.tracker, job.executor, job.kind
        self.owner = f"{ProcessIdentity.current()}/{uuid.uuid4().hex[:8]}"
        self._signals = DeferredSignals()
        self.attempts = RunningAttempts()
        self.runs = ActiveRuns(deployment, self.dag, job.runs, self.tracker, job.max_active_runs)
        self.dispatcher = Dispatcher(deployment, self.dag, self.runs.by_id, self.executor, self.owner)
        self.dispatcher.tries_once = job.tries_once
        self._callbacks = DueCallbacks(deployment, self.dag, self.runs.by_id, say)
        self._waiting_notice = WaitingNotice(deployment.database, self.dag, say)
        #: why instances wait for a condition that can never be met
        self.stuck: list[str] = []
        self._runner = AttemptRunner(self.dag, deployment, job.terminal)
        self._only = job.only
        self._is_single = not job.max_active_runs
        self._tried: set[TaskKey] = set()
        #: mapped tasks to expand once the results that they map over are recorded
        self._unexpanded: list[TaskKey] = []
        self._heartbeat_at = self._poll_at = 0.0
        self._poll_seconds = _MIN_POLL_SECONDS

    def run(self) -> None:
        """Run the job. On an interrupt or an internal error, fail the running attempts and stop them."""
        database = self.deployment.database
        job_id = start_job(database, self._kind, dag_id=self.dag.dag_id, executor=type(self.executor).__name__)
        self.dispatcher.job_id = job_id
        with self._signals:
            try:
                self.executor.start(self._runner)
                self._loop(job_id)
                self.executor.end()
            except BaseException as error:
                self._fail_running(error, job_id)
                raise
        end_job(database, job_id, "success")

    def _loop(self, job_id: int) -> None:
        self.dispatcher.read_pools()
        self._expire_lost_leases()
        self._heartbeat_at = time.monotonic() + self._heartbeat_interval
        while True:
            self._begin_runs()
            ready = self._step()
            while self._unexpanded:
                self._expand(self._unexpanded.pop())
                ready = self._step()
            self.runs.end_finished()
            if self._is_done(ready, job_id):
                break
            with self._signals.deliver():
                self.executor.heartbeat(self._poll_timeout())
            self._heartbeat_and_poll(job_id, ready)
        self._callbacks.finish()
        apply(self.deployment.database, StateChanges(log_lines=self.runs.log.take()))

    @property
    def _heartbeat_interval(self) -> float:
        return min(self.deployment.heartbeat, self.deployment.lease / 3)

    def _begin_runs(self) -> None:
        while begun := self.runs.begin():
            self._sync(begun)
            self.runs.reopen(begun)
            self.runs.end_finished()

    def _step(self) -> Sequence[RunnableTask]:
        """Collect results, decide, apply the state changes and start attempts; return the instances still ready."""
        events = self.executor.get_event_buffer().values()
        finished = {event.key: found for event in events if (found := self._finished_attempt(event))}
        resolved = [one for key, result in finished.items() for one in self._apply_result(key, result)]
        ready = self._next_runnable(resolved)
        attempts = self.dispatcher.next_attempts(ready, self.attempts)
        results = list(finished.values())
        lines = self.runs.log.take()
        changes = StateChanges(
            results=results,
            resolved=resolved,
            queue_requests=[attempt.queue_request for attempt in attempts],
            claims=[attempt.claim for attempt in attempts if attempt.claim],
            log_lines=(*lines, *(line for result in results for line in result.log_lines)),
        )
        if not (changes.results or changes.resolved or changes.queue_requests or changes.log_lines):
            return ready
        try:
            accepted = apply(self.deployment.database, changes)
        except OUTAGES:
            raise
        except Exception as error:
            if not results:
                raise
            return self._step_one_by_one(changes, error)
        if any(result.callback for result in results):
            self._callbacks.queue_due()
        for key, result in finished.items():
            if result.attempt_uuid in accepted:
                self.attempts.record_finish(key)
        self._start(attempts, accepted)
        if len(accepted) < len(results) + len(attempts):
            self._sync()
        return ready

    def _step_one_by_one(self, changes: StateChanges, error: Exception) -> Sequence[RunnableTask]:
        """Repeat a step that the database refused: record each result alone, then decide what follows."""
        count = len(changes.results)
        self.say(
            f"Recording {count} results one by one, because the database refused them together: {error_text(error)}"
        )
        finish_each(self.deployment.database, changes.results)
        for line in changes.log_lines:
            with contextlib.suppress(DatabaseError, ValueError, OverflowError):
                apply(self.deployment.database, StateChanges(log_lines=[line]))
        self._callbacks.queue_due()
        self._sync()
        return self._step()

    def _finished_attempt(self, event: ExecutorEvent) -> AttemptResult | None:
        """Return the result of an attempt that ended; None if it is stale or has recorded its result itself."""
        attempt = self.attempts.running.pop(event.key, None)
        if attempt is None:
            return None
        self._tried.add(event.key)
        if isinstance(event.account, AttemptResult):
            return event.account
        if event.account == NOT_CLAIMED:
            self._sync()
            return None
        row = queries.instance(self.deployment.database, event.key)
        if row is None or row.attempt_uuid != attempt.attempt_uuid or row.state not in _ACTIVE:
            self._sync()
            return None
        why = event.error or f"{type(self.executor).__name__} reports that it ended, but the attempt recorded no result"
        if attempt.is_overdue:
            why = f"it exceeded its execution_timeout and did not stop; {why}"
        failed = retry_or_fail(self.dag.get_task(event.key.task_id), attempt.request, why, event.exit_code)
        return replace(failed, expected=row.state, callback=failed.state)

    def _apply_result(self, key: TaskKey, result: AttemptResult) -> list[ResolvedWithoutRun]:
        """Set the state of an instance in the tracker; return the instances that its result skips."""
        states = self.tracker.run_states[key.run_id]
        resolved = []
        for task_id in result.skipped_task_ids:
            for one in states.keys_of(task_id) if task_id in states.tasks else ():
                if states.states[one] in (None, TaskState.SCHEDULED):
                    resolved.append(self._resolve(one, TaskState.SKIPPED, f"skipped by {key.task_id!r}"))
        retry_at = self._now() + dt.timedelta(seconds=result.retry_in) if result.retry_in is not None else None
        self.tracker.set_state(key, result.state, retry_at)
        return resolved

    def _next_runnable(self, resolved: list[ResolvedWithoutRun]) -> Sequence[RunnableTask]:
        """Ask the tracker until no further change follows; add resolved instances, and return the runnable ones."""
        while True:
            changes = self.tracker.next_changes(self._now())
            if self._only is not None:
                return [one for one in changes.ready if one.key in self._only and one.key not in self._tried]
            resolved += [self._resolve(key, state, reason) for key, state, reason in changes.resolved]
            self._unexpanded += changes.expandable
            if not changes.resolved:
                return [one for one in changes.ready if not (self._is_single and one.key in self._tried)]

    def _resolve(self, key: TaskKey, state: TaskState, reason: str) -> ResolvedWithoutRun:
        self.tracker.set_state(key, state)
        row = new_instance(self.runs.by_id[key.run_id], self.dag.get_task(key.task_id), key.map_index)
        return ResolvedWithoutRun(row, state, reason)

    def _expand(self, key: TaskKey) -> None:
        """Determine the number of instances of a mapped task, and insert their rows."""
        task, run, database = self.dag.get_task(key.task_id), self.runs.by_id[key.run_id], self.deployment.database
        try:
            count, state, why = mapped_count(self.deployment, task, run), TaskState.SKIPPED, "it is mapped over nothing"
        except ElasticError as error:
            count, state, why = 0, TaskState.FAILED, masked(str(error))
        if not count:
            apply(database, StateChanges(resolved=[self._resolve(key, state, why)]))
            return
        transitions.ensure_instances(database, [new_instance(run, task, index) for index in range(count)])
        self.tracker.expand(key, count)
        self._sync([key.run_id])

    def _start(self, attempts: Sequence[RunningAttempt], accepted: frozenset[str]) -> None:
        """Give the attempts that the database accepted to the executor."""
        for attempt in attempts:
            key, request = attempt.key, attempt.request
            if attempt.attempt_uuid not in accepted:
                self.attempts.back_off([key], self._poll_seconds)
                continue
            task = self.dag.get_task(key.task_id)
            self.attempts.add(attempt)
            self.tracker.set_state(key, TaskState.RUNNING if request.is_claimed else TaskState.QUEUED)
            self.say(f"Adding to queue: {shown_command(task, request)}")
            self.executor.queue_command(key, command_of(task, request), task.queue)

    def _sync(self, run_ids: Sequence[str] | None = None) -> None:
        """Read the rows of runs from the database; by default, of all active runs."""
        wanted = self.runs.active if run_ids is None else list(run_ids)
        found = queries.instances(self.deployment.database, self.dag.dag_id, wanted) if wanted else []
        for run_id in wanted:
            rows = [one for one in found if one.run_id == run_id]
            retry_at = {one.key: one.next_retry_at for one in rows if one.next_retry_at is not None}
            if self.tracker.sync(run_id, {one.key: one.state for one in rows}, retry_at):
                self._poll_seconds = _MIN_POLL_SECONDS
        self.attempts.rows.update({one.key: one for one in found})

    def _expire_lost_leases(self) -> None:
        """Expire the attempts whose owners are dead, so that their instances run again."""
        release_leases_of_dead_processes(self.deployment.database, self.dag.dag_id)
        transitions.expire(self.deployment.database, dag_id=self.dag.dag_id, gives_up=False)
        self._callbacks.queue_due()

    def _heartbeat_and_poll(self, job_id: int, ready: Sequence[RunnableTask]) -> None:
        """Send the heartbeat and read changes by other processes, each when it is due."""
        self._callbacks.poll()
        now = time.monotonic()
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat_interval
            held = transitions.renew(self.deployment.database, self.owner, self.deployment.lease)
            heartbeat(self.deployment.database, job_id)
            lost = [key for key, attempt in self.attempts.running.items() if attempt.attempt_uuid not in held]
            for key in lost:
                # A stale attempt must stop. If it has just finished, its result arrives as an event.
                self.executor.kill(key)
            for key in self.attempts.overdue():
                self.executor.kill(key)
            self._sync()
            self.dispatcher.read_pools()
        if now >= self._poll_at:
            if ready and not self.attempts.running:
                self._waiting_notice.report_full(ready)
            self._poll_seconds = min(2 * self._poll_seconds, _MAX_POLL_SECONDS)
            self._poll_at = now + self._poll_seconds
            if self._waits_for_others or self.attempts.is_backing_off or not self.attempts.running:
                self._expire_lost_leases()
                self._sync()

    @property
    def _waits_for_others(self) -> bool:
        """Whether another process runs an instance of an active run."""
        active_runs = set(self.runs.active)
        active = (key for key, state in self.tracker.states().items() if state is not None and state.is_active)
        return any(key not in self.attempts.running for key in active if key.run_id in active_runs)

    def _poll_timeout(self) -> float:
        """Return the seconds that the loop may wait for the executor."""
        if self.dispatcher.has_more:
            return 0.0
        waits = [self._heartbeat_at - time.monotonic(), self._poll_at - time.monotonic()]
        wakes_at = self.tracker.wakes_at()
        if wakes_at is not None:
            waits.append((wakes_at - self._now()).total_seconds())
        return max(0.0, min(waits))

    def _is_done(self, ready: Sequence[RunnableTask], job_id: int) -> bool:
        if self.attempts.running or self.executor.running or self.executor.queued:
            return False
        if self.runs.is_done:
            return True
        obstacles = {one.key: why for one in ready if (why := self.dispatcher.lasting_obstacle(one))}
        may_continue = len(obstacles) < len(ready) or self._waits_for_others
        if self._is_single:
            return not may_continue
        if may_continue or self.tracker.wakes_at() is not None:
            return False
        if not self.runs.active:
            requeue_orphaned_runs(self.deployment, self.dag.dag_id, self.runs.by_id, job_id)
            if self.runs.is_refused:
                self._waiting_notice.report_max_active_runs()
            return False
        self.stuck += self.runs.fail_stuck(self._now(), obstacles)
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
            self.runs.interrupt(why)
            end_job(database, job_id, "failed")
        finally:
            self.executor.terminate()
        self._callbacks.finish()

    def _now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)
