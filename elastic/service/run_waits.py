"""Waits of runs: why a run of the service has not begun, or does not go on, as verdicts with a sentence each."""

from elastic.dag.states.state import RunState
from elastic.dag.states.verdict import Decision, Verdict
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.records import DagRun
from elastic.db.stores.dags import cursor_of, dags, import_errors
from elastic.db.stores.jobs import MASTER_JOB
from elastic.db.stores.notifications import count_waiting
from elastic.scheduler.commands.why import last_sign_of_life
from elastic.scheduler.decisions.free_slots import active_runs_reason
from elastic.service.health import has_living_master


def run_verdicts(database: Database, run: DagRun, heartbeat: float) -> list[Verdict]:
    """Return the verdicts on a run that the service runs; none for a run of a command, or one that ended.

    Args:
        database: The database.
        run: The run.
        heartbeat: Interval of the heartbeats of masters (seconds).
    """
    if not run.is_served or run.state.is_final:
        return []
    found = [_master(database, heartbeat)]
    if run.state is RunState.QUEUED:
        found = [*_start(database, run), *found]
    return [*found, *_file(database, run)]


def start_advice(database: Database, run: DagRun, heartbeat: float) -> str:
    """Return a phrase that says who runs a queued run, or how to run it if no master is alive.

    Args:
        database: The database.
        run: The run.
        heartbeat: Interval of the heartbeats of masters (seconds).
    """
    cursor = cursor_of(database, run.dag_id)
    if cursor is not None and cursor.is_paused:
        return f"the DAG is paused, so the run waits for `elastic dags unpause {run.dag_id}`"
    if has_living_master(database, heartbeat):
        return "a master runs it"
    return f"run it with `elastic backfill {run.dag_id} --runs {run.run_id}`, or start `elastic master`"


def notification_advice(database: Database, heartbeat: float) -> str:
    """Return a sentence about notifications that wait; empty if there are none, or a living master sends them.

    Args:
        database: The database.
        heartbeat: Interval of the heartbeats of masters (seconds).
    """
    count = count_waiting(database)
    if not count or has_living_master(database, heartbeat):
        return ""
    those = "1 notification waits" if count == 1 else f"{count} notifications wait"
    return f"{those}; `elastic notifications send` sends what waits, and so does the next service"


def _start(database: Database, run: DagRun) -> list[Verdict]:
    """Return the verdicts on the start of a queued run."""
    cursor = cursor_of(database, run.dag_id)
    if cursor is None:
        return []
    if cursor.is_paused:
        why = f"DAG {run.dag_id!r} is paused; `elastic dags unpause {run.dag_id}` lets its queued runs begin"
        paused = _unmet("dag", why)
    else:
        paused = _met("dag", f"DAG {run.dag_id!r} is not paused")
    active = queries.runs(database, run.dag_id, states=[RunState.RUNNING])
    if len(active) >= cursor.max_active_runs:
        why = active_runs_reason(run.dag_id, cursor.max_active_runs, active[0].run_id)
        return [paused, _unmet("active runs", why)]
    return [paused, _met("active runs", f"{len(active)} of {cursor.max_active_runs} runs are active")]


def _master(database: Database, heartbeat: float) -> Verdict:
    if has_living_master(database, heartbeat):
        return _met("master", "a master is alive")
    silent = " ".join(["no master is alive", last_sign_of_life(database, heartbeat, MASTER_JOB)]).rstrip()
    return _unmet("master", f"{silent}; start one with `elastic master`, or run it with `elastic backfill`")


def _file(database: Database, run: DagRun) -> list[Verdict]:
    """Return a verdict if the file of the DAG is broken or gone; its last good version goes on."""
    row = next((row for row in dags(database, active_only=False) if row.dag_id == run.dag_id), None)
    if row is None:
        return []
    if not row.is_active:
        return [_unmet("file", f"no file defines DAG {run.dag_id!r}; it was in {row.fileloc}")]
    text = import_errors(database).get(row.fileloc)
    if text is None:
        return []
    reason = text.splitlines()[0] if text.strip() else row.fileloc
    return [_met("file", f"its file cannot be loaded, and its last good version runs: {reason}")]


def _met(condition: str, reason: str) -> Verdict:
    return Verdict(condition, Decision.RUN, reason)


def _unmet(condition: str, reason: str) -> Verdict:
    return Verdict(condition, Decision.WAIT, reason)
