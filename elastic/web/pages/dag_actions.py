"""Actions on a DAG: run it, pause it."""

from typing import Annotated

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.stores.dags import set_paused
from elastic.scheduler.commands.trigger_stored import trigger_stored
from elastic.web.context import context_of
from elastic.web.flash import local_url, redirect
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()


@router.post("/dags/{dag_id}/trigger", requires=Right.TRIGGER)
def trigger(request: Request, dag_id: str, back: Annotated[str, Form()] = "/") -> Response:
    """Queue a run of a DAG for now."""
    context = context_of(request)
    run = trigger_stored(context.database, dag_id, context.clock().replace(microsecond=0))
    return redirect(request, local_url(back), f"Run {run.run_id} of {dag_id} is queued.")


@router.post("/dags/{dag_id}/pause", requires=Right.PAUSE)
def pause(
    request: Request, dag_id: str, paused: Annotated[bool, Form()], back: Annotated[str, Form()] = "/"
) -> Response:
    """Pause or resume the schedule of a DAG."""
    set_paused(context_of(request).database, dag_id, paused=paused)
    done = "is paused: no new runs begin" if paused else "runs by its schedule"
    return redirect(request, local_url(back), f"{dag_id} {done}.")
