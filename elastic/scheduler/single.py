"""One instance in a process beside this one, which watches it: what `elastic run` does."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elastic.dag.dag import DAG
from elastic.dag.instance import TaskInstance
from elastic.dag.state import TaskState
from elastic.db import reading, transition
from elastic.db.value import Run
from elastic.executors.sequential import SequentialExecutor
from elastic.scheduler.attempt_log import log_path
from elastic.scheduler.fact import Allowances
from elastic.scheduler.facts import facts_of
from elastic.scheduler.planning import agenda_of
from elastic.scheduler.reason import reason_of
from elastic.scheduler.site import Site
from elastic.scheduler.supervisor import Assignment, Supervisor
from elastic.scheduler.task_run import TaskWishes, prepare, run_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResult:
    """What came of one instance."""

    state: TaskState | None
    log: Path
    #: why it was not run; empty if it was
    reason: str = ""
    #: why it failed, in one line
    error: str = ""


def run_single(
    site: Site, dag: DAG, task_id: str, date: dt.datetime, wishes: TaskWishes, say: Callable[[str], None]
) -> SingleResult:
    """Run one instance, unless something stands against it.

    Args:
        site: Where.
        dag: The DAG.
        task_id: The task.
        date: The logical date.
        wishes: What need not be so.
        say: Told where the log is.

    Raises:
        UsageError: There is no such task or copy.
    """
    task = dag.get_task(task_id)
    run = run_at(site, task, date)
    log = log_path(site, TaskInstance(task, facts=facts_of(run, task_id, wishes.map_index)))
    key, unmet = prepare(site, task, run, wishes)
    if wishes.mark_success:
        marked = transition.mark_success(site.database, [key])
        reason = "" if marked else "it previously succeeded"
        return SingleResult(state=TaskState.SUCCESS, log=log, reason=reason)
    if unmet:
        found = reading.instance(site.database, key)
        return SingleResult(state=found.state if found else None, log=log, reason=unmet[0].reason)
    say(f"Logging into: {log}")
    return _watched(site, dag, run, key.map_index, task_id, log)


def _watched(site: Site, dag: DAG, run: Run, map_index: int, task_id: str, log: Path) -> SingleResult:
    key = facts_of(run, task_id, map_index).key
    agenda = agenda_of(
        site.database, list(dag.topological()), [run], Allowances(ignore_dependencies=True, ignore_interval=True)
    )
    assignment = Assignment(
        dag=dag,
        runs=(run,),
        agenda=agenda,
        executor=SequentialExecutor(),
        max_active_runs=0,
        only=frozenset({key}),
        kind="RunJob",
    )
    Supervisor(site, assignment, lambda line: None).run()
    found = reading.instance(site.database, key)
    return SingleResult(state=found.state if found else None, log=log, error=reason_of(site.database, key))
