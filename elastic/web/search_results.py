"""Search of the header and of the API: DAGs, tasks, runs and flow runs."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from elastic.core.errors import StoreError
from elastic.db.page_queries.search import MAX_TEXT, FoundTask, search
from elastic.db.records import DagRun
from elastic.persistence.stored_run import StoredRun
from elastic.run_views.run_list import RunFilter
from elastic.scheduler.commands.planning import check_logical_date
from elastic.scheduler.errors import LogicalDateError
from elastic.web.context import context_of
from elastic.web.errors import sentence_of
from elastic.web.pages.flow_requests import runs_of
from elastic.web.rendering import identity_of, zone_of

#: Objects of each kind that a search returns.
LIMIT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    """Objects whose names match a search, of each kind at most `LIMIT`."""

    dag_ids: Sequence[str]
    tasks: Sequence[FoundTask]
    runs: Sequence[DagRun]
    flow_runs: Sequence[StoredRun]
    #: why flow runs could not be read; empty if they could
    problem: str = ""

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.dag_ids) + len(self.tasks) + len(self.runs) + len(self.flow_runs)


def results_of(request: Request, text: str) -> SearchResults:
    """Return the objects that match a string; none for an empty one."""
    wanted = text.strip()[:MAX_TEXT]
    context = context_of(request)
    hits = search(context.database, wanted, day=_day(request, wanted), limit=LIMIT)
    flow_runs: Sequence[StoredRun] = ()
    problem = ""
    if wanted:
        try:
            flow_runs = runs_of(request).page(RunFilter(text=wanted), limit=LIMIT).runs
        except StoreError as error:
            problem = sentence_of(error)
    return SearchResults(dag_ids=hits.dag_ids, tasks=hits.tasks, runs=hits.runs, flow_runs=flow_runs, problem=problem)


def _day(request: Request, text: str) -> dt.datetime | None:
    """Return the first moment of a day such as 2026-11-29 in the time zone of the user; None if no run can be then."""
    try:
        _, zone = zone_of(request, identity_of(request))
        moment = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), zone)
        return check_logical_date(moment).astimezone(dt.UTC)
    except (ValueError, OverflowError, LogicalDateError):
        return None
