"""Records of the installation: jobs, import errors, audit log and settings."""

import datetime as dt
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.page_queries.browse import BrokenFile, RowFilter, broken_files, events_page, latest_jobs
from elastic.db.records import Event, Job
from elastic.db.stores.notifications import notifications
from elastic.web.api.answers import PREFIX, After, Limit, Page, answer, page, plain
from elastic.web.context import context_of
from elastic.web.page_keys import key_of, number_in
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import Right

router = Router(prefix=PREFIX, tags=["installation"])


class EventView(BaseModel):
    """Event of the audit log."""

    id: int
    event: Event


class NotificationView(BaseModel):
    """Notification, and what became of it."""

    id: int
    event: str
    recipient: str
    dag_id: str
    run_id: str
    task_id: str | None
    map_index: int | None
    subject: str
    state: str
    created_at: dt.datetime
    sent_at: dt.datetime | None
    #: times that a sender has taken it
    tries: int
    last_error: str | None


class SettingView(BaseModel):
    """Setting with its source. The value of a secret is hidden."""

    name: str
    value: str
    source: str
    meaning: str


@router.get("/jobs", requires=Right.READ, response_model=Page[Job])
def list_jobs(request: Request) -> Response:
    """List the last 100 processes that run task instances, the latest first."""
    context = context_of(request)
    return answer(request, {"items": latest_jobs(context.database, context.deployment.heartbeat), "next": None})


@router.get("/import-errors", requires=Right.READ, response_model=Page[BrokenFile])
def list_import_errors(request: Request) -> Response:
    """List the first 200 files that could not be loaded, by path; secrets are masked."""
    found = broken_files(context_of(request).database)
    items = [{"path": one.path, "at": one.at, "traceback": masked_text(one.traceback)} for one in found]
    return answer(request, {"items": items, "next": None})


@router.get("/notifications", requires=Right.READ, response_model=Page[NotificationView])
def list_notifications(
    request: Request,
    dag: Annotated[str, Query(max_length=250)] = "",
    state: Annotated[Literal["", "waiting", "sent", "failed"], Query()] = "",
    after: After = "",
    limit: Limit = 50,
) -> Response:
    """List the notifications about failed tasks and ended runs, the latest first."""
    key = key_of(after, 1)
    before = number_in(key[0]) if key else None
    found = notifications(context_of(request).database, state=state, dag_id=dag, before=before, limit=limit + 1)
    items = [
        {**{name: getattr(one, name) for name in NotificationView.model_fields}, "last_error": _masked(one.last_error)}
        for one in found
    ]
    return page(request, items, limit, lambda one: [one["id"]])


@router.get("/audit", requires=Right.READ_AUDIT, response_model=Page[EventView])
def list_events(  # noqa: PLR0913 - the query of the address
    request: Request,
    event: Annotated[str, Query(max_length=64)] = "",
    dag: Annotated[str, Query(max_length=250)] = "",
    owner: Annotated[str, Query(max_length=250)] = "",
    users: Annotated[bool, Query(description="only actions of users of the web server")] = False,
    after: After = "",
    limit: Limit = 50,
) -> Response:
    """List state changes and actions of users, the latest first."""
    key = key_of(after, 1)
    before = number_in(key[0]) if key else None
    wanted = RowFilter(event=event, dag_id=dag, owner=owner, by_users=users)
    found = events_page(context_of(request).database, wanted, before=before, limit=limit + 1)
    items = [{"id": number, "event": plain(one)} for number, one in found]
    return page(request, items, limit, lambda one: [one["id"]])


@router.get("/settings", requires=Right.READ_SETTINGS, response_model=Page[SettingView])
def list_settings(request: Request) -> Response:
    """List the settings with their sources, without secrets."""
    found = context_of(request).settings
    items = [
        {
            "name": option.name,
            "value": str(found.shown(option.name)),
            "source": str(found.source(option.name)),
            "meaning": option.doc,
        }
        for option in found.options
    ]
    return answer(request, {"items": items, "next": None})


def _masked(text: str | None) -> str | None:
    return None if text is None else masked_text(text)
