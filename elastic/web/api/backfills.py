"""Backfills that masters carry out: list, start, pause and cancel."""

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.db import transitions
from elastic.db.transitions import Backfill, BackfillState
from elastic.scheduler.commands.backfill_stored import submit_stored
from elastic.web.api.answers import PREFIX, Name, Page, answer
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, Conflict
from elastic.web.page_keys import instant
from elastic.web.pages.lookups import dag_of, structure_of_dag
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router(prefix=PREFIX, tags=["backfills"])

BackfillId = Annotated[int, Path(ge=1, lt=2**62)]

#: Maximum number of backfills in a list.
_MAX_LISTED = 500


class NewBackfill(BaseModel, extra="forbid"):
    """Backfill to start."""

    dag_id: str = Field(min_length=1, max_length=250)
    from_date: str = Field(max_length=60, description="first logical date, ISO 8601 with zone")
    to_date: str = Field(max_length=60, description="last logical date, included")
    max_active_runs: int = Field(default=16, ge=1, le=1000)


class BackfillChange(BaseModel, extra="forbid"):
    """Change of a backfill."""

    state: Literal["paused", "running", "canceled"]


@router.get("/backfills", requires=Right.READ, response_model=Page[Backfill])
def list_backfills(request: Request, dag: Name | None = None) -> Response:
    """List the last 500 backfills, the latest first, with the numbers of their runs by state."""
    found = transitions.backfills(context_of(request).database, dag_id=dag, limit=_MAX_LISTED)
    return answer(request, {"items": found, "next": None})


@router.post("/backfills", requires=Right.BACKFILL, status_code=202, response_model=Backfill)
def start_backfill(request: Request, new: NewBackfill) -> Response:
    """Let masters make and run the missing runs of a range of dates."""
    dag = dag_of(request, new.dag_id)
    first, last = (instant(text) for text in (new.from_date, new.to_date))
    if first is None or last is None:
        wrong = new.from_date if first is None else new.to_date
        raise BadRequest(f"{wrong!r} is no time with a zone.", "Give one such as 2026-11-29T02:00:00Z.")
    found = structure_of_dag(request, dag)
    if found is None or found.stored.obstacle or not dag.is_active:
        reason = "its structure is not stored" if found is None else found.stored.obstacle or "it is gone from its file"
        raise Conflict(f"DAG {dag.dag_id!r} cannot be backfilled here: {reason}.", "Use `elastic backfill`.")
    made = submit_stored(
        context_of(request).database,
        dag.dag_id,
        found.stored.timetable,
        (first, last),
        max_active_runs=new.max_active_runs,
        now=context_of(request).clock(),
    )
    return answer(request, made, 202, Location=f"{PREFIX}/backfills/{made.id}")


@router.get("/backfills/{backfill_id}", requires=Right.READ, response_model=Backfill)
def get_backfill(request: Request, backfill_id: BackfillId) -> Response:
    """Return a backfill."""
    return answer(request, transitions.backfill_of(context_of(request).database, backfill_id))


@router.patch("/backfills/{backfill_id}", requires=Right.BACKFILL, response_model=Backfill)
def change_backfill(request: Request, backfill_id: BackfillId, change: BackfillChange) -> Response:
    """Pause, resume or cancel a backfill. Runs that were made go on."""
    wanted = BackfillState(change.state)
    found = transitions.set_backfill_state(context_of(request).database, backfill_id, wanted)
    if found.state is not wanted:
        raise Conflict(f"Backfill {found.id} of DAG {found.dag_id!r} is {found.state} and cannot become {wanted}.")
    return answer(request, found)
