"""Actions on a DAG: pause it."""

from typing import Annotated

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.stores.dags import set_paused
from elastic.web.context import context_of
from elastic.web.flash import local_url, redirect
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()


@router.post("/dags/{dag_id}/pause", requires=Right.PAUSE)
def pause(
    request: Request, dag_id: str, paused: Annotated[bool, Form()], back: Annotated[str, Form()] = "/"
) -> Response:
    """Pause or resume the schedule of a DAG."""
    set_paused(context_of(request).database, dag_id, paused=paused)
    done = "is paused and starts no new runs" if paused else "follows its schedule"
    return redirect(request, local_url(back), f"{dag_id} {done}.")
