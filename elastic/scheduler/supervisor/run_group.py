"""Run group: the runs of one version of a DAG, driven turn by turn by a loop that owns the executor."""

import contextlib
import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from elastic.config.secret_mask import masked
from elastic.core.errors import ElasticError
from elastic.core.text import error_text
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.errors import DatabaseError
from elastic.db.records import AttemptResult, DagRun
from elastic.executors.executor import Executor, ExecutorEvent
from elastic.scheduler.attempts.attempt_request import NOT_CLAIMED, command_of, new_instance, shown_command
from elastic.scheduler.attempts.process_identity import release_leases_of_dead_processes
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.inputs import RunnableTask
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.active_runs import ActiveRuns
from elastic.scheduler.supervisor.dispatcher import Dispatcher
from elastic.scheduler.supervisor.due_callbacks import CallbackCaller
from elastic.scheduler.supervisor.mapping import mapped_count
from elastic.scheduler.supervisor.running_attempts import RunningAttempt, RunningAttempts, lost_result
from elastic.scheduler.supervisor.state_changes import OUTAGES, ResolvedWithoutRun, StateChanges, apply, finish_each
from elastic.scheduler.supervisor.waiting_notice import WaitingNotice

#: Seconds between reads of the database for changes by other processes: at first, and at most.
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.1, 2.0

