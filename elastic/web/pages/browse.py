"""Browse pages: all runs, task instances, jobs, events and broken files."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.dag.states.state import RunState, TaskState
from elastic.db.page_queries.browse import (
    RowFilter,
    broken_files,
    events_page,
    instances_page,
    latest_jobs,
    runs_page,
)
from elastic.db.records import Event, RunType
from elastic.db.stores.notifications import STATES, Notification
from elastic.db.stores.notifications import notifications as latest_notifications
from elastic.web.context import context_of
from elastic.web.page_keys import instant_in, key_of, key_text, number_in
from elastic.web.rendering import identity_of, render, url_of
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.sections import tabs_of
from elastic.web.security.rights import Right
from elastic.web.views.dag_rows import dag_url, run_url
from elastic.web.views.tables import FormField, ListRow, TableCell, TableView, number, state, text, when
from elastic.web.views.times import duration

router = Router()

_PAGE_SIZE = 50


class BrowseQuery(BaseModel):
    """Filters and position of a page, from its query."""

    model_config = ConfigDict(frozen=True)

    dag: str = Field(default="", max_length=250)
    run: str = Field(default="", max_length=250)
    task: str = Field(default="", max_length=250)
    state: str = Field(default="", max_length=40)
    type: str = Field(default="", max_length=40)
    event: str = Field(default="", max_length=40)
    owner: str = Field(default="", max_length=250)
    users: str = Field(default="", max_length=1)
    after: str = Field(default="", max_length=800)

    @property
    def rows(self) -> RowFilter:
        """Selection of rows."""
        return RowFilter(
            dag_id=self.dag.strip(),
            run_id=self.run.strip(),
            task_id=self.task.strip(),
            state=self.state,
            run_type=self.type,
            event=self.event.strip(),
            owner=self.owner.strip(),
            by_users=self.users == "1",
        )

    @property
    def is_filtered(self) -> bool:
        """Whether any filter is set."""
        return any(self.model_dump(exclude={"after"}).values())

    def url(self, path: str, after: str = "") -> str:
        """Return the URL of a page with these filters."""
        return url_of(path, **self.model_dump(exclude={"after"}), after=after)


View = Annotated[BrowseQuery, Query()]


@router.get("/browse/runs", requires=Right.READ)
def runs(request: Request, view: View) -> Response:
    """Show the runs of all DAGs, the latest first."""
    key = key_of(view.after, 2)
    after = (instant_in(key[0]), key[1]) if key else None
    found = runs_page(context_of(request).database, view.rows, after=after, limit=_PAGE_SIZE + 1)
    shown = found[:_PAGE_SIZE]
    rows = [
        ListRow(
            key=f"{run.dag_id}.{run.run_id}",
            cells=(
                text(run.run_id, url=run_url(run.dag_id, run.run_id)),
                text(run.dag_id, url=dag_url(run.dag_id)),
                state(run.state),
                when(run.logical_date),
                when(run.started_at),
                text(_took(run.started_at, run.ended_at)),
                text(f"{run.run_type}, late" if run.is_late else run.run_type, kind="sub"),
            ),
        )
        for run in shown
    ]
    more = _after(found, [shown[-1].logical_date, shown[-1].dag_id]) if shown else ""
    return _table(
        request,
        view,
        more,
        TableView(
            title="Runs",
            url="/browse/runs",
            columns=("run", "DAG", "state", "logical date", "started", "took", "type"),
            rows=rows,
            empty=("No runs yet", "A run appears here when a DAG is due, or when you run it from the list of DAGs."),
            filters=(
                FormField(name="dag", label="DAG", value=view.dag),
                _choice("state", "any state", view.state, RunState),
                _choice("type", "any type", view.type, RunType),
            ),
        ),
    )


@router.get("/browse/instances", requires=Right.READ)
def instances(request: Request, view: View) -> Response:
    """Show the task instances of all runs by their keys."""
    key = key_of(view.after, 4)
    after = (key[0], key[1], key[2], number_in(key[3])) if key else None
    found = instances_page(context_of(request).database, view.rows, after=after, limit=_PAGE_SIZE + 1)
    shown = found[:_PAGE_SIZE]
    rows = [
        ListRow(
            key=f"{one.dag_id}.{one.run_id}.{one.task_id}.{one.map_index}",
            cells=(
                text(_task_name(one.task_id, one.map_index), url=_task_url(one)),
                text(one.dag_id, url=dag_url(one.dag_id)),
                text(one.run_id, url=run_url(one.dag_id, one.run_id)),
                state(one.state),
                when(one.started_at),
                text(duration(one.duration) if one.duration is not None else None),
                number(one.try_number),
                text(one.host, kind="sub"),
            ),
        )
        for one in shown
    ]
    last = shown[-1] if shown else None
    more = _after(found, [last.dag_id, last.run_id, last.task_id, last.map_index]) if last else ""
    return _table(
        request,
        view,
        more,
        TableView(
            title="Task instances",
            url="/browse/instances",
            columns=("task", "DAG", "run", "state", "started", "took", "#tries", "host"),
            rows=rows,
            empty=("No task instances yet", "The first run of a DAG creates them."),
            filters=(
                FormField(name="dag", label="DAG", value=view.dag),
                FormField(name="run", label="run", value=view.run),
                FormField(name="task", label="task", value=view.task),
                _choice("state", "any state", view.state, ("none", *TaskState)),
            ),
        ),
    )


@router.get("/browse/jobs", requires=Right.READ)
def jobs(request: Request) -> Response:
    """Show the processes that run task instances."""
    context = context_of(request)
    rows = [
        ListRow(
            key=str(job.id),
            cells=(
                text(job.id),
                text(job.kind),
                state("running" if job.is_alive else "failed" if job.state in ("running", "failed") else job.state),
                text("alive" if job.is_alive else "silent" if job.state == "running" else job.state),
                text(f"pid {job.pid} on {job.host}"),
                text(f"{job.queues}, {job.parallelism} at a time" if job.queues else job.executor),
                when(job.started_at),
                when(job.heartbeat_at),
            ),
        )
        for job in latest_jobs(context.database, context.deployment.heartbeat)
    ]
    view = TableView(
        title="Jobs",
        url="/browse/jobs",
        columns=("id", "kind", "state", "sign of life", "process", "executor or queues", "started", "last heartbeat"),
        rows=rows,
        empty=("No jobs yet", "Start a master with `elastic master` or `elastic standalone`."),
        topics="admin",
    )
    return _table(request, BrowseQuery(), "", view)


@router.get("/browse/notifications", requires=Right.READ)
def notifications(request: Request, view: View) -> Response:
    """Show the notifications about failed tasks and ended runs, the latest first."""
    key = key_of(view.after, 1)
    before = number_in(key[0]) if key else None
    wanted = {"state": view.state, "dag_id": view.dag.strip()}
    found = latest_notifications(context_of(request).database, **wanted, before=before, limit=_PAGE_SIZE + 1)
    shown = found[:_PAGE_SIZE]
    rows = [
        ListRow(
            key=str(one.id),
            cells=(
                text(one.subject.removeprefix("[elastic] "), url=_url_of_subject(one)),
                text(one.recipient.removeprefix("mailto:")),
                text(one.state),
                when(one.created_at),
                when(one.sent_at),
                number(one.tries),
                text(masked_text(one.last_error or "")[:500], kind="sub"),
            ),
        )
        for one in shown
    ]
    more = _after(found, [shown[-1].id]) if shown else ""
    table = TableView(
        title="Notifications",
        url="/browse/notifications",
        columns=("subject", "to", "state", "created", "sent", "#tries", "last error"),
        rows=rows,
        empty=("No notifications yet", "A task with `email`, or a DAG with `notify`, makes one when it fails."),
        filters=(
            FormField(name="dag", label="DAG", value=view.dag),
            _choice("state", "any state", view.state, STATES),
        ),
    )
    return _table(request, view, more, table)


@router.get("/browse/logs", requires=Right.READ)
def logs(request: Request, view: View) -> Response:
    """Show the events of DAGs, the latest first."""
    wanted = view.model_copy(update={"users": "", "owner": ""})
    return events_table(request, wanted, title="Log", path="/browse/logs")


@router.get("/browse/import-errors", requires=Right.READ)
def import_errors(request: Request) -> Response:
    """Show the files that could not be loaded."""
    rows = [
        ListRow(
            key=str(place),
            cells=(text(one.path, kind="mono"), when(one.at), text(_first_line(masked_text(one.traceback)))),
            detail=masked_text(one.traceback),
        )
        for place, one in enumerate(broken_files(context_of(request).database))
    ]
    view = TableView(
        title="Broken files",
        url="/browse/import-errors",
        columns=("file", "last tried", "error"),
        rows=rows,
        empty=("No broken files", "All DAG files were loaded."),
        note="The last good version of a DAG keeps running while its file is broken.",
    )
    return _table(request, BrowseQuery(), "", view)


def events_table(request: Request, view: BrowseQuery, *, title: str, path: str) -> Response:
    """Show events of the log, the latest first; with `users`, only what users of the web server did."""
    key = key_of(view.after, 1)
    before = number_in(key[0]) if key else None
    is_audit = path.startswith("/admin")
    # The other events name users, addresses and connections, which need further rights.
    wanted = replace(view.rows, of_dags=not is_audit)
    found = events_page(context_of(request).database, wanted, before=before, limit=_PAGE_SIZE + 1)
    shown = found[:_PAGE_SIZE]
    rows = [ListRow(key=str(place), cells=_event_cells(one, with_address=is_audit)) for place, one in shown]
    filters = [
        FormField(name="event", label="event", value=view.event),
        FormField(name="dag", label="DAG", value=view.dag),
    ]
    if is_audit:
        filters.append(FormField(name="owner", label="user", value=view.owner))
        filters.append(FormField(name="users", label="only by web users", value=view.users, kind="checkbox"))
    more = _after(found, [shown[-1][0]]) if shown else ""
    columns = ("event", "when", "who", *(("from",) if is_audit else ()), "DAG", "run", "task", "detail")
    empty = ("No events yet", "State changes and actions of users appear here.")
    table = TableView(title=title, url=path, columns=columns, rows=rows, empty=empty, filters=filters)
    return _table(request, view, more, table)


def _event_cells(one: Event, *, with_address: bool) -> Sequence[TableCell]:
    address = (text(one.address, kind="mono"),) if with_address else ()
    return (
        text(one.event),
        when(one.at),
        text(one.owner),
        *address,
        text(one.dag_id, url=dag_url(one.dag_id) if one.dag_id else ""),
        text(one.run_id, url=run_url(one.dag_id, one.run_id) if one.dag_id and one.run_id else ""),
        text(_task_name(one.task_id, one.map_index if one.map_index is not None else -1) if one.task_id else None),
        text((one.detail or "")[:500], kind="sub"),
    )


def _table(request: Request, query: BrowseQuery, after: str, view: TableView) -> Response:
    shown = replace(
        view,
        is_filtered=query.is_filtered,
        next_url=query.url(view.url, after) if after else "",
        first_url=query.url(view.url) if query.after else "",
    )
    identity = identity_of(request)
    tabs = tabs_of(view.url, identity, request.app.state.addresses) if identity else []
    return render(request, "table.html", view=shown, tabs=tabs)


def _choice(name: str, label: str, value: str, options: Iterable[Any]) -> FormField:
    shown = [("", label), *((str(one), str(one).replace("_", " ")) for one in options)]
    return FormField(name=name, label=name, value=value, kind="select", options=shown)


def _after(found: Sequence[object], key: Sequence[object]) -> str:
    return key_text(key) if len(found) > _PAGE_SIZE else ""


def _took(started: dt.datetime | None, ended: dt.datetime | None) -> str | None:
    return duration((ended - started).total_seconds()) if started and ended else None


def _task_name(task_id: str, map_index: int) -> str:
    return f"{task_id}[{map_index}]" if map_index >= 0 else task_id


def _task_url(one: Any) -> str:
    url = f"{run_url(one.dag_id, one.run_id)}/tasks/{one.task_id}"
    return f"{url}/{one.map_index}" if one.map_index >= 0 else url


def _url_of_subject(one: Notification) -> str:
    """Return the URL of the task instance, or of the run, that a notification is about."""
    return _task_url(one) if one.task_id else run_url(one.dag_id, one.run_id)


def _first_line(traceback: str) -> str:
    return next(iter(traceback.strip().splitlines()), "")
