"""Page of a DAG: grid, graph, runs and code."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState
from elastic.db.page_queries import grid, instances
from elastic.db.page_queries.grid import RunHeader
from elastic.db.stores.dag_files import import_error_of
from elastic.db.stores.dags import DagRow, cursor_of, source_of
from elastic.web.context import context_of
from elastic.web.errors import NotFound
from elastic.web.pages.grid import (
    DEFAULT_RUNS,
    MAX_RUNS,
    cells_of,
    copies_of,
    numbers_of,
    shown_rows,
    window_of,
)
from elastic.web.pages.lookups import dag_of, dag_url, run_of, structure_of_dag
from elastic.web.pages.panel import ordered, panel_of_run, panel_of_task
from elastic.web.query_values import QueryValues
from elastic.web.rendering import identity_of, render, zone_of
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import Right
from elastic.web.structures import Structure, graph
from elastic.web.views.code import code_lines, diff_lines
from elastic.web.views.grid_rows import GridRow, gone_rows
from elastic.web.views.grid_table import failed_rows, table_rows
from elastic.web.views.times import local_time

router = Router()

VIEWS = ("grid", "table", "graph", "runs", "code")

#: Maximum number of runs and rows in the table.
_TABLE_RUNS = 14
_TABLE_ROWS = 100
_MOMENT = dt.timedelta(microseconds=1)


@router.get("/dags/{dag_id}", requires=Right.READ)
def dag_page(request: Request, dag_id: str) -> Response:
    """Show a DAG."""
    dag = dag_of(request, dag_id)
    query = _query(request)
    view = query.choice("view", VIEWS, "grid")
    found = structure_of_dag(request, dag)
    values = {**common_values(request, dag, found), "view": view, "query": query}
    match view:
        case "graph":
            values |= _graph_values(request, dag, found, query)
        case "runs":
            values |= _runs_values(request, dag, query)
        case "code":
            values |= _code_values(request, dag, query)
        case _:
            values |= _grid_values(request, dag, found, query)
    return render(request, f"dag_{'grid' if view == 'table' else view}.html", **values)


@router.get("/dags/{dag_id}/head", requires=Right.READ)
def dag_head(request: Request, dag_id: str) -> Response:
    """Show only the head of a DAG, which open pages follow."""
    dag, query = dag_of(request, dag_id), _query(request)
    values = common_values(request, dag, structure_of_dag(request, dag))
    return render(request, "dag_head.html", **values, view=query.choice("view", VIEWS, "grid"), query=query)


def _query(request: Request) -> QueryValues:
    return QueryValues(request, zone_of(request, identity_of(request))[1])


def common_values(request: Request, dag: DagRow, found: Structure | None) -> dict[str, Any]:
    """Return the values that all views of a DAG need."""
    database = context_of(request).database
    known = grid.versions(database, dag.dag_id)
    error = import_error_of(database, dag.fileloc) if dag.is_active and dag.fileloc else None
    return {
        "dag": dag,
        "address": dag_url(dag.dag_id),
        "cursor": cursor_of(database, dag.dag_id),
        "structure": found,
        "timezone": found.dag.fields["timezone"] if found else "UTC",
        "broken": next(iter(masked_text(error).strip().splitlines()), "") if error else "",
        "versions": known,
        "version": next((one.number for one in known if one.structure_digest == dag.structure_digest), None),
    }


def _grid_values(request: Request, dag: DagRow, found: Structure | None, query: QueryValues) -> dict[str, Any]:
    """Return the values of the grid and of the table that replaces it without JavaScript."""
    database = context_of(request).database
    root = query.text("root")
    shown = list(shown_rows(dag, found, root))
    window = window_of(request, dag.dag_id, query)
    limit = query.whole("runs", DEFAULT_RUNS, 1, MAX_RUNS)
    before = query.date("before", is_end=True)
    last = window.runs[-1].logical_date if window.runs else None
    later = grid.date_of_later_runs(database, dag.dag_id, last, limit) if last and window.has_later else None
    return {
        "window": window,
        "has_tasks": bool(shown),
        "root": root,
        "run_count": limit,
        "run_counts": sorted({7, 14, 45, 90, 365, limit}),
        "given_before": request.query_params.get("before", "") if before else "",
        "before_day": local_time(before, zone_of(request, identity_of(request))[1]).date().isoformat()
        if before
        else "",
        "earlier_date": window.runs[0].logical_date - _MOMENT if window.runs else None,
        "later_date": later,
        "only_failed": query.flag("failed"),
        "panel": _panel(request, dag, window.runs, query) if window.runs else None,
        **_table(request, dag, shown, window.runs[-_TABLE_RUNS:], query),
    }


def _table(
    request: Request, dag: DagRow, shown: list[GridRow], runs: Sequence[RunHeader], query: QueryValues
) -> dict[str, Any]:
    root, only_failed = query.text("root"), query.flag("failed")
    first = query.whole("row", 0, 0, 1_000_000)
    page = slice(first, first + _TABLE_ROWS)
    if not only_failed and page.stop < len(shown):
        # Read only the states of tasks on this page, or of groups on it. Tasks that are gone come last.
        wanted = {row.row_id for row in shown[page]}
        shown_here = [row for row in shown if row.row_id in wanted or not wanted.isdisjoint(row.groups)]
        cells = cells_of(request, dag.dag_id, runs, shown_here)
        rows = [one for one in table_rows(shown_here, cells, _ids(runs)) if one.row.row_id in wanted]
        count = len(shown)
    else:
        cells = cells_of(request, dag.dag_id, runs, shown if root else None)
        gone = [] if root else gone_rows(shown, cells.task_ids())
        rows = table_rows([*shown, *gone], cells, _ids(runs))
        rows = failed_rows(rows) if only_failed else rows
        count, rows = len(rows), rows[page]
    return {
        "table_runs": runs,
        "table_rows": rows,
        "row_count": count,
        "first_row": first,
        "rows_per_page": _TABLE_ROWS,
        "copies": copies_of(cells, runs),
    }


def _ids(runs: Sequence[RunHeader]) -> list[str]:
    return [run.run_id for run in runs]


def _panel(request: Request, dag: DagRow, runs: Sequence[RunHeader], query: QueryValues) -> dict[str, Any]:
    """Return the details of the selected cell, by default of the latest run."""
    wanted, task = query.text("run"), query.text("task")
    run_id = wanted if wanted in {run.run_id for run in runs} else runs[-1].run_id
    if task and wanted == run_id:
        try:
            return panel_of_task(request, TaskKey(dag.dag_id, run_id, task))
        except NotFound:
            query.notices.append(f"Run {run_id} has no task {task[:60]!r}; the panel shows the run instead.")
    return panel_of_run(request, run_of(request, dag.dag_id, run_id))


def _graph_values(request: Request, dag: DagRow, found: Structure | None, query: QueryValues) -> dict[str, Any]:
    """Return the graph with the states of a run, by default the latest one."""
    window = grid.run_window(context_of(request).database, dag.dag_id, 25)
    wanted = query.text("run")
    run = next((one for one in window.runs if one.run_id == wanted), window.runs[-1] if window.runs else None)
    cells = cells_of(request, dag.dag_id, [run] if run else [])
    states = cells.states.get(run.run_id, {}) if run else {}
    root = query.text("root")
    drawn = graph(found, root, states, copies_of(cells, [run] if run else [])) if found else None
    if found and drawn is None:
        query.notices.append(f"DAG {dag.dag_id!r} has no task or group {root[:60]!r}; the whole DAG is shown.")
        drawn = graph(found, "", states, copies_of(cells, [run] if run else []))
    return {
        "graph": drawn,
        "root": root if drawn else "",
        "graph_run": run,
        "graph_runs": list(reversed(window.runs)),
    }


def _runs_values(request: Request, dag: DagRow, query: QueryValues) -> dict[str, Any]:
    database = context_of(request).database
    state = query.choice("state", ("", *RunState), "")
    states = [RunState(state)] if state else None
    runs, following = instances.runs_page(database, dag.dag_id, states=states, before=query.date("before"))
    return {
        "runs": runs,
        "following": following,
        "state": state,
        "states": list(RunState),
        "counts": {
            run_id: ordered(counts)
            for run_id, counts in instances.counts_of_runs(database, dag.dag_id, [run.run_id for run in runs]).items()
        },
        "numbers": numbers_of(request, dag.dag_id),
        "paged": "before" in request.query_params,
    }


def _code_values(request: Request, dag: DagRow, query: QueryValues) -> dict[str, Any]:
    database = context_of(request).database
    known = grid.versions(database, dag.dag_id)
    wanted = query.whole("version", 0, 0, 10**9)
    chosen = next((one for one in known if one.number == wanted), None)
    if wanted and chosen is None:
        query.notices.append(f"DAG {dag.dag_id!r} has no version v{wanted}; the current one is shown.")
    digest = chosen.source_digest if chosen else dag.source_digest
    source = source_of(database, digest) if digest else None
    before = query.whole("from", 0, 0, 10**9)
    earlier = next((one for one in known if one.number == before), None)
    if before and earlier is None:
        query.notices.append(f"DAG {dag.dag_id!r} has no version v{before} to compare with.")
    old = source_of(database, earlier.source_digest) if earlier and earlier.source_digest else None
    return {
        "lines": None if source is None else code_lines(source),
        "compared": earlier.number if earlier else None,
        "difference": diff_lines(old, source) if old is not None and source is not None else None,
        "chosen": chosen.number if chosen else None,
        "digest": digest,
    }
