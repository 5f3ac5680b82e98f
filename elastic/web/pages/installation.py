"""Audit, settings and health of the installation."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from elastic.db.errors import DatabaseError
from elastic.service.health import HealthCheck, health_of
from elastic.web.context import context_of
from elastic.web.pages.admin_frame import show_table
from elastic.web.pages.browse import BrowseQuery, events_table
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import PUBLIC, Right
from elastic.web.views.tables import ListRow, TableView, text

router = Router()


@router.get("/admin/audit", requires=Right.READ_AUDIT)
def audit(request: Request, view: Annotated[BrowseQuery, Query()]) -> Response:
    """Show the actions of users with their time and client address."""
    return events_table(request, view, title="Audit", path="/admin/audit")


@router.get("/admin/settings", requires=Right.READ_SETTINGS)
def settings(request: Request) -> Response:
    """Show the settings with their sources, without secrets."""
    found = context_of(request).settings
    rows = [
        ListRow(
            key=option.name,
            cells=(
                text(option.name, kind="mono"),
                text(found.shown(option.name), kind="mono"),
                text(found.source(option.name), kind="sub"),
                text(option.doc, kind="sub"),
            ),
        )
        for option in found.options
    ]
    view = TableView(
        title="Settings",
        url="/admin/settings",
        columns=("name", "value", "source", "meaning"),
        rows=rows,
        empty=("No settings", "Settings come from files and from the environment."),
        note="Values at the start of this process. Files override defaults, and the environment overrides files.",
    )
    return show_table(request, view)


@router.get("/admin/health", requires=Right.READ)
def health_page(request: Request) -> Response:
    """Show the health of each component of the service."""
    rows = [
        ListRow(
            key=str(place),
            cells=(text(one.part), text("ok" if one.is_healthy else "missing"), text(masked_text(one.detail))),
        )
        for place, one in enumerate(_checks(request))
    ]
    view = TableView(
        title="Health",
        url="/admin/health",
        columns=("part", "state", "detail"),
        rows=rows,
        empty=("Nothing to check", "The service has no components."),
        topics="admin",
    )
    return show_table(request, view)


@router.get("/health", requires=PUBLIC)
def health(request: Request) -> Response:
    """Return the health of each component, without details, for load balancers and monitors."""
    parts = {one.part: one.is_healthy for one in _checks(request)}
    is_healthy = all(parts.values())
    return JSONResponse({"healthy": is_healthy, "parts": parts}, 200 if is_healthy else 503)


def _checks(request: Request) -> list[HealthCheck]:
    context = context_of(request)
    try:
        return health_of(context.database, context.deployment.heartbeat, context.deployment.worker_queues)
    except DatabaseError as error:
        return [HealthCheck(part="database", is_healthy=False, detail=str(error))]