#: States of attempts that wait without a process.
WAITING = tuple(state for state in TaskState if state.is_waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSetup:
    """Parts and rules of a group of runs."""

    dag: DagSpec
    tracker: RunTracker
    executor: Executor
    callbacks: CallbackCaller
    #: owner of the leases of its attempts
    owner: str
    #: runs that may be active at the same time; 0 leaves the states of runs alone and tries each instance once
    max_active_runs: int
    #: True if failed instances are not retried
    tries_once: bool = False
    #: if `max_active_runs` is 0: the only instances that run, without those downstream; None for all instances
    only: frozenset[TaskKey] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Decisions of one turn: the changes to apply in one transaction, and the attempts to start after it."""

    changes: StateChanges
    #: results by instance
    finished: Mapping[TaskKey, AttemptResult]
    attempts: Sequence[RunningAttempt]
    #: all instances that may run if slots are free
    ready: Sequence[RunnableTask]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to apply."""
        found = self.changes
        return not (found.results or found.resolved or found.queue_requests or found.log_lines)


class RunGroup:
    """Runs of one version of a DAG. It needs no user code, and neither waits nor starts processes by itself.

    A loop calls `begin_runs` and `turn` again and again, each time with the events of the executor. `decide` derives
    the changes of a turn; `acknowledge` takes note of what the database accepted, and hands the queued attempts to the
    executor.

    Args:
        deployment: Database, folders and limits.
        setup: Parts and rules.
        runs: Runs in the order in which they start.
        say: Receives progress messages, one line at a time.
    """

    def __init__(
        self, deployment: Deployment, setup: GroupSetup, runs: Sequence[DagRun], say: Callable[[str], None]
    ) -> None:
        self.deployment, self.say, self.dag = deployment, say, setup.dag
        self.tracker, self.executor, self._callbacks = setup.tracker, setup.executor, setup.callbacks
        self.attempts = RunningAttempts()
        self.runs = ActiveRuns(deployment, self.dag, runs, self.tracker, setup.max_active_runs)
        self.runs.call_back = setup.callbacks.call_for_run
        self.dispatcher = Dispatcher(deployment, self.dag, self.runs.by_id, self.executor, setup.owner)
        self.dispatcher.tries_once = setup.tries_once
        self._waiting_notice = WaitingNotice(deployment, self.dag, setup.executor, say)
        self._only = setup.only
        self._is_single = not setup.max_active_runs
        self._tried: set[TaskKey] = set()
        #: attempts that were given to the executor
        self.started = 0
        #: mapped tasks to expand once the results that they map over are recorded
        self._unexpanded: list[TaskKey] = []
        #: events whose results are not known to be recorded, and their attempts
        self._unrecorded: list[ExecutorEvent] = []
        self._unrecorded_attempts: dict[TaskKey, RunningAttempt] = {}
        self._poll_at = 0.0
        self._poll_seconds = _MIN_POLL_SECONDS

    def begin_runs(self) -> None:
        """Start runs up to the limit, and end those that have nothing left to do."""
        while begun := self.runs.begin():
            self.sync(begun)
            self.runs.reopen(begun)
            self.runs.end_finished()

    def turn(self, events: Iterable[ExecutorEvent]) -> Sequence[RunnableTask]:
        """Decide, apply the changes and start attempts until nothing more follows; return the instances still ready."""
        self._unrecorded = list(events)
        ready = self._step(self._unrecorded)
        while self._unexpanded:
            self._expand(self._unexpanded.pop())
            ready = self._step(())
        self.runs.end_finished()
        return ready

    def decide(self, events: Iterable[ExecutorEvent]) -> Turn:
        """Return the changes that follow from the events and from the present states."""
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
        return Turn(changes=changes, finished=finished, attempts=attempts, ready=ready)

    def acknowledge(self, turn: Turn, accepted: frozenset[str]) -> None:
        """Take note of the attempts whose changes took effect, and give the queued ones to the executor."""
        for key, result in turn.finished.items():
            if result.attempt_uuid in accepted:
                self.attempts.record_finish(key)
        # Before anything that asks the database, which may have gone away after it queued the attempts.
        self._start(turn.attempts, accepted)
        self._forget_events()
        if any(result.callback for result in turn.changes.results):
            self._callbacks.queue_due()
        if len(accepted) < len(turn.finished) + len(turn.attempts):
            self.sync()
            self.dispatcher.read_pools()

    def sync(self, run_ids: Sequence[str] | None = None) -> None:
        """Read the rows of runs from the database; by default, of all active runs."""
        wanted = self.runs.active if run_ids is None else list(run_ids)
        found = queries.instances(self.deployment.database, self.dag.dag_id, wanted) if wanted else []
        for run_id in wanted:
            rows = [one for one in found if one.run_id == run_id]
            retry_at = {one.key: one.next_retry_at for one in rows if one.next_retry_at is not None}
            if self.tracker.sync(run_id, {one.key: one.state for one in rows}, retry_at):
                self._poll_seconds = _MIN_POLL_SECONDS
        self.attempts.rows.update({one.key: one for one in found})

    def expire_lost_leases(self) -> None:
        """Expire the attempts whose owners are dead, so that their instances run again."""
        release_leases_of_dead_processes(self.deployment.database, self.dag.dag_id)
        transitions.expire(self.deployment.database, dag_id=self.dag.dag_id, gives_up=False)
        self._callbacks.queue_due()

    def check_attempts(self, held: Collection[str]) -> None:
        """Kill the attempts that are overdue or no longer held, and read the rows of the runs.

        Args:
            held: The attempts whose leases were just renewed.
        """
        lost = [key for key, attempt in self.attempts.running.items() if attempt.attempt_uuid not in held]
        for key in (*lost, *self.attempts.overdue()):
            # A stale attempt must stop. If it has just finished, its result arrives as an event.
            self.executor.kill(key)
        self.sync()
        self.dispatcher.read_pools()

    def poll(self, ready: Sequence[RunnableTask]) -> None:
        """Read the changes of other processes, if a read is due."""
        if time.monotonic() < self._poll_at:
            return
        if ready and not self.attempts.running:
            self._waiting_notice.report_full(ready)
        self._poll_seconds = min(2 * self._poll_seconds, _MAX_POLL_SECONDS)
        self._poll_at = time.monotonic() + self._poll_seconds
        if self.waits_for_others or self.attempts.is_backing_off or not self.attempts.running:
            self.expire_lost_leases()
            self.sync()

    @property
    def waits_for_others(self) -> bool:
        """Whether another process runs an instance of an active run, or a triggerer checks for one."""
        active_runs = set(self.runs.active)
        wanted = (TaskState.QUEUED, TaskState.RUNNING, TaskState.DEFERRED)
        active = (key for key, state in self.tracker.states().items() if state in wanted)
        return any(key not in self.attempts.running for key in active if key.run_id in active_runs)

    def waiting(self, states: Collection[TaskState] = WAITING) -> list[TaskKey]:
        """Return the instances of active runs whose attempts wait without a process."""
        active_runs = set(self.runs.active)
        found = (key for key, state in self.tracker.states().items() if state in states)
        return [key for key in found if key.run_id in active_runs and (self._only is None or key in self._only)]

    def slots_in_use(self) -> Counter[str]:
        """Return the slots by pool that the attempts of this group use."""
        return self.dispatcher.slots_in_use(self.attempts)

    def seconds_until_work(self) -> float:
        """Return the seconds until the next turn has work that no event announces."""
        if self.dispatcher.has_more:
            return 0.0
        waits = [self._poll_at - time.monotonic()]
        wakes_at = self.tracker.wakes_at()
        if wakes_at is not None:
            waits.append((wakes_at - self._now()).total_seconds())
        return max(0.0, min(waits))

    def forget(self, run_id: str) -> None:
        """Forget a run that ended or was released, and that has no running attempt."""
        self.runs.forget(run_id)
        for known in (self.attempts.rows, self._tried):
            for key in [key for key in known if key.run_id == run_id]:
                known.pop(key) if isinstance(known, dict) else known.discard(key)

    def in_flight(self) -> tuple[list[RunningAttempt], list[ExecutorEvent]]:
        """Return the attempts whose results are not known to be recorded, and the events to repeat."""
        return [*self._unrecorded_attempts.values(), *self.attempts.running.values()], list(self._unrecorded)

    def adopt(self, attempts: Sequence[RunningAttempt], quiet_seconds: float) -> None:
        """Go on with attempts that run on the executor already.

        Args:
            attempts: Attempts that the owner of this group still holds.
            quiet_seconds: Seconds during which the attempts of other processes are left alone.
        """
        self.attempts.running.update({one.key: one for one in attempts})
        self.sync(sorted({one.key.run_id for one in attempts}))
        self._poll_at = time.monotonic() + quiet_seconds

    def abandon(self) -> None:
        """Kill the attempts of all runs and give up their leases, so that any master may run the instances again."""
        database, dag_id, owner = self.deployment.database, self.dag.dag_id, self.dispatcher.owner
        self.executor.withdraw(self._has)
        for key in list(self.executor.running):
            if self._has(key):
                self.executor.kill(key)
        # By the rows, because an attempt whose result was not recorded no longer counts as running here.
        for row in queries.active_instances(database, dag_id):
            if row.lease_owner == owner and self._has(row.key) and row.attempt_uuid:
                transitions.release_leases(database, owner, attempt_uuid=row.attempt_uuid)
        transitions.expire(database, dag_id=dag_id, gives_up=False)
        self._callbacks.queue_due()

    def _has(self, key: TaskKey) -> bool:
        return key.dag_id == self.dag.dag_id and key.run_id in self.runs.by_id

    def flush_log(self) -> None:
        """Store the lines of the log of runs that no turn has stored."""
        lines = self.runs.log.take()
        if lines:
            apply(self.deployment.database, StateChanges(log_lines=lines))

    def report_max_active_runs(self) -> None:
        """Report that no run can start because other processes run as many as the DAG allows."""
        self._waiting_notice.report_max_active_runs(self.runs.max_active)

    def _step(self, events: Iterable[ExecutorEvent]) -> Sequence[RunnableTask]:
        turn = self.decide(events)
        if turn.is_empty:
            self._forget_events()
            return turn.ready
        try:
            accepted = apply(self.deployment.database, turn.changes)
        except OUTAGES:
            raise
        except Exception as error:
            if not turn.changes.results:
                raise
            return self._step_one_by_one(turn.changes, error)
        self.acknowledge(turn, accepted)
        return turn.ready

    def _step_one_by_one(self, changes: StateChanges, error: Exception) -> Sequence[RunnableTask]:
        """Repeat a step that the database refused: record each result alone, then decide what follows."""
        count = len(changes.results)
        self.say(
            f"Recording {count} results one by one, because the database refused them together: {error_text(error)}"
        )
        finish_each(self.deployment.database, changes.results)
        self._forget_events()
        for line in changes.log_lines:
            with contextlib.suppress(DatabaseError, ValueError, OverflowError):
                apply(self.deployment.database, StateChanges(log_lines=[line]))
        self._callbacks.queue_due()
        self.sync()
        return self._step(())

    def _forget_events(self) -> None:
        self._unrecorded = []
        self._unrecorded_attempts.clear()

    def _finished_attempt(self, event: ExecutorEvent) -> AttemptResult | None:
        """Return the result of an attempt that ended; None if it is stale or has recorded its result itself."""
        attempt = self.attempts.running.pop(event.key, None)
        if attempt is None:
            return None
        self._unrecorded_attempts[event.key] = attempt
        if isinstance(event.account, AttemptResult):
            if event.account.wait is None:
                self._tried.add(event.key)
            return event.account
        self._tried.add(event.key)
        if event.account == NOT_CLAIMED:
            self.sync()
            return None
        failed = lost_result(self.deployment.database, self.dag.tasks[event.key.task_id], attempt, event)
        if failed is None:
            self.sync()
        return failed

    def _apply_result(self, key: TaskKey, result: AttemptResult) -> list[ResolvedWithoutRun]:
        """Set the state of an instance in the tracker; return the instances that its result skips."""
        states = self.tracker.run_states[key.run_id]
        resolved = []
        for task_id in result.skipped_task_ids:
            for one in states.keys_of(task_id) if task_id in states.tasks else ():
                if states.states[one] in (None, TaskState.SCHEDULED):
                    resolved.append(self._resolve(one, TaskState.SKIPPED, f"skipped by {key.task_id!r}"))
        seconds = result.wait.check_in if result.wait is not None else result.retry_in
        retry_at = None if seconds is None else self._now() + dt.timedelta(seconds=seconds)
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
        row = new_instance(self.runs.by_id[key.run_id], self.dag.tasks[key.task_id], key.map_index)
        return ResolvedWithoutRun(row, state, reason)

    def _expand(self, key: TaskKey) -> None:
        """Determine the number of instances of a mapped task, and insert their rows."""
        task, run, database = self.dag.tasks[key.task_id], self.runs.by_id[key.run_id], self.deployment.database
        try:
            count, state, why = mapped_count(self.deployment, task, run), TaskState.SKIPPED, "it is mapped over nothing"
        except ElasticError as error:
            count, state, why = 0, TaskState.FAILED, masked(str(error))
        if not count:
            apply(database, StateChanges(resolved=[self._resolve(key, state, why)]))
            return
        transitions.ensure_instances(database, [new_instance(run, task, index) for index in range(count)])
        self.tracker.expand(key, count)
        self.sync([key.run_id])

    def _start(self, attempts: Sequence[RunningAttempt], queued: frozenset[str]) -> None:
        """Give the attempts that the database queued to the executor."""
        for attempt in attempts:
            key, request = attempt.key, attempt.request
            if attempt.attempt_uuid not in queued:
                self.attempts.back_off([key], self._poll_seconds)
                continue
            task = self.dag.tasks[key.task_id]
            self.attempts.add(attempt)
            self.started += 1
            self.tracker.set_state(key, TaskState.RUNNING if request.is_claimed else TaskState.QUEUED)
            if attempt.is_left:
                self.say(f"Leaving to a worker of queue {task.queue}: {shown_command(self.dag, request)}")
                self._poll_seconds, self._poll_at = _MIN_POLL_SECONDS, 0.0
                continue
            if not request.continues:
                self.say(f"Adding to queue: {shown_command(self.dag, request)}")
            self.executor.queue_command(key, command_of(self.dag, task, request), task.queue)

    def _now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)
