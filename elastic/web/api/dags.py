"""DAGs: list, pause, parse, structure, layout, versions, source and grid."""

import json
from difflib import unified_diff
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.text import lines as visible
from elastic.db.page_queries import grid
from elastic.db.page_queries.dag_list import DagFilter, DagList, ListedDag, dag_list
from elastic.db.page_queries.grid import VersionRow
from elastic.db.stores.dags import set_paused, source_of, structure_of
from elastic.web.api.answers import BYTES, PREFIX, TEXT, After, Limit, Name, Page, answer, page, plain, text
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, Conflict, NotFound
from elastic.web.page_keys import key_of, number_in
from elastic.web.pages.dag_actions import load_again
from elastic.web.pages.grid import MAX_RUNS, states
from elastic.web.pages.lookups import dag_of, structure_of_dag
from elastic.web.query_values import QueryValues
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.structures import graph
from elastic.web.views.code import MAX_COMPARED

router = Router(prefix=PREFIX, tags=["DAGs"])

#: Number of a version of a DAG.
Version = Annotated[int | None, Query(ge=1, lt=2**31, description="by default the current version")]
_OldVersion = Annotated[int, Query(alias="from", ge=1, lt=2**31, description="earlier version")]
_NewVersion = Annotated[int, Query(alias="to", ge=1, lt=2**31, description="later version")]


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


class LastRun(BaseModel):
    """One of the last runs of a DAG."""

    run_id: str
    state: str


class DagView(BaseModel):
    """DAG with its last 14 runs, oldest first."""

    dag_id: str
    fileloc: str | None
    owner: str | None
    description: str | None
    schedule: str | None
    tags: list[str]
    task_count: int
    #: number of the version; null if it has no number
    version: int | None
    is_paused: bool
    next_run_at: str | None
    #: reason why it has no dates; null if it has dates
    blocked_reason: str | None
    last_runs: list[LastRun]
    #: whether no DAG file defines it any longer
    is_gone: bool


class StructureView(BaseModel):
    """Structure of a version of a DAG."""

    dag_id: str
    version: int | None
    digest: str
    structure: dict[str, Any]


class LayoutNode(BaseModel):
    """Task or group in a graph; `x` and `y` are its upper left corner."""

    node_id: str
    x: float
    y: float
    width: float
    height: float
    is_group: bool


class LayoutEdge(BaseModel):
    """Edge of a graph; `path` is that of an SVG."""

    source: str
    target: str
    path: str


class GraphLayout(BaseModel):
    """Layout of the graph of a DAG from left to right. Groups replace the tasks of a large DAG."""

    #: digest of the structure
    digest: str
    width: float
    height: float
    nodes: list[LayoutNode]
    edges: list[LayoutEdge]


@router.get("/dags", requires=Right.READ, response_model=Page[DagView])
def list_dags(request: Request, wanted: Annotated[DagQuery, Query()]) -> Response:
    """List the DAGs by id, with their last 14 runs."""
    chosen = DagFilter(text=wanted.q, tag=wanted.tag, owner=wanted.owner, state=wanted.state, paused=wanted.paused)
    found = dag_list(context_of(request).database, chosen, after=wanted.after, limit=wanted.limit + 1)
    items = [_view(one, found, is_gone=False) for one in found.dags]
    return page(request, items, wanted.limit, lambda one: [one["dag_id"]])


@router.get("/dags/{dag_id}", requires=Right.READ, response_model=DagView)
def get_dag(request: Request, dag_id: Name) -> Response:
    """Return a DAG, including one that no file defines any longer."""
    return answer(request, _stored(request, dag_id))


@router.patch("/dags/{dag_id}", requires=Right.PAUSE, response_model=DagView)
def change_dag(request: Request, dag_id: Name, change: DagChange) -> Response:
    """Pause or resume the schedule of a DAG."""
    dag_of(request, dag_id)
    set_paused(context_of(request).database, dag_id, paused=change.is_paused)
    return answer(request, _stored(request, dag_id))


@router.post("/dags/{dag_id}/parse", requires=Right.PARSE, status_code=202, response_model=DagView)
def parse(request: Request, dag_id: Name) -> Response:
    """Let a master load the file of a DAG again, although it has not changed."""
    load_again(request, dag_of(request, dag_id))
    return answer(request, _stored(request, dag_id), 202, Location=f"{PREFIX}/dags/{dag_id}")


@router.get("/dags/{dag_id}/layout", requires=Right.READ, response_model=GraphLayout)
def get_layout(
    request: Request,
    dag_id: Name,
    root: Annotated[str, Query(max_length=250, description="only the tasks around a task or in a group")] = "",
) -> Response:
    """Return the graph of the current version: nodes with places and sizes in pixels, and edges as SVG paths."""
    found = structure_of_dag(request, dag_of(request, dag_id))
    if found is None:
        raise Conflict(f"The structure of DAG {dag_id!r} is not stored.", "A master stores it at its next scan.")
    drawn = graph(found, root, {}, {})
    if drawn is None:
        known = [row.row_id for row in found.rows]
        raise NotFound("task or group", root, known, of=f"DAG {dag_id!r}")
    nodes = [{name: getattr(one, name) for name in LayoutNode.model_fields} for one in drawn.nodes]
    edges = [plain(one) for one in drawn.layout.edges]
    size = {"width": drawn.layout.width, "height": drawn.layout.height}
    return answer(request, {"digest": found.digest, **size, "nodes": nodes, "edges": edges})


