"""Recovery in Synergy's run modes: run a timeperiod again from the start, from its failures, or from one task."""

from collections.abc import Callable
from datetime import datetime

from elastic.core.errors import ElasticError, UsageError
from elastic.dag.dag import DAG
from elastic.dag.timetable.timeperiod import logical_date_of
from elastic.db import queries, transitions
from elastic.db.records import DagRun, RunMode, RunType, TaskInstanceRow
from elastic.scheduler.attempts.process_identity import release_leases_of_dead_processes
from elastic.scheduler.catalog.dag_catalog import store
from elastic.scheduler.commands.backfill import BackfillOptions, Summary, supervise
from elastic.scheduler.commands.planning import build_tracker, check_logical_date, make_instances, new_run
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.decisions.run_modes import states_of, tasks_to_clear
from elastic.scheduler.deployment import Deployment

#: Sources of the run mode, highest precedence first.
PRECEDENCE = ("request", "run", "process")


def mode_of(
    request: RunMode | str | None = None, run: RunMode | str | None = None, process: RunMode | str | None = None
) -> RunMode:
    """Return the run mode: that of the request, else of the run's record, else of the process, else nominal.

    Raises:
        UsageError: The mode is unknown.
    """
    for wanted in (request, run, process):
        if wanted:
            try:
                return RunMode(wanted)
            except ValueError:
                raise UsageError(f"unknown run mode {wanted!r}; use {', '.join(RunMode)}.") from None
    return RunMode.NOMINAL


def run_in_mode(
    deployment: Deployment,
    dag: DAG,
    timeperiod: str,
    say: Callable[[str], None],
    *,
    request: RunMode | str | None = None,
    task_id: str | None = None,
) -> Summary:
    """Run a DAG for a timeperiod in the mode that the request, its record or the settings name; see `mode_of`.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        timeperiod: A timeperiod such as `20160222`, or the id of a run.
        say: Receives progress messages.
        request: Mode of this request; None for that of the record or of the settings.
        task_id: The task of run_one and run_from.

    Raises:
        UsageError: As `run_timeperiod`; a mode is unknown, or lacks its task.
    """
    run, _ = _find_run(deployment, dag, timeperiod)
    record = run.conf.get("run_mode") if run is not None else None
    mode = mode_of(request, record, deployment.settings["core.run_mode"])
    if run is None and not request:
        mode = RunMode.NOMINAL
    needs_task = mode in (RunMode.RUN_ONE, RunMode.RUN_FROM)
    if needs_task != (task_id is not None):
        raise UsageError(f"mode {mode} {'needs a task; name it' if needs_task else 'takes no task; leave it out'}.")
    say(f"Running {dag.dag_id} for {timeperiod} in mode {mode}")
    return run_timeperiod(deployment, dag, timeperiod, say, mode=mode, task_id=task_id)


def run_timeperiod(
    deployment: Deployment,
    dag: DAG,
    timeperiod: str,
    say: Callable[[str], None],
    *,
    mode: RunMode = RunMode.NOMINAL,
    task_id: str | None = None,
) -> Summary:
    """Run a DAG for a timeperiod; if it ran before, execute the same run again.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        timeperiod: A timeperiod such as `20160222`.
        say: Receives progress messages.
        mode: nominal runs all tasks again; recovery the unfinished ones; run_one one task; run_from a task and
            its downstream tasks.
        task_id: The task of run_one and run_from.

    Raises:
        UsageError: The run is still active, never started, or an upstream task is not done.
    """
    run, date = _find_run(deployment, dag, timeperiod)
    if run is None and mode is not RunMode.NOMINAL:
        raise UsageError(f"DAG {dag.dag_id!r} was never run for {timeperiod!r}; `elastic backfill` runs it.")
    states = states_of(queries.instances(deployment.database, run.dag_id, [run.run_id])) if run else {}
    cleared = tasks_to_clear(DagSpec.of(dag), states, mode, task_id)
    part = dag.subset(cleared) if mode is RunMode.RUN_ONE else dag
    if run is None:
        digests = store(deployment, dag)
        made = new_run(dag.dag_id, dag.schedule, dag.schedule.interval_of(check_logical_date(date)), RunType.MANUAL)
        run = transitions.ensure_run(deployment.database, digests.set_in(made))
    else:
        _check_inactive(deployment, run, timeperiod)
        run = transitions.rerun(deployment.database, run.dag_id, run.run_id, mode=mode, task_id=task_id)
        found = queries.instances(deployment.database, run.dag_id, [run.run_id])
        transitions.clear(deployment.database, [one.key for one in found if one.task_id in cleared])
    tracker = build_tracker(deployment.database, part.tasks, [run], Overrides(ignore_interval=True))
    make_instances(deployment.database, part.tasks, [run], tracker)
    return supervise(deployment, part, [run], tracker, BackfillOptions(), say)


def _find_run(deployment: Deployment, dag: DAG, text: str) -> tuple[DagRun | None, datetime]:
    """Return the run that an id or a timeperiod names, or None if it never started, and its logical date."""
    run = queries.run_of_id(deployment.database, dag.dag_id, text)
    # A run outside the schedule has a timeperiod that names no slot.
    run = run or queries.run_of_timeperiod(deployment.database, dag.dag_id, text)
    if run is not None and (run.run_id == text or not dag.schedule.is_slot(run.logical_date)):
        return run, run.logical_date
    date = logical_date_of(text, dag.schedule)
    return queries.run_at(deployment.database, dag.dag_id, date), date


def _check_inactive(deployment: Deployment, run: DagRun, timeperiod: str) -> None:
    release_leases_of_dead_processes(deployment.database, run.dag_id)
    transitions.expire(deployment.database, dag_id=run.dag_id, gives_up=False)
    active: list[TaskInstanceRow] = [
        one for one in queries.active_instances(deployment.database, run.dag_id) if one.run_id == run.run_id
    ]
    if active:
        raise ElasticError(
            f"the run of DAG {run.dag_id!r} for {timeperiod!r} is not finished: {active[0].task_id!r} is "
            f"{active[0].state}; wait for it, or end its process."
        )
