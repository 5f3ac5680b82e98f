"""Addresses of Flux, the predecessor of these pages: each leads to the page of today for good."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from elastic.dag.ids import TaskKey
from elastic.db import queries
from elastic.web.context import context_of
from elastic.web.pages.lookups import dag_of, dag_url, instance_url
from elastic.web.query_values import QueryValues
from elastic.web.rendering import identity_of, url_of, zone_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()

#: Views of a DAG by the last part of their old addresses. The grid replaces the Gantt chart of a DAG.
_VIEWS = {"tree": "", "graph": "graph", "gantt": "", "code": "code"}


def _redirection(view: str) -> Callable[..., Response]:
    def redirection(request: Request, dag_id: Annotated[str, Query(max_length=250)]) -> Response:
        """Redirect to a view of a DAG."""
        dag_of(request, dag_id)
        return RedirectResponse(url_of(dag_url(dag_id), view=view), 301)

    return redirection


for _name, _view in _VIEWS.items():
    router.add_api_route(f"/{_name}", _redirection(_view), methods=["GET"], requires=Right.READ)


@router.get("/log", requires=Right.READ)
def log(
    request: Request,
    dag_id: Annotated[str, Query(max_length=250)],
    task_id: Annotated[str, Query(max_length=250)] = "",
) -> Response:
    """Redirect to the log of a task instance, or to its DAG if there is no run of the date."""
    dag_of(request, dag_id)
    query = QueryValues(request, zone_of(request, identity_of(request))[1])
    date = query.date("execution_date")
    run = queries.run_at(context_of(request).database, dag_id, date) if date and task_id else None
    if run is None:
        return RedirectResponse(dag_url(dag_id), 301)
    return RedirectResponse(url_of(instance_url(TaskKey(dag_id, run.run_id, task_id)), tab="log"), 301)
