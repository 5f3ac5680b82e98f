"""Backfill of a DAG: the form with its dates and their progress, and the list of all backfills."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Form, Query
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.db import queries, transitions
from elastic.db.page_queries.browse import RowFilter, events_page
from elastic.db.records import Event
from elastic.db.stores.dags import DagRow
from elastic.db.transitions import Backfill
from elastic.scheduler.commands.backfill_stored import (
    MAX_DATES,
    BackfillDate,
    Existing,
    backfill_dates,
    start_backfill,
)
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, Conflict, sentence_of
from elastic.web.flash import redirect
from elastic.web.page_keys import instant, key_of, key_text, number_in, utc_text
from elastic.web.pages.dag import common_values
from elastic.web.pages.lookups import dag_of, dag_url, run_url, structure_of_dag
from elastic.web.query_values import QueryValues
from elastic.web.rendering import identity_of, render, url_of, zone_of
from elastic.web.routes import Router
from elastic.web.sections import tabs_of
from elastic.web.security.rights import Right
from elastic.web.structures import Structure
from elastic.web.views.tables import ListRow, TableCell, TableView, text, when
from elastic.web.views.times import local_time

router = Router()

_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class _Range:
    """Range of a backfill as the form gives it, and its dates."""

    start: dt.datetime | None
    end: dt.datetime | None
    dates: Sequence[BackfillDate] = ()
    problem: str = ""
    existing: str = Existing.KEEP


@router.get("/dags/{dag_id}/backfill", requires=Right.READ)
def backfill_form(request: Request, dag_id: str) -> Response:
    """Show the dates of a range, with the states of their runs, and the form that starts a backfill."""
    dag = dag_of(request, dag_id)
    query = QueryValues(request, zone_of(request, identity_of(request))[1])
    found = structure_of_dag(request, dag)
    given = _range_of(request, dag, found, query, query.text("start"), query.text("end"))
    existing = query.choice("existing", tuple(Existing), Existing.KEEP)
    return _page(request, dag, found, replace(given, existing=existing), query)


@router.post("/dags/{dag_id}/backfill", requires=Right.BACKFILL)
def backfill(
    request: Request,
    dag_id: str,
    start: Annotated[str, Form()] = "",
    end: Annotated[str, Form()] = "",
    existing: Annotated[str, Form()] = "keep",
) -> Response:
    """Queue the missing runs of a range, and clear existing ones if wanted."""
    dag = dag_of(request, dag_id)
    if existing not in tuple(Existing):
        raise BadRequest("The form does not say what happens to existing runs.", "Go back and load the page again.")
    query = QueryValues(request, zone_of(request, identity_of(request))[1])
    found = structure_of_dag(request, dag)
    given = _range_of(request, dag, found, query, start, end)
    if given.problem or found is None or not given.dates:
        return _page(request, dag, found, replace(given, existing=existing), query)
    if not dag.is_active:
        raise Conflict(f"DAG {dag_id!r} is no longer in its file.", "Restore the file and start the backfill again.")
    made, cleared = start_backfill(
        context_of(request).database,
        dag,
        found.stored.timetable,
        given.dates,
        Existing(existing),
    )
    sentence = f"{made:,} run{' was' if made == 1 else 's were'} queued"
    if cleared:
        sentence += f", and {cleared:,} existing run{' was' if cleared == 1 else 's were'} cleared"
    return redirect(request, _url(dag_id, given), f"{sentence}.")


@router.get("/browse/backfills", requires=Right.READ)
def backfills(request: Request, after: Annotated[str, Query(max_length=800)] = "") -> Response:
    """Show the backfills of all DAGs, the latest first; those that masters carry out come before the others."""
    database = context_of(request).database
    stored = [] if after else transitions.backfills(database, limit=_PAGE_SIZE)
    key = key_of(after, 1)
    wanted = RowFilter(event="backfill", of_dags=True)
    found = events_page(database, wanted, before=number_in(key[0]) if key else None, limit=_PAGE_SIZE + 1)
    shown = found[:_PAGE_SIZE]
    more = key_text([shown[-1][0]]) if len(found) > _PAGE_SIZE else ""
    view = TableView(
        title="Backfills",
        url="/browse/backfills",
        columns=("DAG", "from", "to", "state", "runs", "started", "by"),
        rows=[*map(_stored_row, stored), *(_row(request, place, one) for place, one in shown)],
        empty=("No backfills yet", "Start one on the page of a DAG."),
        next_url=url_of("/browse/backfills", after=more) if more else "",
        first_url="/browse/backfills" if after else "",
    )
    identity = identity_of(request)
    tabs = tabs_of(view.url, identity, request.app.state.addresses) if identity else []
    return render(request, "table.html", view=view, tabs=tabs)


def _stored_row(one: Backfill) -> ListRow:
    """Return the row of a backfill that masters carry out."""
    counts = {str(name): count for name, count in one.runs.items()}
    cells = _cells(one.dag_id, _Range(one.from_date, one.to_date), str(one.state), counts)
    return ListRow(key=f"stored-{one.id}", cells=(*cells, when(one.created_at), text(one.owner)))


def _cells(dag_id: str, given: _Range, state: str, counts: Mapping[str, int]) -> Sequence[TableCell]:
    url = _url(dag_id, given) if given.start and given.end else dag_url(dag_id)
    runs = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return text(dag_id, url=url), when(given.start), when(given.end), text(state), text(runs)


def _row(request: Request, place: int, one: Event) -> ListRow:
    first, _, last = (one.detail or "").partition(" to ")
    start, end, dag_id = instant(first), instant(last), one.dag_id or ""
    counts = Counter[str]()
    if start and end:
        runs = queries.runs(context_of(request).database, dag_id, start=start, end=end, limit=MAX_DATES)
        counts = Counter(str(run.state) for run in runs)
    cells = _cells(dag_id, _Range(start, end), "", counts)
    return ListRow(key=str(place), cells=(*cells, when(one.at), text(one.owner)))


def _range_of(
    request: Request, dag: DagRow, found: Structure | None, query: QueryValues, start: str, end: str
) -> _Range:
    first, last = query.parsed_date("start", start), query.parsed_date("end", end or start, is_end=True)
    if first is None or last is None:
        return _Range(first, last, problem=_unread(query))
    if found is None:
        return _Range(first, last, problem=f"The structure of DAG {dag.dag_id!r} is not stored.")
    if found.stored.obstacle:
        said = f"DAG {dag.dag_id!r} cannot be backfilled here: {found.stored.obstacle}."
        return _Range(first, last, problem=f"{said} Use `elastic backfill {dag.dag_id}`.")
    context = context_of(request)
    try:
        dates = backfill_dates(context.database, dag.dag_id, found.stored.timetable, first, last, now=context.clock())
    except (UsageError, OverflowError) as error:
        return _Range(first, last, problem=sentence_of(error))
    return _Range(first, last, dates)


def _unread(query: QueryValues) -> str:
    """Return the notices about dates, which are a problem of the form."""
    said = [one.removesuffix("; it is ignored.") + "." for one in query.notices]
    query.notices.clear()
    return " ".join(said)


def _page(request: Request, dag: DagRow, found: Structure | None, given: _Range, query: QueryValues) -> Response:
    counts = Counter(str(one.run.state) if one.run else "new" for one in given.dates)
    finished = sum(one.run is not None and one.run.state.is_final for one in given.dates)
    return render(
        request,
        "backfill.html",
        422 if given.problem and request.method == "POST" else 200,
        **common_values(request, dag, found),
        query=query,
        problem=given.problem,
        start=_field(request, given.start),
        end=_field(request, given.end),
        existing=given.existing,
        choices=_CHOICES,
        rows=[_date_values(dag.dag_id, one, Existing(given.existing)) for one in given.dates],
        counts=counts,
        finished=finished,
        started=len(given.dates) - counts["new"],
        max_dates=MAX_DATES,
    )


_CHOICES = (
    (Existing.KEEP, "keep them"),
    (Existing.FAILED, "clear their failed tasks"),
    (Existing.ALL, "clear all their tasks"),
)


def _date_values(dag_id: str, one: BackfillDate, existing: Existing) -> dict[str, Any]:
    run = one.run
    then = "is queued" if run is None else "stays"
    if run is not None and run.state.is_final and existing is not Existing.KEEP:
        then = "failed tasks run again" if existing is Existing.FAILED else "runs again"
    return {
        "date": one.interval.start,
        "end": one.interval.end,
        "state": run.state if run else None,
        "url": run_url(dag_id, run.run_id) if run else "",
        "run_id": run.run_id if run else "",
        "then": then,
    }


def _field(request: Request, moment: dt.datetime | None) -> str:
    """Return a time as the field of a form takes it, in the zone of the user."""
    if moment is None:
        return ""
    local = local_time(moment, zone_of(request, identity_of(request))[1])
    return local.replace(tzinfo=None, microsecond=0).isoformat()


def _url(dag_id: str, given: _Range) -> str:
    start, end = (utc_text(one) if one else "" for one in (given.start, given.end))
    return url_of(f"{dag_url(dag_id)}/backfill", start=start, end=end)
