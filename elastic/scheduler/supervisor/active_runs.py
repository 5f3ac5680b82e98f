"""The runs that a supervisor sees to: which begin, how they end, and why one does not."""

import datetime as dt
import logging
import time
from collections.abc import Container, Mapping, Sequence

from elastic.dag.dag import DAG
from elastic.dag.execution.callbacks import run_callbacks
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.db.records import DagRun
from elastic.db.stores.jobs import RUNNING, jobs
from elastic.scheduler.attempts.attempt_request import AttemptRequest, facts_of
from elastic.scheduler.attempts.run_attempt import AttemptXCom, context_of
from elastic.scheduler.attempts.run_log import FlowLog
from elastic.scheduler.decisions.run_tracker import RunTracker, name_of
from elastic.scheduler.deployment import Deployment

_log = logging.getLogger("elastic.scheduler")

#: Seconds between tries to begin a run while others have as many going as there may be.
_POLL_SECONDS = 0.5

_FINAL = (RunState.SUCCESS, RunState.FAILED)
_UNFINISHED = (RunState.QUEUED, RunState.RUNNING)


class ActiveRuns:
    """Begins runs, as many as may go on at the same time, and ends them.

    Args:
        deployment: Where it happens.
        dag: The DAG.
        runs: In the order in which they are to run.
        tracker: What is to be done in them.
        most: How many may go on at the same time; 0 leaves their states alone.
    """

    def __init__(
        self, deployment: Deployment, dag: DAG, runs: Sequence[DagRun], tracker: RunTracker, most: int
    ) -> None:
        self._deployment, self._dag, self._tracker, self._most = deployment, dag, tracker, most
        self.by_id = {run.run_id: run for run in runs}
        self._waiting = [run.run_id for run in runs]
        self._going: list[str] = []
        self._asks_at = 0.0
        #: the last run that should begin could not, because others have as many going as there may be
        self.is_refused = False
        self.ended: dict[str, RunState] = {}
        self.log = FlowLog(deployment, dag.dag_id)

    @property
    def going(self) -> list[str]:
        """The ids of the runs that have begun and not ended."""
        return list(self._going)

    @property
    def waiting(self) -> bool:
        """Whether a run has not begun."""
        return bool(self._waiting)

    @property
    def is_done(self) -> bool:
        """Whether all runs have ended."""
        return not self._waiting and not self._going

    def begin(self) -> list[str]:
        """Begin runs for which there is room, and return their ids."""
        begun: list[str] = []
        if time.monotonic() < self._asks_at:
            return begun
        while self._waiting and (not self._most or len(self._going) < self._most):
            run_id = self._waiting[0]
            self.is_refused = not self._started(run_id)
            if self.is_refused:
                self._asks_at = time.monotonic() + _POLL_SECONDS
                break
            self._going.append(self._waiting.pop(0))
            self._tracker.begin(run_id)
            begun.append(run_id)
        return begun

    def reopen(self, run_ids: Sequence[str]) -> None:
        """Make runs running that had ended, and in which there is something to do after all."""
        for run_id in run_ids if self._most else ():
            run = self.by_id[run_id]
            if self._tracker.end_of(run_id) is None:
                # A task was added to the DAG, or the run was ended while it was not complete.
                transitions.set_run_state(
                    self._deployment.database, run.dag_id, run_id, RunState.RUNNING, expected=_FINAL
                )

    def end(self) -> None:
        """End the runs in which nothing is left to do."""
        for run_id in self.going:
            state = self._tracker.end_of(run_id)
            if state is not None:
                self._end(run_id, state)

    def give_up(self, now: dt.datetime, lacks: Mapping[TaskKey, str]) -> list[str]:
        """End the runs in which something waits for what will never come; return a sentence for each such thing.

        Args:
            now: The time.
            lacks: Why instances cannot run against which nothing else stands.
        """
        reasons: list[str] = []
        for run_id in self.going:
            waits = []
            for key, state in self._tracker.run_states[run_id].states.items():
                if state is None or not state.is_final:
                    waits.append(f"{run_id} {name_of(key)}: {lacks.get(key) or self._tracker.answer(key, now).reason}")
            self._end(run_id, RunState.FAILED, "cannot go on: " + "; ".join(waits[:3]))
            reasons += waits
        return reasons

    def interrupt(self, why: str) -> None:
        """End the runs that go on as failed."""
        for run_id in self.going:
            self._end(run_id, RunState.FAILED, why)

    def _started(self, run_id: str) -> bool:
        """Make a run running; say whether it is so."""
        run = self.by_id[run_id]
        if not self._most:
            return True
        if transitions.start_run(self._deployment.database, run.dag_id, run_id, max_active_runs=self._most):
            self.log.say(run, "begins" if run.attempt == 1 else f"begins, attempt {run.attempt}")
            return True
        found = queries.run_of_id(self._deployment.database, run.dag_id, run_id)
        return found is not None and found.state is not RunState.QUEUED

    def _end(self, run_id: str, state: RunState, message: str = "") -> None:
        self._going.remove(run_id)
        self.ended[run_id] = state
        run = self.by_id[run_id]
        if not self._most:
            return
        if state is RunState.SUCCESS and self._has_failed_beside(run):
            state = RunState.FAILED
        if transitions.set_run_state(self._deployment.database, run.dag_id, run_id, state, expected=_UNFINISHED):
            level = logging.INFO if state is RunState.SUCCESS else logging.ERROR
            self.log.say(run, message or f"ended: {state}", level)
            self._call_back(run, state)

    def _has_failed_beside(self, run: DagRun) -> bool:
        """Say whether a task failed that the whole DAG has, and the part of it that is run here has not."""
        left_out = self._dag.left_out
        found = queries.states(self._deployment.database, run.dag_id, run.run_id) if left_out else {}
        return any(key.task_id in left_out and state is not None and state.is_failure for key, state in found.items())

    def _call_back(self, run: DagRun, state: RunState) -> None:
        callbacks = self._dag.on_success_callback if state is RunState.SUCCESS else self._dag.on_failure_callback
        if not callbacks or not self._dag.tasks:
            return
        task = self._dag.tasks[-1]
        order = AttemptRequest(facts=facts_of(run, task.task_id), max_tries=1)
        with self._dag.helpers.installed():
            context = context_of(task, order, self._deployment, AttemptXCom(self._deployment, order.facts.key))
            failed = run_callbacks(callbacks, {**context, "state": state}, _log)
        if failed:
            self.log.say(run, f"{failed} of its callbacks failed", logging.ERROR)


def requeue_orphaned_runs(deployment: Deployment, dag_id: str, ours: Container[str], job_id: int) -> None:
    """Queue again what is called running and is not: runs of a DAG that no living job may be seeing to.

    Args:
        deployment: Where.
        dag_id: The DAG.
        ours: The ids of runs that are left alone.
        job_id: The job that asks.
    """
    living = [
        one
        for one in jobs(deployment.database, deployment.heartbeat, state=RUNNING)
        if one.is_alive and one.id != job_id
    ]
    if any(one.dag_id == dag_id for one in living):
        return
    for run in queries.runs(deployment.database, dag_id, states=[RunState.RUNNING]):
        if run.run_id not in ours:
            transitions.set_run_state(
                deployment.database, dag_id, run.run_id, RunState.QUEUED, expected=(RunState.RUNNING,)
            )
