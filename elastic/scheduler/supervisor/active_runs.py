"""Active runs of a supervisor: starts DAG runs within the limit, ends them, and fails the runs that are stuck."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Container, Mapping, Sequence

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.db.records import DagRun
from elastic.db.stores.jobs import living_jobs
from elastic.db.transitions import RunClaim
from elastic.scheduler.attempts.run_log import FlowLog
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.deployment import Deployment

#: Seconds between attempts to start a run while other processes use up `max_active_runs`.
_START_INTERVAL = 0.5

_FINAL = (RunState.SUCCESS, RunState.FAILED)


class ActiveRuns:
    """Runs of a supervisor, of which a limited number is active at the same time.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        runs: Runs in the order in which they start.
        tracker: States of their instances.
        max_active: Runs that may be active at the same time; 0 leaves the states of runs alone.
    """

    def __init__(
        self, deployment: Deployment, dag: DagSpec, runs: Sequence[DagRun], tracker: RunTracker, max_active: int
    ) -> None:
        self._deployment, self._dag, self._tracker = deployment, dag, tracker
        self.max_active = max_active
        self.by_id = {run.run_id: run for run in runs}
        self._waiting = [run.run_id for run in runs]
        self._active: list[str] = []
        self._next_start_at = 0.0
        #: True if the next run could not start because other processes use up the limit
        self.is_refused = False
        self.ended: dict[str, RunState] = {}
        #: calls the callbacks of a run that ended, and returns the number of those that failed
        self.call_back: Callable[[DagRun, RunState], int] = lambda run, state: 0
        self.log = FlowLog(deployment, dag.dag_id)
        #: claims by run id, if a master of the scheduler service decides about the runs
        self.claims: dict[str, RunClaim] = {}

    @property
    def active(self) -> list[str]:
        """The ids of the runs that have started and not ended."""
        return list(self._active)

    @property
    def is_done(self) -> bool:
        """Whether all runs have ended."""
        return not self._waiting and not self._active

    def add(self, claim: RunClaim) -> None:
        """Add a run that this master has taken; one that is active already comes before those that wait."""
        run = claim.run
        self.by_id[run.run_id], self.claims[run.run_id] = run, claim
        self._waiting.append(run.run_id)
        self._waiting.sort(key=lambda one: (self.by_id[one].state is RunState.QUEUED, self.by_id[one].logical_date))

    def release(self, run_id: str) -> None:
        """Stop deciding about a run, which another master has taken over."""
        for listed in (self._active, self._waiting):
            if run_id in listed:
                listed.remove(run_id)
        self._tracker.close(run_id)

    def forget(self, run_id: str) -> None:
        """Forget a run that ended or was released."""
        del self.by_id[run_id]
        self.claims.pop(run_id, None)
        self.ended.pop(run_id, None)
        self._tracker.remove(run_id)

    @property
    def over(self) -> list[str]:
        """The ids of the runs that have ended or were released."""
        present = {*self._active, *self._waiting}
        return [run_id for run_id in self.by_id if run_id not in present]

    def begin(self) -> list[str]:
        """Start runs up to the limit and return their ids."""
        begun: list[str] = []
        if time.monotonic() < self._next_start_at:
            return begun
        while self._waiting and (not self.max_active or len(self._active) < self.max_active):
            run_id = self._waiting[0]
            self.is_refused = not self._start(run_id)
            if self.is_refused:
                self._next_start_at = time.monotonic() + _START_INTERVAL
                break
            self._active.append(self._waiting.pop(0))
            self._tracker.begin(run_id)
            begun.append(run_id)
        return begun

    def reopen(self, run_ids: Sequence[str]) -> None:
        """Set ended runs to running if they have unfinished instances."""
        for run_id in run_ids if self.max_active else ():
            run = self.by_id[run_id]
            if self._tracker.end_of(run_id) is None:
                # A task was added to the DAG, or a user ended the run before it was complete.
                transitions.set_run_state(
                    self._deployment.database, run.dag_id, run_id, RunState.RUNNING, expected=_FINAL
                )

    def end_finished(self) -> None:
        """End the runs whose instances have all finished."""
        for run_id in self.active:
            state = self._tracker.end_of(run_id)
            if state is not None:
                self._end(run_id, state)

    def fail_stuck(self, now: dt.datetime, obstacles: Mapping[TaskKey, str]) -> list[str]:
        """Fail the active runs, whose instances wait for conditions that can never be met.

        Args:
            now: The time.
            obstacles: Why instances that meet all other conditions cannot get slots.

        Returns:
            A sentence for each waiting instance.
        """
        reasons: list[str] = []
        for run_id in self.active:
            waits = []
            for key, state in self._tracker.run_states[run_id].states.items():
                if state is None or not state.is_final:
                    why = obstacles.get(key) or self._tracker.verdict(key, now).reason
                    waits.append(f"{run_id} {key.task_name}: {why}")
            self._end(run_id, RunState.FAILED, "cannot go on: " + "; ".join(waits[:3]))
            reasons += waits
        return reasons

    def interrupt(self, why: str) -> None:
        """Fail the active runs."""
        for run_id in self.active:
            self._end(run_id, RunState.FAILED, why)

    def _start(self, run_id: str) -> bool:
        """Set a run to running; return False if other processes use up the limit."""
        run = self.by_id[run_id]
        if not self.max_active:
            return True
        if transitions.start_run(self._deployment.database, run.dag_id, run_id, max_active_runs=self.max_active):
            self.log.write(run, "begins" if run.attempt == 1 else f"begins, attempt {run.attempt}")
            return True
        found = queries.run_of_id(self._deployment.database, run.dag_id, run_id)
        return found is not None and found.state is not RunState.QUEUED

    def _end(self, run_id: str, state: RunState, message: str = "") -> None:
        self._active.remove(run_id)
        self.ended[run_id] = state
        run = self.by_id[run_id]
        if not self.max_active:
            return
        if state is RunState.SUCCESS and self._has_failure_outside(run):
            state = RunState.FAILED
        calls_back = state in self._dag.callback_states
        if self._set_final(run, state, calls_back=calls_back):
            level = logging.INFO if state is RunState.SUCCESS else logging.ERROR
            self.log.write(run, message or f"ended: {state}", level)
            failed = self.call_back(run, state) if calls_back else 0
            if failed:
                self.log.write(run, f"{failed} of its callbacks failed", logging.ERROR)

    def _set_final(self, run: DagRun, state: RunState, *, calls_back: bool) -> bool:
        claim = self.claims.get(run.run_id)
        if claim is not None:
            return transitions.end_claimed_run(self._deployment.database, claim, state, calls_back=calls_back)
        return transitions.end_run(self._deployment.database, run.dag_id, run.run_id, state, calls_back=calls_back)

    def _has_failure_outside(self, run: DagRun) -> bool:
        """Return whether a task failed that belongs to the whole DAG, but not to the part that runs here."""
        left_out = self._dag.left_out
        found = queries.states(self._deployment.database, run.dag_id, run.run_id) if left_out else {}
        return any(key.task_id in left_out and state is not None and state.is_failure for key, state in found.items())


def requeue_orphaned_runs(deployment: Deployment, dag_id: str, excluded: Container[str], job_id: int) -> None:
    """Queue again the running runs of a DAG for which no living job is responsible.

    Args:
        deployment: Database, folders and limits.
        dag_id: The DAG.
        excluded: Ids of runs to leave alone.
        job_id: The job of the caller.
    """
    database = deployment.database
    living = living_jobs(database, deployment.heartbeat)
    if any(one.dag_id == dag_id and one.id != job_id for one in living):
        return
    for run in queries.runs(database, dag_id, states=[RunState.RUNNING]):
        if run.run_id not in excluded:
            transitions.set_run_state(database, dag_id, run.run_id, RunState.QUEUED, expected=(RunState.RUNNING,))
