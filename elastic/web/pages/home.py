"""Home page: the list of DAGs."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.page_queries.dag_list import DagFilter, dag_list, dag_totals
from elastic.web.context import context_of
from elastic.web.rendering import identity_of, render, url_of, zone_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views.dag_rows import dag_lines

router = Router()

_PAGE_SIZE = 50


class HomeQuery(BaseModel):
    """Filters and position of the page, from its query."""

    model_config = ConfigDict(frozen=True)

    q: str = Field(default="", max_length=200)
    tag: str = Field(default="", max_length=200)
    owner: str = Field(default="", max_length=250)
    state: str = Field(default="", max_length=20)
    paused: str = Field(default="", max_length=1)
    gone: str = Field(default="", max_length=1)
    after: str = Field(default="", max_length=250)

    def url(self, **changes: str) -> str:
        """Return the URL of the page with changed filters; the first page unless `after` is given."""
        return url_of("/", **{**self.model_dump(exclude={"after"}), **changes})

    @property
    def is_filtered(self) -> bool:
        """Whether any filter is set."""
        return self.url() != "/"


@router.get("/", requires=Right.READ)
def home(request: Request, view: Annotated[HomeQuery, Query()]) -> Response:
    """Show the DAGs of a selection with their last runs."""
    context = context_of(request)
    wanted = DagFilter(
        text=view.q.strip(),
        tag=view.tag,
        owner=view.owner,
        state=view.state,
        paused={"1": True, "0": False}.get(view.paused),
        gone=view.gone == "1",
    )
    found = dag_list(context.database, wanted, after=view.after, limit=_PAGE_SIZE)
    _, zone = zone_of(request, identity_of(request))
    return render(
        request,
        "home.html",
        view=view,
        lines=dag_lines(found, zone, context.clock()),
        totals=dag_totals(context.database),
        next_url=view.url(after=found.dags[-1].dag_id) if found.has_more else "",
        folder=context.deployment.dags_folder,
        here=view.url(after=view.after),
    )
