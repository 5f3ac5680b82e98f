"""DAGs and their runs: list, trigger, pause, clear."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.db import queries, transitions
from elastic.db.page_queries.browse import RowFilter, instances_page, runs_page
from elastic.db.page_queries.dag_list import DagFilter, DagList, ListedDag, dag_list
from elastic.db.records import DagRun
from elastic.db.stores.dags import dag_named, dags, set_paused
from elastic.scheduler.commands.clear import ClearOptions, to_clear
from elastic.web.api.answers import PREFIX, After, Limit, Name, answer, page, plain
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, Conflict, NotFound
from elastic.web.page_keys import instant, instant_in, key_of, number_in
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.structures import structure
from elastic.web.trigger_dag import trigger_dag
from elastic.web.views.dag_rows import run_url

router = Router(prefix=PREFIX, tags=["DAGs"])


class DagQuery(BaseModel):
    """Selection of DAGs."""

    q: str = Field(default="", max_length=200, description="substring of the id, the owner or a tag")
    tag: str = Field(default="", max_length=200)
    owner: str = Field(default="", max_length=250)
    state: str = Field(default="", max_length=20, description="failed or running")
    paused: bool | None = None
    after: str = Field(default="", max_length=250)
    limit: int = Field(default=50, ge=1, le=500)


class DagChange(BaseModel, extra="forbid"):
    """Change of a DAG."""

    is_paused: bool


class NewRun(BaseModel, extra="forbid"):
    """Run to queue."""

    logical_date: str | None = Field(default=None, max_length=60, description="ISO 8601 with zone; by default now")
    run_id: str | None = Field(default=None, max_length=250, description="by default derived from the date")
    conf: dict[str, Any] = Field(default_factory=dict, description="parameters for the tasks")


class Clearing(BaseModel, extra="forbid"):
    """Selection of task instances of a run."""

    task_id: str | None = Field(default=None, max_length=250, description="by default all tasks")
    map_index: int | None = Field(default=None, ge=0, description="one copy of a mapped task")
    upstream: bool = False
    downstream: bool = False
    only_failed: bool = False
    dry_run: bool = Field(default=True, description="only return the task instances that would be cleared")


@router.get("/dags", requires=Right.READ)
def list_dags(
    request: Request,
    wanted: Annotated[DagQuery, Query()],
) -> Response:
    """List the DAGs by id, with their last 14 runs."""
    chosen = DagFilter(text=wanted.q, tag=wanted.tag, owner=wanted.owner, state=wanted.state, paused=wanted.paused)
    found = dag_list(context_of(request).database, chosen, after=wanted.after, limit=wanted.limit + 1)
    items = [_dag(one, found) for one in found.dags]
    return page(request, items, wanted.limit, lambda one: [one["dag_id"]])


@router.get("/dags/{dag_id}", requires=Right.READ)
def get_dag(request: Request, dag_id: Name) -> Response:
    """Return a DAG."""
    return answer(request, _stored(request, dag_id))


@router.patch("/dags/{dag_id}", requires=Right.PAUSE)
def change_dag(request: Request, dag_id: Name, change: DagChange) -> Response:
    """Pause or resume the schedule of a DAG."""
    set_paused(context_of(request).database, dag_id, paused=change.is_paused)
    return answer(request, _stored(request, dag_id))


@router.get("/dags/{dag_id}/runs", requires=Right.READ)
def list_runs(
    request: Request,
    dag_id: Name,
    state: Annotated[str, Query(max_length=40)] = "",
    after: After = "",
    limit: Limit = 50,
) -> Response:
    """List the runs of a DAG, the latest logical date first."""
    _stored(request, dag_id)
    key = key_of(after, 2)
    start = (instant_in(key[0]), key[1]) if key else None
    wanted = RowFilter(dag_id=dag_id, state=state)
    found = runs_page(context_of(request).database, wanted, after=start, limit=limit + 1)
    return page(request, found, limit, lambda run: [run.logical_date, run.dag_id])


@router.post("/dags/{dag_id}/runs", requires=Right.TRIGGER, status_code=201)
def trigger(request: Request, dag_id: Name, new: NewRun) -> Response:
    """Queue a run of a DAG, which a master starts."""
    database = context_of(request).database
    _stored(request, dag_id)
    dag = dag_named(database, dag_id)
    found = structure(database, dag.structure_digest) if dag else None
    date = instant(new.logical_date) if new.logical_date else None
    if new.logical_date and date is None:
        raise BadRequest(f"{new.logical_date!r} is no time with a zone.", "Give one such as 2026-11-29T02:00:00Z.")
    run = trigger_dag(request, dag_id, found, date=date, run_id=new.run_id, conf=new.conf)
    return answer(request, run, 201, Location=f"{PREFIX}{run_url(run.dag_id, run.run_id)}")


@router.get("/dags/{dag_id}/runs/{run_id}", requires=Right.READ)
def get_run(request: Request, dag_id: Name, run_id: Name) -> Response:
    """Return a run."""
    return answer(request, _run(request, dag_id, run_id))


@router.post("/dags/{dag_id}/runs/{run_id}/clear", requires=Right.CLEAR)
def clear(request: Request, dag_id: Name, run_id: Name, wanted: Clearing) -> Response:
    """Clear task instances of a run, so that they run again; by default only list them."""
    database, run = context_of(request).database, _run(request, dag_id, run_id)
    dag = dag_named(database, dag_id)
    found = structure(database, dag.structure_digest if dag else run.structure_digest)
    if found is None:
        raise Conflict(
            f"The structure of DAG {dag_id!r} is not stored.", "A master stores the structure when it loads the file."
        )
    options = ClearOptions(
        start=run.logical_date,
        end=run.logical_date,
        task_id=wanted.task_id,
        map_index=wanted.map_index,
        upstream=wanted.upstream,
        downstream=wanted.downstream,
        only_failed=wanted.only_failed,
    )
    chosen = to_clear(database, found.stored.spec, options)
    if not wanted.dry_run:
        transitions.clear(database, [one.key for one in chosen])
    items = [{"task_id": one.task_id, "map_index": one.map_index, "state": one.state} for one in chosen]
    return answer(request, {"dry_run": wanted.dry_run, "count": len(items), "items": items[:1000]})


@router.get("/dags/{dag_id}/runs/{run_id}/instances", requires=Right.READ)
def list_instances(
    request: Request,
    dag_id: Name,
    run_id: Name,
    state: Annotated[str, Query(max_length=40)] = "",
    after: After = "",
    limit: Limit = 50,
) -> Response:
    """List the task instances of a run by task and copy."""
    _run(request, dag_id, run_id)
    key = key_of(after, 2)
    start = (dag_id, run_id, key[0], number_in(key[1])) if key else None
    wanted = RowFilter(dag_id=dag_id, run_id=run_id, state=state)
    found = instances_page(context_of(request).database, wanted, after=start, limit=limit + 1)
    return page(request, found, limit, lambda one: [one.task_id, one.map_index])


def _dag(one: ListedDag, found: DagList) -> dict[str, Any]:
    runs = [{"run_id": run.run_id, "state": run.state} for run in found.runs.get(one.dag_id, ())]
    return {**plain(one), "last_runs": runs}


def _stored(request: Request, dag_id: str) -> dict[str, Any]:
    """Return a DAG, including one that is gone from its file.

    Raises:
        NotFound: The DAG is not stored.
    """
    database = context_of(request).database
    for gone in (False, True):
        found = dag_list(database, DagFilter(gone=gone, dag_id=dag_id), limit=1)
        if found.dags:
            return {**_dag(found.dags[0], found), "is_gone": gone}
    raise NotFound("DAG", dag_id, [one.dag_id for one in dags(database)])


def _run(request: Request, dag_id: str, run_id: str) -> DagRun:
    database = context_of(request).database
    run = queries.run_of_id(database, dag_id, run_id)
    if run is None:
        near = runs_page(database, RowFilter(dag_id=dag_id))
        raise NotFound("run", run_id, [one.run_id for one in near], of=f"DAG {dag_id!r}")
    return run
