"""Page of the search in the header."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from elastic.web.pages.lookups import dag_url, run_url
from elastic.web.rendering import render, url_of
from elastic.web.routes import Router
from elastic.web.search_results import LIMIT, results_of
from elastic.web.security.rights import Right
from elastic.web.views.flow_states import sign_of_step

router = Router()


@router.get("/search", requires=Right.READ)
def search_page(request: Request, q: Annotated[str, Query(max_length=4000)] = "") -> Response:
    """Show the DAGs, tasks, runs and flow runs whose names match."""
    text = q.strip()
    found = results_of(request, text)
    return render(
        request,
        "search.html",
        q=text[:250],
        found=found,
        limit=LIMIT,
        dags=[(one, dag_url(one)) for one in found.dag_ids],
        tasks=[(one, url_of(dag_url(one.dag_id), view="graph", root=one.task_id)) for one in found.tasks],
        runs=[(one, run_url(one.dag_id, one.run_id)) for one in found.runs],
        flow_runs=[(one, f"/flows/{quote(one.run_id, safe='')}") for one in found.flow_runs],
        more={
            "DAGs": url_of("/", q=text),
            "Flow runs": url_of("/flows", q=text),
        },
        sign_of_step=sign_of_step,
    )
