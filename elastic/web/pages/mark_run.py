"""Mark a whole run as success or failed: a page that lists what changes, and the form that changes it."""

from typing import Annotated

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.dag.states.state import RunState
from elastic.db import transitions
from elastic.web.context import context_of
from elastic.web.errors import BadRequest
from elastic.web.flash import redirect
from elastic.web.mark_instances import user_name
from elastic.web.pages.lookups import dag_url, instance_url, run_of, run_url
from elastic.web.query_values import QueryValues
from elastic.web.rendering import render
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()

_STATES = {"success": RunState.SUCCESS, "failed": RunState.FAILED}
#: Maximum number of instances that the page lists.
_MAX_LISTED = 200


@router.get("/dags/{dag_id}/runs/{run_id}/mark", requires=Right.MARK)
def mark_form(request: Request, dag_id: str, run_id: str) -> Response:
    """Show the task instances that a mark would change."""
    run = run_of(request, dag_id, run_id)
    query = QueryValues(request)
    state = _STATES[query.choice("state", tuple(_STATES), "success")]
    database = context_of(request).database
    found, count, active = transitions.instances_to_mark(database, dag_id, run_id, state, limit=_MAX_LISTED)
    return render(
        request,
        "mark_run.html",
        run=run,
        state=state,
        listed=[{"name": one.key.task_name, "url": instance_url(one.key), "state": one.state} for one in found],
        count=count,
        active=active,
        query=query,
        address=run_url(dag_id, run_id),
        dag_address=dag_url(dag_id),
    )


@router.post("/dags/{dag_id}/runs/{run_id}/mark", requires=Right.MARK)
def mark(request: Request, dag_id: str, run_id: str, state: Annotated[str, Form()] = "") -> Response:
    """Set a run and its task instances to success or failed."""
    run_of(request, dag_id, run_id)
    wanted = _STATES.get(state)
    if wanted is None:
        raise BadRequest("The form does not name a valid state.", "Go back and load the page again.")
    note = f"run set to {wanted} by {user_name(request)}"
    is_new, changed = transitions.mark_run(context_of(request).database, dag_id, run_id, wanted, note=note)
    if not is_new and not changed:
        sentence = f"Nothing was changed: the run is already {wanted}."
    else:
        count = f"{len(changed):,} task instance{'' if len(changed) == 1 else 's'}"
        sentence = f"The run was marked {wanted}, with {count}."
    return redirect(request, run_url(dag_id, run_id), sentence)