@router.get("/dags/{dag_id}/versions", requires=Right.READ, response_model=Page[VersionRow])
def list_versions(request: Request, dag_id: Name, after: After = "", limit: Limit = 50) -> Response:
    """List the versions of a DAG, newest first."""
    dag_of(request, dag_id)
    key = key_of(after, 1)
    before = number_in(key[0]) if key else None
    found = grid.versions(context_of(request).database, dag_id, limit + 1, before=before)
    return page(request, found, limit, lambda one: [one.number])


@router.get("/dags/{dag_id}/structure", requires=Right.READ, response_model=StructureView)
def get_structure(request: Request, dag_id: Name, version: Version = None) -> Response:
    """Return the structure of a DAG: its schedule, and its tasks with their settings."""
    dag, database = dag_of(request, dag_id), context_of(request).database
    found = _version(request, dag_id, version) if version else None
    digest = found.structure_digest if found else dag.structure_digest
    stored = structure_of(database, digest) if digest else None
    if digest is None or stored is None:
        raise Conflict(f"The structure of DAG {dag_id!r} is not stored.", "A master stores it at its next scan.")
    number = found.number if found else grid.number_of_version(database, dag_id, digest)
    try:
        values = json.loads(stored)
    except (ValueError, RecursionError) as error:
        raise Conflict(f"The stored structure {digest[:12]} of DAG {dag_id!r} is not valid.") from error
    return answer(request, {"dag_id": dag_id, "version": number, "digest": digest, "structure": values})


@router.get("/dags/{dag_id}/source", requires=Right.READ, response_class=Response, responses=TEXT)
def get_source(request: Request, dag_id: Name, version: Version = None) -> Response:
    """Return the source of the file of a DAG as text."""
    dag = dag_of(request, dag_id)
    digest = _version(request, dag_id, version).source_digest if version else dag.source_digest
    return text(request, _source(request, dag_id, version, digest))


@router.get("/dags/{dag_id}/diff", requires=Right.READ, response_class=Response, responses=TEXT)
def get_diff(request: Request, dag_id: Name, first: _OldVersion, second: _NewVersion) -> Response:
    """Return the difference of the sources of two versions as a unified diff; of long files, of the beginning."""
    dag_of(request, dag_id)
    old, new = (
        visible(_source(request, dag_id, number, _version(request, dag_id, number).source_digest)).split("\n")
        for number in (first, second)
    )
    names = (f"{dag_id} v{first}", f"{dag_id} v{second}")
    lines = unified_diff(old[:MAX_COMPARED], new[:MAX_COMPARED], *names, lineterm="")
    return text(request, "".join(f"{line}\n" for line in lines))


@router.get("/dags/{dag_id}/grid", requires=Right.READ, response_class=Response, responses=BYTES)
def get_grid(
    request: Request,
    dag_id: Name,
    before: Annotated[str, Query(max_length=60, description="last date, as ISO 8601")] = "",
    runs: Annotated[int | None, Query(ge=1, le=MAX_RUNS)] = None,
    root: Annotated[str, Query(max_length=250, description="only the tasks around a task or in a group")] = "",
) -> Response:
    """Return the states of tasks in the latest runs.

    The body is the length of a JSON head (4 bytes, little endian), the head, and one byte for each task and run, task
    by task. The head lists the runs; the structure lists the tasks.
    """
    query = QueryValues(request)
    query.date("before", is_end=True)
    if query.notices:
        raise BadRequest(f"{before!r} is no date.", "Give one such as 2026-11-29.")
    return states(request, dag_id)


def _view(one: ListedDag, found: DagList, *, is_gone: bool) -> dict[str, Any]:
    runs = [{"run_id": run.run_id, "state": run.state} for run in found.runs.get(one.dag_id, ())]
    return {**plain(one), "last_runs": runs, "is_gone": is_gone}


def _stored(request: Request, dag_id: str) -> dict[str, Any]:
    """Return a DAG, including one that is gone from its file.

    Raises:
        NotFound: The DAG is not stored.
    """
    dag_of(request, dag_id)
    database = context_of(request).database
    for gone in (False, True):
        found = dag_list(database, DagFilter(gone=gone, dag_id=dag_id), limit=1)
        if found.dags:
            return _view(found.dags[0], found, is_gone=gone)
    raise NotFound("DAG", dag_id)


def _version(request: Request, dag_id: str, number: int) -> VersionRow:
    """Return a version of a DAG.

    Raises:
        NotFound: There is none with this number.
    """
    found = grid.versions(context_of(request).database, dag_id, 1, before=number + 1)
    if not found or found[0].number != number:
        raise NotFound(
            "version", str(number), of=f"DAG {dag_id!r}", hint=f"{PREFIX}/dags/{dag_id}/versions lists them."
        )
    return found[0]


def _source(request: Request, dag_id: str, number: int | None, digest: str | None) -> str:
    found = source_of(context_of(request).database, digest) if digest else None
    if found is None:
        of = f"version {number} of DAG {dag_id!r}" if number else f"DAG {dag_id!r}"
        raise NotFound("source", (digest or "")[:12], of=of[:1].upper() + of[1:])
    return found
