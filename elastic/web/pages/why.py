"""Verdicts on a task instance and on its run: why it waits."""

from starlette.requests import Request

from elastic.core.errors import ElasticError
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.dag.states.verdict import Verdict
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.scheduler.commands.why import stored_verdicts
from elastic.service.run_waits import run_verdicts
from elastic.web.context import context_of
from elastic.web.pages.lookups import dag_of, structure_of_run

_WAITING = (
    None,
    TaskState.SCHEDULED,
    TaskState.QUEUED,
    TaskState.DEFERRED,
    TaskState.UP_FOR_RESCHEDULE,
    TaskState.UP_FOR_RETRY,
)


def verdicts_on(request: Request, run: DagRun, key: TaskKey) -> list[Verdict]:
    """Return the verdicts on a task instance, those on its run first.

    Raises:
        ElasticError: The run has no such instance, or the structure of the DAG is not stored.
    """
    context = context_of(request)
    found = structure_of_run(request, dag_of(request, run.dag_id), run)
    of_run = run_verdicts(context.database, run, context.deployment.heartbeat)
    if found is None:
        raise ElasticError(
            f"the structure of DAG {run.dag_id!r} is not stored, so its conditions are unknown. "
            "A master stores the structure when it loads the file."
        )
    stored = found.stored
    return [
        *of_run,
        *stored_verdicts(context.deployment, stored.spec, stored.timetable.schedule, run, key, context.clock()),
    ]


def first_obstacle(request: Request, run: DagRun, row: TaskInstanceRow) -> str:
    """Return the first reason why an instance waits; an empty string if it does not wait."""
    if row.state not in _WAITING:
        return ""
    try:
        return next((one.reason for one in verdicts_on(request, run, row.key) if not one.met), "")
    except ElasticError:
        return ""
