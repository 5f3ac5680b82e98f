"""The supervisor: carries out what the agenda finds, with an executor, and writes down every change."""

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
from elastic.db.records import AttemptResult, DagRun, LogLine
from elastic.db.stores.jobs import end_job, heartbeat, start_job
from elastic.executors.executor import Executor, ExecutorEvent
from elastic.scheduler.attempts.attempt_request import AttemptReport, command_of, new_instance, shown_command
from elastic.scheduler.attempts.attempt_runner import AttemptRunner
from elastic.scheduler.attempts.process_identity import ProcessIdentity, release_leases_of_dead_processes
from elastic.scheduler.attempts.run_attempt import retry_or_fail
from elastic.scheduler.decisions.inputs import RunnableTask
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.signals import DeferredSignals, why_ended
from elastic.scheduler.supervisor.active_runs import ActiveRuns, requeue_orphaned_runs
from elastic.scheduler.supervisor.dispatcher import Dispatch, Dispatcher
from elastic.scheduler.supervisor.due_callbacks import DueCallbacks
from elastic.scheduler.supervisor.free_slots import WaitingNotice
from elastic.scheduler.supervisor.mapping import mapped_count
from elastic.scheduler.supervisor.running_attempts import RowVersion, RunningAttempts
from elastic.scheduler.supervisor.state_changes import OUTAGES, ResolvedWithoutRun, StateChanges, apply, write_each

#: Seconds between looks at what others do: at first, and at most.
_POLL, _SLOWEST_POLL = 0.1, 2.0

