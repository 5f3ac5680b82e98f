"""Run a finished run again: all of it, what is not done, one task, or a task and all tasks after it."""

from typing import Annotated

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.records import RunMode
from elastic.web.errors import BadRequest
from elastic.web.flash import redirect
from elastic.web.pages.lookups import run_of, run_url
from elastic.web.rerun_run import rerun
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()


@router.post("/dags/{dag_id}/runs/{run_id}/rerun", requires=Right.CLEAR)
def rerun_page(
    request: Request,
    dag_id: str,
    run_id: str,
    mode: Annotated[str, Form(max_length=20)] = "",
    task_id: Annotated[str, Form(max_length=250)] = "",
) -> Response:
    """Queue another execution of a run."""
    run = run_of(request, dag_id, run_id)
    if mode not in list(RunMode):
        raise BadRequest("The form does not name a valid mode.", "Go back and load the page again.")
    _, count = rerun(request, run, RunMode(mode), task_id or None)
    done = f"The run is queued again, with {count:,} task instance{'' if count == 1 else 's'} to run."
    return redirect(request, run_url(dag_id, run_id), done)
