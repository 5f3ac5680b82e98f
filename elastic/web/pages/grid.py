"""Data of the grid of a DAG: its rows, and the states of some runs as one byte a cell."""

import json
import struct
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from elastic.db.page_queries import grid
from elastic.db.page_queries.grid import RunCells, RunHeader, RunWindow
from elastic.db.stores.dags import DagRow
from elastic.web.conditional import conditional
from elastic.web.context import context_of
from elastic.web.errors import NotFound
from elastic.web.pages.lookups import dag_of, dag_url, structure_of_dag
from elastic.web.query_values import QueryValues
from elastic.web.rendering import identity_of, zone_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.structures import Structure
from elastic.web.views.grid_rows import GridRow, gone_rows, rows_below
from elastic.web.views.grid_table import cell_bytes, rows_json, run_json

router = Router()

#: Runs that the grid shows by default, and at most.
DEFAULT_RUNS = 45
MAX_RUNS = 365


@router.get("/dags/{dag_id}/grid/rows", requires=Right.READ)
def rows(request: Request, dag_id: str) -> Response:
    """Return the rows of the grid as JSON. They change only with the digest in the URL."""
    dag = dag_of(request, dag_id)
    found = structure_of_dag(request, dag)
    shown = shown_rows(dag, found, QueryValues(request).text("root"))
    body = json.dumps(rows_json(shown, dag.structure_digest or ""), separators=(",", ":")).encode()
    # The URL of an older version gets the current rows, which must not be kept as those of that version.
    is_current = request.query_params.get("version", "") == dag.structure_digest
    headers = {"Cache-Control": "private, max-age=3600"} if is_current else {}
    return conditional(request, body, "application/json", headers)


@router.get("/dags/{dag_id}/grid", requires=Right.READ)
def states(request: Request, dag_id: str) -> Response:
    """Return the columns as JSON after its length (4 bytes, little endian), then one byte for each task and run.

    The query names the runs by `before` and `runs`, or one by one by `run`.
    """
    dag = dag_of(request, dag_id)
    _, zone = zone_of(request, identity_of(request))
    query = QueryValues(request, zone)
    root = query.text("root")
    shown = shown_rows(dag, structure_of_dag(request, dag), root)
    window = window_of(request, dag_id, query)
    named = request.query_params.getlist("run")[:MAX_RUNS]
    newest = window.runs[-1].run_id if window.runs else None
    runs = tuple(run for run in window.runs if run.run_id in named) if named else window.runs
    cells = cells_of(request, dag_id, runs, shown if root else None)
    tasks = [row.row_id for row in shown if not row.is_group]
    gone = [] if root else [row.row_id for row in gone_rows(shown, cells.task_ids())]
    numbers = numbers_of(request, dag_id)
    head = {
        "digest": dag.structure_digest or "",
        "newest": newest,
        "runs": [run_json(run, numbers.get(run.structure_digest or ""), zone) for run in runs],
        "gone": gone,
        "copies": copies_of(cells, runs),
        "earlier": window.has_earlier,
        "later": window.has_later,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    body = struct.pack("<I", len(text)) + text + cell_bytes([*tasks, *gone], cells, [run.run_id for run in runs])
    return conditional(request, body, "application/octet-stream")


def shown_rows(dag: DagRow, found: Structure | None, root: str) -> Sequence[GridRow]:
    """Return the rows of a DAG, or those around one of its tasks or groups.

    Raises:
        NotFound: There is no such task or group.
    """
    if found is None:
        return ()
    if not root:
        return found.rows
    below = rows_below(found.dag, found.rows, root)
    if below is None:
        url = dag_url(dag.dag_id)
        near = [(row.row_id, f"{url}?root={row.row_id}") for row in found.rows]
        raise NotFound("task or group", root, near, of=f"DAG {dag.dag_id!r}")
    return below


def window_of(request: Request, dag_id: str, query: QueryValues, count: int = DEFAULT_RUNS) -> RunWindow:
    """Return the runs that the query asks for."""
    limit = query.whole("runs", count, 1, MAX_RUNS)
    return grid.run_window(context_of(request).database, dag_id, limit, query.date("before", is_end=True))


def cells_of(
    request: Request, dag_id: str, runs: Sequence[RunHeader], rows: Sequence[GridRow] | None = None
) -> RunCells:
    """Return the states of the tasks of runs; of some rows, or of all."""
    task_ids = None if rows is None else [row.row_id for row in rows if not row.is_group]
    return grid.cells_of(context_of(request).database, dag_id, [run.run_id for run in runs], task_ids)


def numbers_of(request: Request, dag_id: str) -> dict[str, int]:
    """Return the numbers of the versions of a DAG by the digests of their structures."""
    return {one.structure_digest: one.number for one in grid.versions(context_of(request).database, dag_id)}


def copies_of(cells: RunCells, runs: Sequence[RunHeader]) -> dict[str, int]:
    """Return the number of copies of each mapped task in the latest run that has some."""
    found: dict[str, int] = {}
    for run in runs:
        found.update(cells.copies.get(run.run_id, {}))
    return found
