"""Further executions of a finished run, by the API and by the addresses of Synergy."""

from starlette.requests import Request

from elastic.db.records import DagRun, RunMode
from elastic.scheduler.commands.rerun_stored import active_instance, rerun_stored
from elastic.web.context import context_of
from elastic.web.errors import Conflict
from elastic.web.pages.lookups import dag_of, structure_of_run


def rerun(request: Request, run: DagRun, mode: RunMode, task_id: str | None = None) -> tuple[DagRun, int]:
    """Queue another execution of a run; return the run, and the number of task instances that run again.

    Raises:
        Conflict: The run has not ended, or the structure of its DAG is not stored.
        UsageError: As in `rerun_stored`.
    """
    database, found = context_of(request).database, structure_of_run(request, dag_of(request, run.dag_id), run)
    if found is None:
        raise Conflict(f"The structure of DAG {run.dag_id!r} is not stored.", "A master stores it at its next scan.")
    active = active_instance(database, run)
    if active is not None or not run.state.is_final:
        what = f"task {active.task_id!r} is {active.state}" if active else f"it is {run.state}"
        raise Conflict(
            f"Job is not finished: run {run.run_id!r} of DAG {run.dag_id!r} has not ended, because {what}.",
            "Wait for its end, or mark it first.",
        )
    return rerun_stored(database, found.stored.spec, run, mode=mode, task_id=task_id)
