"""Actions on a DAG: pause it, and load its file again."""

from typing import Annotated

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.stores.dag_files import parse_again
from elastic.db.stores.dags import DagRow, set_paused
from elastic.web.context import context_of
from elastic.web.errors import Conflict
from elastic.web.flash import local_url, redirect
from elastic.web.pages.lookups import dag_of
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


@router.post("/dags/{dag_id}/parse", requires=Right.PARSE)
def parse(request: Request, dag_id: str, back: Annotated[str, Form()] = "/") -> Response:
    """Let a master load the file of a DAG again."""
    dag = dag_of(request, dag_id)
    load_again(request, dag)
    return redirect(request, local_url(back), f"A master loads {dag.fileloc} again within seconds.")


def load_again(request: Request, dag: DagRow) -> None:
    """Let the next scan of a master load the file of a DAG, although it has not changed.

    Raises:
        Conflict: No master has loaded the file before, or the file no longer defines the DAG.
    """
    if not dag.is_active or not parse_again(context_of(request).database, dag.fileloc):
        raise Conflict(
            f"No master has loaded the file of DAG {dag.dag_id!r}.", "A running master loads it when it changes."
        )
