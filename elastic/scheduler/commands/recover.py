"""Synergy's modes: run a timeperiod from the start, from where it failed, one step of it, or from a step on."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from elastic.core.errors import ElasticError, UsageError
from elastic.dag.dag import DAG
from elastic.dag.states.state import TaskState
from elastic.dag.timetable.timeperiod import logical_date_of
from elastic.db import queries, transitions
from elastic.db.records import DagRun, RunMode, RunType, TaskInstanceRow
from elastic.scheduler.attempts.process_identity import release_leases_of_dead_processes
from elastic.scheduler.catalog.dag_catalog import store
from elastic.scheduler.commands.backfill import BackfillOptions, Summary, carry_out
from elastic.scheduler.commands.planning import build_tracker, make_instances, new_run
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.deployment import Deployment

#: Who says how a run begins, the first that says anything wins.
PRECEDENCE = ("request", "run", "process")


def mode_of(
    request: RunMode | str | None = None, run: RunMode | str | None = None, process: RunMode | str | None = None
) -> RunMode:
    """Return how a run begins: as was requested, else as its record says, else as the process does, else nominal.

    Raises:
        UsageError: There is no such mode.
    """
    for wanted in (request, run, process):
        if wanted:
            try:
                return RunMode(wanted)
            except ValueError:
                raise UsageError(f"there is no run mode {wanted!r}; use {', '.join(RunMode)}.") from None
    return RunMode.NOMINAL


def run_timeperiod(
    deployment: Deployment,
    dag: DAG,
    timeperiod: str,
    say: Callable[[str], None],
    *,
    mode: RunMode = RunMode.NOMINAL,
    task_id: str | None = None,
) -> Summary:
    """Run a DAG for a timeperiod, as another attempt at its run if it was run before.

    Args:
        deployment: Where.
        dag: The DAG.
        timeperiod: Such as `20160222`.
        say: Told what happens.
        mode: nominal runs everything again; recovery what did not succeed; run_one one task; run_from a task and all
            after it.
        task_id: For the last two.

    Raises:
        UsageError: The run goes on, was never begun, or the task's turn has not come.
    """
    run, date = _wanted(deployment, dag, timeperiod)
    if run is None and mode is not RunMode.NOMINAL:
        raise UsageError(f"DAG {dag.dag_id!r} was never run for {timeperiod!r}; `elastic backfill` runs it.")
    states = _states(deployment, run) if run else {}
    part, cleared = _part(dag, mode, task_id, states)
    if run is None:
        digests = store(deployment, dag)
        made = new_run(dag.dag_id, dag, dag.schedule.interval_of(date), RunType.MANUAL)
        run = transitions.ensure_run(deployment.database, digests.noted_in(made))
    else:
        _check_free(deployment, run, timeperiod)
        run = transitions.rerun(deployment.database, run.dag_id, run.run_id, mode=mode, task_id=task_id)
        found = queries.instances(deployment.database, run.dag_id, [run.run_id])
        transitions.clear(deployment.database, [one.key for one in found if one.task_id in cleared])
    tracker = build_tracker(deployment.database, part.tasks, [run], Overrides(ignore_interval=True))
    make_instances(deployment.database, part.tasks, [run], tracker)
    return carry_out(deployment, part, [run], tracker, BackfillOptions(), say)


def _wanted(deployment: Deployment, dag: DAG, text: str) -> tuple[DagRun | None, datetime]:
    """Return the run that an id or a timeperiod names, None if it was never begun, and its logical date."""
    run = queries.run_of_id(deployment.database, dag.dag_id, text)
    # A run that was asked for at a moment of its own has a timeperiod that names no slot.
    run = run or queries.run_of_timeperiod(deployment.database, dag.dag_id, text)
    if run is not None and (run.run_id == text or not dag.schedule.is_slot(run.logical_date)):
        return run, run.logical_date
    date = logical_date_of(text, dag.schedule)
    return queries.run_at(deployment.database, dag.dag_id, date), date


def _part(
    dag: DAG, mode: RunMode, task_id: str | None, states: Mapping[str, set[TaskState | None]]
) -> tuple[DAG, set[str]]:
    """Return the tasks that are to run, as a DAG, and those that are cleared before."""
    if mode is RunMode.NOMINAL:
        return dag, set(dag.task_ids)
    if mode is RunMode.RECOVERY:
        return dag, {one for one in dag.task_ids if not _is_done(states.get(one))}
    task = dag.get_task(task_id or "")
    before = [one.task_id for one in task.upstream_list if not _is_done(states.get(one.task_id))]
    if before:
        raise UsageError(
            f"task {task.task_id!r} cannot run: {', '.join(map(repr, before))} before it "
            f"{'is' if len(before) == 1 else 'are'} not done; run {'it' if len(before) == 1 else 'them'} first."
        )
    if mode is RunMode.RUN_ONE:
        return dag.subset([task.task_id]), {task.task_id}
    after = {task.task_id, *(one.task_id for one in task.get_flat_relatives(upstream=False))}
    return dag, after


def _states(deployment: Deployment, run: DagRun) -> dict[str, set[TaskState | None]]:
    found: dict[str, set[TaskState | None]] = {}
    for one in queries.instances(deployment.database, run.dag_id, [run.run_id]):
        found.setdefault(one.task_id, set()).add(one.state)
    return found


def _is_done(states: Iterable[TaskState | None] | None) -> bool:
    found = [state for state in states or () if state is not TaskState.REMOVED]
    return bool(found) and all(state is not None and state.is_success for state in found)


def _check_free(deployment: Deployment, run: DagRun, timeperiod: str) -> None:
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