_HELD = (TaskState.QUEUED, TaskState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorJob:
    """What a supervisor is to see to."""

    dag: DAG
    #: in the order in which they are to run
    runs: tuple[DagRun, ...]
    tracker: RunTracker
    executor: Executor
    #: runs that may go on at the same time; 0 leaves the states of runs alone, and makes one try of each instance
    max_active_runs: int
    #: no instance is tried again: what fails has failed
    tries_once: bool = False
    #: with 0 runs: only these instances, and nothing that follows from them; None for all
    only: frozenset[TaskKey] | None = None
    #: where the logs of tasks go as well, if they run in this process
    terminal: TextIO | None = None
    #: what kind of job it is
    kind: str = "BackfillJob"


@dataclass(frozen=True, slots=True)
class _Heard:
    """An attempt that ended, as far as we know."""

    key: TaskKey
    report: AttemptReport
    ending: AttemptResult


class Supervisor:
    """Sees to it that task instances run, until there is nothing left to do.

    One thread does everything: it hears from the executor how attempts ended, asks the agenda what follows, writes
    all of that down in one transaction, and only then has the executor start what was queued. In between it renews
    the leases of what it has in hand, and looks at what others do in the same runs.

    Args:
        deployment: Where it happens.
        assignment: What is to be done.
        say: Told what happens, a line at a time.
    """

    def __init__(self, deployment: Deployment, assignment: SupervisorJob, say: Callable[[str], None]) -> None:
        # Processes that are forked from this one know them too.
        hide_known_secrets()
        self.deployment, self.say, self.dag = deployment, say, assignment.dag
        self.tracker, self.executor, self._kind = assignment.tracker, assignment.executor, assignment.kind
        self.owner = f"{ProcessIdentity.of_this_process()}/{uuid.uuid4().hex[:8]}"
        self._interruption = DeferredSignals()
        self.hands = RunningAttempts()
        self.runs = ActiveRuns(deployment, self.dag, assignment.runs, self.tracker, assignment.max_active_runs)
        self.dispatcher = Dispatcher(deployment, self.dag, self.runs.by_id, self.executor, self.owner)
        self.dispatcher.tries_once = assignment.tries_once
        self._callbacks = DueCallbacks(deployment, self.dag, self.runs.by_id, say)
        self._waiting = WaitingNotice(deployment.database, self.dag, say)
        #: why some instances wait for what will never come
        self.stuck: list[str] = []
        self._runner = AttemptRunner(self.dag, deployment, assignment.terminal)
        self._only = assignment.only
        self._is_single = not assignment.max_active_runs
        self._tried: set[TaskKey] = set()
        #: mapped tasks whose copies are counted when what they are mapped over is written down
        self._uncounted: list[TaskKey] = []
        self._unwritten: tuple[LogLine, ...] = ()
        self._beats_at = self._polls_at = 0.0
        self._poll = _POLL

    def run(self) -> None:
        """Do it. When it is interrupted, or fails itself, what is running is marked as failed and ended."""
        database = self.deployment.database
        job_id = start_job(database, self._kind, dag_id=self.dag.dag_id, executor=type(self.executor).__name__)
        self.dispatcher.job_id = job_id
        with self._interruption:
            try:
                self.executor.start(self._runner)
                self._work(job_id)
                self.executor.end()
            except BaseException as error:
                self._abandon(error, job_id)
                raise
        end_job(database, job_id, "success")

    def _work(self, job_id: int) -> None:
        self.dispatcher.read_pools()
        self._take_over()
        self._beats_at = time.monotonic() + self._heartbeat
        while True:
            self._begin()
            ready = self._turn()
            while self._uncounted:
                self._expand(self._uncounted.pop())
                ready = self._turn()
            self.runs.end()
            if self._is_done(ready, job_id):
                break
            with self._interruption.allowed():
                self.executor.heartbeat(self._patience())
            self._care(job_id, ready)
        self._callbacks.end()
        apply(self.deployment.database, StateChanges(lines=self.runs.log.taken()))

    @property
    def _heartbeat(self) -> float:
        return min(self.deployment.heartbeat, self.deployment.lease / 3)

    def _begin(self) -> None:
        while begun := self.runs.begin():
            self._refresh(begun)
            self.runs.reopen(begun)
            self.runs.end()

    def _turn(self) -> Sequence[RunnableTask]:
        """Hear, decide, write down, and hand over to the executor; return what could run as well."""
        heard = [found for event in self.executor.get_event_buffer().values() if (found := self._heard(event))]
        settled = [one for each in heard for one in self._noted(each)]
        ready = self._found(settled)
        picks = self.dispatcher.picks(ready, self.hands)
        lines, self._unwritten = (*self._unwritten, *self.runs.log.taken()), ()
        turn = StateChanges(
            endings=[each.ending for each in heard],
            settled=settled,
            tickets=[pick.ticket for pick in picks],
            claims=[pick.claim for pick in picks if pick.claim],
            lines=(*lines, *(line for each in heard for line in each.report.lines)),
        )
        if not (turn.endings or turn.settled or turn.tickets or turn.lines):
            return ready
        try:
            written = apply(self.deployment.database, turn)
        except OUTAGES:
            raise
        except Exception as error:
            if not heard:
                raise
            return self._turn_after(heard, lines, error)
        if any(each.ending.callback for each in heard):
            self._callbacks.look()
        for each in heard:
            if each.ending.attempt_uuid in written.counted:
                self.hands.rows[each.key].version += 1
        self._hand_over(picks, written.queued)
        if len(written.counted) < len(heard) or len(written.queued) < len(picks):
            self._refresh()
        return ready

    def _turn_after(
        self, heard: Sequence[_Heard], lines: Sequence[LogLine], error: Exception
    ) -> Sequence[RunnableTask]:
        """Take the turn again when the database refused it: each ending alone, then what follows from them."""
        self.say(f"Written one by one: what {len(heard)} attempts came to was refused as a whole ({error_text(error)})")
        write_each(self.deployment.database, [each.ending for each in heard])
        for line in (*lines, *(line for each in heard for line in each.report.lines)):
            with contextlib.suppress(DatabaseError, ValueError, OverflowError):
                apply(self.deployment.database, StateChanges(lines=[line]))
        self._callbacks.look()
        self._refresh()
        return self._turn()

    def _heard(self, event: ExecutorEvent) -> _Heard | None:
        """Return how an attempt ended; None if it has no say any more, or has written its end down itself."""
        hand = self.hands.held.pop(event.key, None)
        if hand is None:
            return None
        self._tried.add(event.key)
        if isinstance(event.account, AttemptReport):
            ending = event.account.ending
            if ending is not None:
                return _Heard(event.key, event.account, ending)
            self._refresh()
            return None
        row = queries.instance(self.deployment.database, event.key)
        if row is None or row.attempt_uuid != hand.attempt_uuid or row.state not in _HELD:
            self._refresh()
            return None
        why = event.error or f"{type(self.executor).__name__} says that it ended, but the attempt itself does not"
        if hand.is_overdue:
            why = f"it took longer than its execution_timeout, and did not hear that; {why}"
        failed = retry_or_fail(self.dag.get_task(event.key.task_id), hand.order, why, event.exit_code)
        ending = replace(failed, expected=row.state, callback=failed.state)
        return _Heard(event.key, AttemptReport(ending=ending), ending)

    def _noted(self, heard: _Heard) -> list[ResolvedWithoutRun]:
        """Tell the agenda how an attempt ended; return what is skipped because of what it returned."""
        key, run_states = heard.key, self.tracker.run_states[heard.key.run_id]
        settled = []
        for task_id in heard.report.skipped:
            for one in run_states.keys_of(task_id) if task_id in run_states.tasks else ():
                if run_states.states[one] in (None, TaskState.SCHEDULED):
                    settled.append(self._settled(one, TaskState.SKIPPED, f"{key.task_id!r} chose so"))
        ending = heard.ending
        retry_at = self._now() + dt.timedelta(seconds=ending.retry_in) if ending.retry_in is not None else None
        self.tracker.set_state(key, ending.state, retry_at)
        return settled

    def _found(self, settled: list[ResolvedWithoutRun]) -> Sequence[RunnableTask]:
        """Ask the agenda until nothing more follows; return what may run."""
        while True:
            found = self.tracker.next_changes(self._now())
            if self._only is not None:
                return [one for one in found.ready if one.key in self._only and one.key not in self._tried]
            settled += [self._settled(key, state, reason) for key, state, reason in found.settled]
            self._uncounted += found.expandable
            if not found.settled:
                return [one for one in found.ready if not (self._is_single and one.key in self._tried)]

    def _settled(self, key: TaskKey, state: TaskState, reason: str) -> ResolvedWithoutRun:
        self.tracker.set_state(key, state)
        row = new_instance(self.runs.by_id[key.run_id], self.dag.get_task(key.task_id), key.map_index)
        return ResolvedWithoutRun(row, state, reason)

    def _expand(self, key: TaskKey) -> None:
        """Count the copies of a mapped task, and make their rows."""
        task, run, database = self.dag.get_task(key.task_id), self.runs.by_id[key.run_id], self.deployment.database
        try:
            count, state, why = mapped_count(self.deployment, task, run), TaskState.SKIPPED, "it is mapped over nothing"
        except ElasticError as error:
            count, state, why = 0, TaskState.FAILED, masked(str(error))
        if not count:
            apply(database, StateChanges(settled=[self._settled(key, state, why)]))
            return
        transitions.ensure_instances(database, [new_instance(run, task, index) for index in range(count)])
        self.tracker.expand(key, count)
        self._refresh([key.run_id])

    def _hand_over(self, picks: Sequence[Dispatch], queued: frozenset[str]) -> None:
        for pick in picks:
            if pick.ticket.attempt_uuid not in queued:
                self.hands.refuse([pick.key], self._poll)
                continue
            order, task = pick.hand.order, self.dag.get_task(pick.key.task_id)
            self.hands.take(pick.key, pick.hand)
            self.tracker.set_state(pick.key, TaskState.RUNNING if order.is_claimed else TaskState.QUEUED)
            self.say(f"Adding to queue: {shown_command(task, order)}")
            self.executor.queue_command(pick.key, command_of(task, order), task.queue)

    def _refresh(self, run_ids: Sequence[str] | None = None) -> None:
        """Take over what the database has of runs."""
        wanted = self.runs.going if run_ids is None else list(run_ids)
        found = queries.instances(self.deployment.database, self.dag.dag_id, wanted) if wanted else []
        for run_id in wanted:
            rows = [one for one in found if one.run_id == run_id]
            retry_at = {one.key: one.next_retry_at for one in rows if one.next_retry_at is not None}
            if self.tracker.sync(run_id, {one.key: one.state for one in rows}, retry_at):
                self._poll = _POLL
        self.hands.rows.update({one.key: RowVersion.of(one) for one in found})

    def _take_over(self) -> None:
        """End what nobody holds any more, so that it runs again."""
        release_leases_of_dead_processes(self.deployment.database, self.dag.dag_id)
        transitions.expire(self.deployment.database, dag_id=self.dag.dag_id, gives_up=False)
        self._callbacks.look()

    def _care(self, job_id: int, ready: Sequence[RunnableTask]) -> None:
        """Give signs of life, look at what others do, and say why nothing goes on."""
        self._callbacks.care()
        now = time.monotonic()
        if now >= self._beats_at:
            self._beats_at = now + self._heartbeat
            held = transitions.renew(self.deployment.database, self.owner, self.deployment.lease)
            heartbeat(self.deployment.database, job_id)
            lost = [key for key, hand in self.hands.held.items() if hand.attempt_uuid not in held]
            for key in lost:
                # What is not ours any more must not go on, unless it ended a moment ago and says so by itself.
                self.executor.kill(key)
            for key in self.hands.overdue():
                self.executor.kill(key)
            self._refresh()
            self.dispatcher.read_pools()
        if now >= self._polls_at:
            if ready and not self.hands.held:
                self._waiting.tell(ready)
            self._poll = min(2 * self._poll, _SLOWEST_POLL)
            self._polls_at = now + self._poll
            if self._others or self.hands.waits or not self.hands.held:
                self._take_over()
                self._refresh()

    @property
    def _others(self) -> bool:
        """Whether somebody else runs something that we wait for."""
        going = set(self.runs.going)
        active = (key for key, state in self.tracker.states().items() if state is not None and state.is_active)
        return any(key not in self.hands.held for key in active if key.run_id in going)

    def _patience(self) -> float:
        """Return how long nothing needs to be done, if the executor has nothing to tell, in seconds."""
        if self.dispatcher.has_more:
            return 0.0
        waits = [self._beats_at - time.monotonic(), self._polls_at - time.monotonic()]
        wakes_at = self.tracker.wakes_at()
        if wakes_at is not None:
            waits.append((wakes_at - self._now()).total_seconds())
        return max(0.0, min(waits))

    def _is_done(self, ready: Sequence[RunnableTask], job_id: int) -> bool:
        if self.hands.held or self.executor.running or self.executor.queued:
            return False
        if self.runs.is_done:
            return True
        lacks = {one.key: lack for one in ready if (lack := self.dispatcher.lack(one))}
        may_go_on = len(lacks) < len(ready) or self._others
        if self._is_single:
            return not may_go_on
        if may_go_on or self.tracker.wakes_at() is not None:
            return False
        if not self.runs.going:
            requeue_orphaned_runs(self.deployment, self.dag.dag_id, self.runs.by_id, job_id)
            if self.runs.is_refused:
                self._waiting.tell_of_runs()
            return False
        self.stuck += self.runs.give_up(self._now(), lacks)
        return self.runs.is_done

    def _abandon(self, error: BaseException, job_id: int) -> None:
        """Mark what is in hand as failed, and end it."""
        why = why_ended(error, "its supervisor")
        try:
            for key, hand in self.hands.held.items():
                failed = TaskState.FAILED
                ending = AttemptResult(attempt_uuid=hand.attempt_uuid, state=failed, error=why, callback=failed)
                if not transitions.finish(self.deployment.database, ending):
                    transitions.set_state(self.deployment.database, key, None, expected=(TaskState.QUEUED,), note=why)
            self.runs.interrupt(why)
            end_job(self.deployment.database, job_id, "failed")
        finally:
            self.executor.terminate()
        self._callbacks.end()

    def _now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)
