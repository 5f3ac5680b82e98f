"""Page of a run: task instances (failed ones first), graph, executions and parameters."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from elastic.core.text import lines as visible
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.db.page_queries import grid, instances
from elastic.db.page_queries.instances import InstanceFilter, Position
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.db.stores.dags import DagRow
from elastic.service.run_waits import run_verdicts
from elastic.web.context import context_of
from elastic.web.pages.grid import numbers_of
from elastic.web.pages.lookups import dag_of, dag_url, instance_url, run_of, run_url, structure_of_run
from elastic.web.pages.panel import ordered, tries_of
from elastic.web.query_values import QueryValues
from elastic.web.rendering import identity_of, render, zone_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.structures import graph

router = Router()

VIEWS = ("tasks", "graph", "attempts", "conf")
#: Maximum number of characters of the parameters on the page.
_MAX_CONF = 64 * 1024


@router.get("/dags/{dag_id}/runs/{run_id}", requires=Right.READ)
def run_page(request: Request, dag_id: str, run_id: str) -> Response:
    """Show a run."""
    run, dag = run_of(request, dag_id, run_id), dag_of(request, dag_id)
    query = QueryValues(request, zone_of(request, identity_of(request))[1])
    view = query.choice("view", VIEWS, "tasks")
    values: dict[str, Any] = {**_common(request, run), "view": view, "query": query}
    match view:
        case "graph":
            values |= _graph_values(request, dag, run, query)
        case "attempts":
            values["attempts"] = queries.run_attempts(context_of(request).database, dag_id, run_id)
        case "conf":
            values["conf"] = visible(json.dumps(dict(run.conf), indent=2, ensure_ascii=False, default=str))[:_MAX_CONF]
        case _:
            values |= _task_values(request, run, query)
    return render(request, "run.html", **values)


def _common(request: Request, run: DagRun) -> dict[str, Any]:
    context = context_of(request)
    now = context.clock()
    window = grid.run_window(context.database, run.dag_id, 2, run.logical_date)
    earlier = window.runs[0] if len(window.runs) == 2 else None
    later = grid.run_after(context.database, run.dag_id, run.logical_date)
    ended = run.ended_at or (now if run.state is RunState.RUNNING else None)
    return {
        "run": run,
        "address": run_url(run.dag_id, run.run_id),
        "dag_address": dag_url(run.dag_id),
        "clear": f"{dag_url(run.dag_id)}/clear",
        "version": numbers_of(request, run.dag_id).get(run.structure_digest or ""),
        "seconds": (ended - run.started_at).total_seconds() if ended and run.started_at else None,
        "counts": ordered(instances.state_counts(context.database, run.dag_id, run.run_id)),
        "waits": [one for one in run_verdicts(context.database, run, context.deployment.heartbeat) if not one.met],
        "earlier": run_url(run.dag_id, earlier.run_id) if earlier else "",
        "later": run_url(run.dag_id, later) if later else "",
    }


def _task_values(request: Request, run: DagRun, query: QueryValues) -> dict[str, Any]:
    database = context_of(request).database
    state = query.choice("state", ("", *TaskState), "")
    task, group = query.text("task"), query.text("group")
    after = _position(query)
    states = [TaskState(state)] if state else None
    wanted = InstanceFilter(states=states, task_id=task or None, group=group or None)
    found, following = instances.instances_page(database, run.dag_id, run.run_id, wanted, after=after)
    errors = instances.errors_of(
        database, [one.attempt_uuid for one in found if one.attempt_uuid and one.state in _WITH_ERROR]
    )
    return {
        "rows": [_row(one, errors) for one in found],
        "following": ".".join(str(part) for part in (following[0], following[2], following[1])) if following else "",
        "is_first": after is None,
        "state": state,
        "task": task,
        "group": group,
    }


_WITH_ERROR = (TaskState.FAILED, TaskState.UP_FOR_RETRY, TaskState.UPSTREAM_FAILED)


def _row(one: TaskInstanceRow, errors: dict[str, str]) -> dict[str, Any]:
    is_bad = one.state in _WITH_ERROR
    return {
        "name": one.key.task_name,
        "url": instance_url(one.key),
        "state": one.state,
        "operator": one.operator or "-",
        "started_at": one.started_at,
        "seconds": one.duration,
        "tries": tries_of(one),
        "error": visible(errors.get(one.attempt_uuid or "") or one.note or "")[:500] if is_bad else "",
    }


def _position(query: QueryValues) -> Position | None:
    """Return the position at which the page starts: rank, map index and task, joined by dots."""
    text = query.text("after")
    if not text:
        return None
    rank, _, rest = text.partition(".")
    index, _, task = rest.partition(".")
    is_number = rank.isdecimal() and index.removeprefix("-").isdecimal() and len(rank) < 4 and len(index) < 11
    if not is_number or not task or not text.isascii():
        query.notices.append("The position in the URL is not valid; the first page is shown.")
        return None
    return int(rank), task, int(index)


def _graph_values(request: Request, dag: DagRow, run: DagRun, query: QueryValues) -> dict[str, Any]:
    found = structure_of_run(request, dag, run)
    cells = grid.cells_of(context_of(request).database, run.dag_id, [run.run_id])
    states, copies = cells.states.get(run.run_id, {}), cells.copies.get(run.run_id, {})
    root = query.text("root")
    drawn = graph(found, root, states, copies) if found else None
    if found and drawn is None:
        query.notices.append(f"The run has no task or group {root[:60]!r}; the whole DAG is shown.")
        root, drawn = "", graph(found, "", states, copies)
    return {"graph": drawn, "root": root}
