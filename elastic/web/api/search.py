"""Search of the API."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from elastic.web.api.answers import PREFIX, answer
from elastic.web.routes import Router
from elastic.web.search_results import results_of
from elastic.web.security.rights import Right

router = Router(prefix=PREFIX, tags=["search"])


@router.get("/search", requires=Right.READ)
def search(request: Request, q: Annotated[str, Query(min_length=1, max_length=250)]) -> Response:
    """Return the DAGs, tasks, runs and flow runs whose names match, of each kind the first five."""
    found = results_of(request, q)
    runs = [
        {"dag_id": one.dag_id, "run_id": one.run_id, "logical_date": one.logical_date, "state": one.state}
        for one in found.runs
    ]
    flow_runs = [{"run_id": one.run_id, "name": one.name, "state": one.state} for one in found.flow_runs]
    dags = [{"dag_id": one} for one in found.dag_ids]
    return answer(request, {"dags": dags, "tasks": list(found.tasks), "runs": runs, "flow_runs": flow_runs})
