"""Runs of DAGs: list, trigger, mark, clear, run again, cancel."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.dag.states.state import RunState, TaskState
from elastic.db import transitions
from elastic.db.page_queries import instances
from elastic.db.page_queries.browse import RowFilter, instances_count, instances_page, runs_count, runs_page
from elastic.db.queries import run_attempts
from elastic.db.records import DagRun, RunAttempt, RunMode, TaskInstanceRow
from elastic.web.api.answers import (
    MAX_COUNTED,
    PREFIX,
    After,
    Counted,
    CountedPage,
    Limit,
    Name,
    Page,
    State,
    answer,
    page,
    plain,
)
from elastic.web.clear_instances import clear_instances, clearing_of, first_instances, options_of
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, Conflict
from elastic.web.mark_instances import user_name
from elastic.web.page_keys import instant, instant_in, key_of, number_in
from elastic.web.pages.lookups import dag_of, run_of, run_url, structure_of_dag
from elastic.web.rerun_run import rerun
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.trigger_dag import trigger_dag

router = Router(prefix=PREFIX, tags=["runs"])

_RUN = "/dags/{dag_id}/runs/{run_id}"
#: Maximum number of instances in the response to a clear.
_MAX_LISTED = 1000


class NewRun(BaseModel, extra="forbid"):
    """Run to queue."""

    logical_date: str | None = Field(default=None, max_length=60, description="ISO 8601 with zone; by default now")
    run_id: str | None = Field(default=None, max_length=250, description="by default derived from the date")
    conf: dict[str, Any] = Field(default_factory=dict, description="parameters for the tasks")


class RunChange(BaseModel, extra="forbid"):
    """Change of a run."""

    state: Literal["success", "failed"]


class ClearBody(BaseModel, extra="forbid"):
    """Selection around a task instance."""

    past: bool = Field(default=False, description="also in earlier runs")
    future: bool = Field(default=False, description="also in later runs")
    upstream: bool = False
    downstream: bool = False
    only_failed: bool = False
    dry_run: bool = Field(default=True, description="only return the task instances that would be cleared")


class ClearRunBody(ClearBody, extra="forbid"):
    """Selection of task instances of a run."""

    task_id: str | None = Field(default=None, max_length=250, description="by default all tasks")
    map_index: int | None = Field(default=None, ge=0, lt=2**31, description="one copy of a mapped task")


class RerunBody(BaseModel, extra="forbid"):
    """Task to run again."""

    task_id: str = Field(min_length=1, max_length=250)


class RerunResult(BaseModel):
    """Execution of a run that was queued."""

    run: DagRun
    mode: RunMode
    #: number of task instances that run again
    count: int


class CancelResult(BaseModel):
    """Canceled run."""

    run: DagRun
    #: number of task instances that were ended
    count: int


class ClearedInstance(BaseModel):
    """Task instance with its state before it was cleared."""

    run_id: str
    task_id: str
    map_index: int
    state: TaskState | None


class ClearResult(BaseModel):
    """Result of a clear, or of a dry run."""

    dry_run: bool
    count: int
    #: the first 1,000 instances
    items: list[ClearedInstance]


@router.get("/dags/{dag_id}/runs", requires=Right.READ, response_model=CountedPage[DagRun])
def list_runs(
    request: Request, dag_id: Name, state: State = "", after: After = "", limit: Limit = 50, count: Counted = False
) -> Response:
    """List the runs of a DAG, the latest logical date first."""
    dag_of(request, dag_id)
    key = key_of(after, 2)
    start = (instant_in(key[0]), key[1]) if key else None
    wanted = RowFilter(dag_id=dag_id, state=state)
    found = runs_page(context_of(request).database, wanted, after=start, limit=limit + 1)
    total = runs_count(context_of(request).database, wanted, limit=MAX_COUNTED + 1) if count else None
    return page(request, found, limit, lambda run: [run.logical_date, run.dag_id], count=total)


@router.post("/dags/{dag_id}/runs", requires=Right.TRIGGER, status_code=201, response_model=DagRun)
def trigger(request: Request, dag_id: Name, new: NewRun) -> Response:
    """Queue a run of a DAG, which a master starts."""
    found = structure_of_dag(request, dag_of(request, dag_id))
    date = instant(new.logical_date) if new.logical_date else None
    if new.logical_date and date is None:
        raise BadRequest(f"{new.logical_date!r} is no time with a zone.", "Give one such as 2026-11-29T02:00:00Z.")
    run = trigger_dag(request, dag_id, found, date=date, run_id=new.run_id, conf=new.conf)
    return answer(request, run, 201, Location=f"{PREFIX}{run_url(run.dag_id, run.run_id)}")


@router.get(_RUN, requires=Right.READ, response_model=DagRun)
def get_run(request: Request, dag_id: Name, run_id: Name) -> Response:
    """Return a run."""
    return answer(request, run_of(request, dag_id, run_id))


@router.patch(_RUN, requires=Right.MARK, response_model=DagRun)
def change_run(request: Request, dag_id: Name, run_id: Name, change: RunChange) -> Response:
    """Mark a run as successful or failed. Its task instances keep their states; none may be queued or running."""
    run, database = run_of(request, dag_id, run_id), context_of(request).database
    active = sum(
        count for state, count in instances.state_counts(database, dag_id, run_id).items() if state and state.is_active
    )
    if active:
        raise Conflict(
            f"Run {run_id!r} of DAG {dag_id!r} has {active:,} queued or running task instances.",
            "Wait for their end, or mark them as failed first.",
        )
    transitions.set_run_state(database, run.dag_id, run.run_id, RunState(change.state))
    return answer(request, run_of(request, dag_id, run_id))


@router.get(_RUN + "/attempts", requires=Right.READ, response_model=Page[RunAttempt])
def list_run_attempts(request: Request, dag_id: Name, run_id: Name) -> Response:
    """List the executions of a run in their order."""
    run_of(request, dag_id, run_id)
    return answer(request, {"items": run_attempts(context_of(request).database, dag_id, run_id), "next": None})


@router.post(_RUN + "/clear", requires=Right.CLEAR, response_model=ClearResult)
def clear(request: Request, dag_id: Name, run_id: Name, wanted: ClearRunBody) -> Response:
    """Clear task instances of a run, so that they run again; by default only list them."""
    return cleared(request, run_of(request, dag_id, run_id), wanted, task_id=wanted.task_id, map_index=wanted.map_index)


@router.post(_RUN + "/recover", requires=Right.CLEAR, status_code=202, response_model=RerunResult)
def recover(request: Request, dag_id: Name, run_id: Name) -> Response:
    """Run the tasks of a finished run again that are not done."""
    return rerun_answer(request, run_of(request, dag_id, run_id), RunMode.RECOVERY)


@router.post(_RUN + "/run-one", requires=Right.CLEAR, status_code=202, response_model=RerunResult)
def run_one(request: Request, dag_id: Name, run_id: Name, wanted: RerunBody) -> Response:
    """Run one task of a finished run again, whose upstream tasks are done."""
    return rerun_answer(request, run_of(request, dag_id, run_id), RunMode.RUN_ONE, wanted.task_id)


@router.post(_RUN + "/run-from", requires=Right.CLEAR, status_code=202, response_model=RerunResult)
def run_from(request: Request, dag_id: Name, run_id: Name, wanted: RerunBody) -> Response:
    """Run a task of a finished run and all its downstream tasks again."""
    return rerun_answer(request, run_of(request, dag_id, run_id), RunMode.RUN_FROM, wanted.task_id)


@router.post(_RUN + "/cancel", requires=Right.CANCEL, response_model=CancelResult)
def cancel(request: Request, dag_id: Name, run_id: Name) -> Response:
    """End a run as failed, with its task instances that have not ended. The processes of its tasks are killed."""
    run, database = run_of(request, dag_id, run_id), context_of(request).database
    if run.state.is_final:
        raise Conflict(f"Run {run_id!r} of DAG {dag_id!r} has ended already: it is {run.state}.")
    note = f"run canceled by {user_name(request)}"
    _, changed = transitions.mark_run(database, run.dag_id, run.run_id, RunState.FAILED, note=note)
    return answer(request, {"run": plain(run_of(request, dag_id, run_id)), "count": len(changed)})


@router.get(_RUN + "/instances", requires=Right.READ, response_model=CountedPage[TaskInstanceRow])
def list_instances(  # noqa: PLR0913 - the query of the address
    request: Request,
    dag_id: Name,
    run_id: Name,
    task: Annotated[str, Query(max_length=250)] = "",
    state: State = "",
    after: After = "",
    limit: Limit = 50,
    count: Counted = False,
) -> Response:
    """List the task instances of a run by task and copy."""
    run_of(request, dag_id, run_id)
    key = key_of(after, 2)
    start = (dag_id, run_id, key[0], number_in(key[1])) if key else None
    wanted = RowFilter(dag_id=dag_id, run_id=run_id, task_id=task, state=state)
    found = instances_page(context_of(request).database, wanted, after=start, limit=limit + 1)
    total = instances_count(context_of(request).database, wanted, limit=MAX_COUNTED + 1) if count else None
    return page(request, found, limit, lambda one: [one.task_id, one.map_index], count=total)


def rerun_answer(request: Request, run: DagRun, mode: RunMode, task_id: str | None = None) -> Response:
    """Queue another execution of a run, and return it with the number of task instances that run again."""
    made, count = rerun(request, run, mode, task_id)
    location = f"{PREFIX}{run_url(made.dag_id, made.run_id)}"
    return answer(request, {"run": plain(made), "mode": mode, "count": count}, 202, Location=location)


def cleared(
    request: Request, run: DagRun, wanted: ClearBody, *, task_id: str | None, map_index: int | None
) -> Response:
    """Clear the selected task instances around a run, or list them, and return the result."""
    found = structure_of_dag(request, dag_of(request, run.dag_id))
    boxes = wanted.model_dump(include={"past", "future", "upstream", "downstream", "only_failed"})
    options = options_of(run, task_id=task_id, map_index=map_index, **boxes)
    chosen = clearing_of(request, run.dag_id, found, options)
    if wanted.dry_run:
        rows, count = first_instances(request, chosen, _MAX_LISTED), chosen.counts.instances
    else:
        rows = clear_instances(request, chosen)
        count = len(rows)
    names = ("run_id", "task_id", "map_index", "state")
    items = [{name: getattr(one, name) for name in names} for one in rows[:_MAX_LISTED]]
    return answer(request, {"dry_run": wanted.dry_run, "count": count, "items": items})
