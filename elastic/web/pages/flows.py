"""List of flow runs."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from elastic.run_views.run_list import STATES, RunFilter
from elastic.web.context import context_of
from elastic.web.flash import redirect
from elastic.web.pages.flow_requests import runs_of
from elastic.web.rendering import render, url_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views import amounts
from elastic.web.views.flow_states import sign_of_step

router = Router()

#: Runs on a page.
_PAGE = 50
_MAX_TEXT = 200


@router.get("/flows", requires=Right.READ)
def flows_page(
    request: Request,
    q: Annotated[str, Query()] = "",
    state: Annotated[str, Query()] = "",
    bad: Annotated[str, Query()] = "",
    after: Annotated[str, Query()] = "",
) -> Response:
    """List the flow runs below the runs folder, newest first."""
    given = {"q": q[:_MAX_TEXT], "state": state if state in STATES else "", "bad": "1" if bad else ""}
    wanted = RunFilter(text=given["q"], state=given["state"], has_letters=bool(bad))
    page = runs_of(request).page(wanted, after=after[:_MAX_TEXT] or None, limit=_PAGE)
    return render(
        request,
        "flows.html",
        page=page,
        given=given,
        wanted=wanted,
        states=list(STATES),
        filtered=lambda **changes: url_of("/flows", **{**given, **changes}),
        next_url=url_of("/flows", **given, after=page.after) if page.after else "",
        first_url=url_of("/flows", **given) if after else "",
        folder=context_of(request).runs_folder,
        sign=sign_of_step,
        amounts=amounts,
    )


@router.get("/flows/{run_id}", requires=Right.READ)
def flow_page(request: Request, run_id: str) -> Response:
    """Redirect to the first step of a run."""
    return redirect(request, f"/flows/{quote(run_id, safe='')}/0")
