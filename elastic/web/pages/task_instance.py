"""Page of a task instance: failure, log, conditions, XComs and attempts."""

import json
from typing import Annotated, Any

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import ElasticError
from elastic.core.text import lines as visible
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries
from elastic.db.page_queries import instances
from elastic.db.records import Attempt, DagRun, TaskInstanceRow
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, sentence_of
from elastic.web.flash import redirect
from elastic.web.log_file import SEARCH_BYTES, LogFile, MissingLogError, open_log
from elastic.web.mark_instances import MARKS, kill_instances, mark_instances
from elastic.web.pages.flow_requests import runs_of
from elastic.web.pages.grid import numbers_of
from elastic.web.pages.log import log_path_of
from elastic.web.pages.lookups import dag_url, instance_of, instance_url, run_url
from elastic.web.pages.panel import ordered, tries_of
from elastic.web.pages.why import first_obstacle, verdicts_on
from elastic.web.query_values import QueryValues
from elastic.web.rendering import identity_of, render, zone_of
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import Right
from elastic.web.views.failure import ShownFailure, failure_of
from elastic.web.views.flow_labels import flow_links
from elastic.web.views.tries import Tries

router = Router()

TABS = ("log", "why", "rendered", "xcom", "attempts")
_TASK = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"
#: Maximum number of attempts, and of log lines from the database, on a page.
_MAX_ATTEMPTS = 200
_MAX_LINES = 1000
_MAX_OFFSET = 2**53
#: Largest number of a try, and the number of last tries that the log offers.
_MAX_TRY = 10_000_000
_MAX_TRIES = 20

_FAILED = (TaskState.FAILED, TaskState.UP_FOR_RETRY)


@router.get(_TASK, requires=Right.READ)
def task_page(request: Request, dag_id: str, run_id: str, task_id: str) -> Response:
    """Show a task instance, or the copies of a mapped task."""
    return _page(request, TaskKey(dag_id, run_id, task_id))


@router.get(_TASK + "/{map_index:int}", requires=Right.READ)
def copy_page(request: Request, dag_id: str, run_id: str, task_id: str, map_index: int) -> Response:
    """Show a copy of a mapped task."""
    return _page(request, TaskKey(dag_id, run_id, task_id, map_index))


@router.post(_TASK + "/mark", requires=Right.MARK)
def mark(request: Request, dag_id: str, run_id: str, task_id: str, state: Annotated[str, Form()] = "") -> Response:
    """Set the state of a task instance."""
    return _mark(request, TaskKey(dag_id, run_id, task_id), state)


@router.post(_TASK + "/{map_index:int}/mark", requires=Right.MARK)
def mark_copy(
    request: Request, dag_id: str, run_id: str, task_id: str, map_index: int, state: Annotated[str, Form()] = ""
) -> Response:
    """Set the state of a copy of a mapped task."""
    return _mark(request, TaskKey(dag_id, run_id, task_id, map_index), state)


@router.post(_TASK + "/kill", requires=Right.CANCEL)
def kill(request: Request, dag_id: str, run_id: str, task_id: str) -> Response:
    """End the attempt of a task instance."""
    return _kill(request, TaskKey(dag_id, run_id, task_id))


@router.post(_TASK + "/{map_index:int}/kill", requires=Right.CANCEL)
def kill_copy(request: Request, dag_id: str, run_id: str, task_id: str, map_index: int) -> Response:
    """End the attempt of a copy of a mapped task."""
    return _kill(request, TaskKey(dag_id, run_id, task_id, map_index))


@router.get(_TASK + "/xcom/{name}", requires=Right.READ)
def xcom(request: Request, dag_id: str, run_id: str, task_id: str, name: str) -> Response:
    """Return the whole value of an XCom as text."""
    return _xcom(request, TaskKey(dag_id, run_id, task_id), name)


@router.get(_TASK + "/{map_index:int}/xcom/{name}", requires=Right.READ)
def xcom_of_copy(request: Request, dag_id: str, run_id: str, task_id: str, map_index: int, name: str) -> Response:
    """Return the whole value of an XCom of a copy as text."""
    return _xcom(request, TaskKey(dag_id, run_id, task_id, map_index), name)


def _page(request: Request, key: TaskKey) -> Response:
    run, row = instance_of(request, key)
    if row is None:
        return _copies_page(request, run, key)
    query = QueryValues(request, zone_of(request, identity_of(request))[1])
    tab = query.choice("tab", TABS, "log" if row.started_at or row.state is None else "why")
    if "tab" not in request.query_params and not row.started_at:
        tab = "why"
    database = context_of(request).database
    attempts = queries.attempts(database, key)
    tries = Tries.of(attempts, query.whole("try", 0, 1, _MAX_TRY))
    latest = queries.attempt(database, row.attempt_uuid) if row.attempt_uuid else None
    attempt = tries.chosen or latest
    is_bad = row.state is not None and (row.state.is_failure or row.state is TaskState.UP_FOR_RETRY)
    values: dict[str, Any] = {
        **_common(request, run, key),
        "row": row,
        "tries": tries_of(row),
        "failure": _failure(row, tries, latest) if is_bad or tries.chosen else None,
        "copies": instances.copies_around(database, key) if key.map_index >= 0 else None,
        "next_failed": _next_failed(request, key),
        "why_first": first_obstacle(request, run, row),
        "tab": tab,
        "query": query,
        "tried": tries.number,
        "flow_links": flow_links(runs_of(request), [row.flow_run_id, attempt.flow_run_id if attempt else None]),
    }
    match tab:
        case "why":
            values |= _why_values(request, run, key)
        case "xcom":
            values["xcoms"] = [_xcom_values(one) for one in instances.xcoms_of(database, key)]
        case "attempts":
            numbers = tries.numbers()
            values["attempts"] = [
                {**_attempt_values(one), "number": numbers.get(one.attempt_uuid)}
                for one in reversed(attempts[-_MAX_ATTEMPTS:])
            ]
        case "rendered":
            values["command"] = _render_command(run, key)
        case _:
            values |= _log_values(request, run, row, query, tries)
    return render(request, "task.html", **values)


def _copies_page(request: Request, run: DagRun, key: TaskKey) -> Response:
    """Show the copies of a mapped task, failed ones first."""
    query = QueryValues(request)
    state = query.choice("state", ("", *TaskState), "")
    after = query.whole("after", -1, 0, 2**31)
    database = context_of(request).database
    counts = instances.task_counts(database, key)
    found, has_more = instances.copies_page(database, key, states=[TaskState(state)] if state else None, after=after)
    errors = instances.errors_of(database, [one.attempt_uuid for one in found if one.attempt_uuid])
    return render(
        request,
        "copies.html",
        **_common(request, run, key),
        rows=[
            {
                "index": one.map_index,
                "url": instance_url(one.key),
                "state": one.state,
                "started_at": one.started_at,
                "seconds": one.duration,
                "tries": tries_of(one),
                "error": visible(errors.get(one.attempt_uuid or "", "")) if one.state in _FAILED else "",
            }
            for one in found
        ],
        following=found[-1].map_index if has_more else None,
        is_first=after < 0,
        counts=ordered(counts),
        count=sum(counts.values()),
        state=state,
        query=query,
    )


def _common(request: Request, run: DagRun, key: TaskKey) -> dict[str, Any]:
    return {
        "run": run,
        "key": key,
        "name": key.task_name,
        "address": instance_url(key),
        "whole": instance_url(TaskKey(key.dag_id, key.run_id, key.task_id)),
        "run_address": run_url(run.dag_id, run.run_id),
        "dag_address": dag_url(run.dag_id),
        "clear": f"{dag_url(run.dag_id)}/clear",
        "version": numbers_of(request, run.dag_id).get(run.structure_digest or ""),
    }


def _next_failed(request: Request, key: TaskKey) -> tuple[str, str] | None:
    found = instances.next_failed(context_of(request).database, key)
    return (found.task_name, instance_url(found)) if found else None


def _why_values(request: Request, run: DagRun, key: TaskKey) -> dict[str, Any]:
    try:
        return {"verdicts": verdicts_on(request, run, key), "why_problem": ""}
    except ElasticError as error:
        return {"verdicts": [], "why_problem": sentence_of(error)}


def _xcom_values(one: instances.XComRow) -> dict[str, Any]:
    """Return an XCom with its value as indented JSON, if all of it is there."""
    text = one.value
    if not one.is_cut:
        try:
            text = json.dumps(json.loads(one.value), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            text = one.value
    return {"key": one.key, "at": one.at, "size": one.size, "text": visible(masked_text(text)), "is_cut": one.is_cut}


def _attempt_values(one: Attempt) -> dict[str, Any]:
    end = ""
    if one.exit_code is not None:
        end = f"signal {-one.exit_code}" if one.exit_code < 0 else f"exit code {one.exit_code}"
    return {"attempt": one, "failure": failure_of(one.error), "end": end}


def _render_command(run: DagRun, key: TaskKey) -> str:
    copy = f" --map-index {key.map_index}" if key.map_index >= 0 else ""
    return f"elastic tasks render {run.dag_id} {key.task_id} {run.logical_date.isoformat()}{copy}"


def _failure(row: TaskInstanceRow, tries: Tries, latest: Attempt | None) -> ShownFailure | None:
    """Return why the chosen try failed, or else the task instance; None if the chosen try did not fail."""
    if tries.chosen is not None:
        return failure_of(tries.chosen.error) if tries.chosen.state in _FAILED else None
    return failure_of((latest.error if latest else None) or row.note)


def _log_values(
    request: Request, run: DagRun, row: TaskInstanceRow, query: QueryValues, tries: Tries
) -> dict[str, Any]:
    """Return the piece of the log that the page shows first: around the given line or the first error, or the end."""
    asked = query.whole("at", -1, 0, _MAX_OFFSET)
    path = log_path_of(request, run, row.key)
    values: dict[str, Any] = {"log_path": str(path), "marked": asked, "missing": "", "piece": None, "kept": []}
    values |= {"tries_shown": [], "log_first": 0, "log_stop": None}
    try:
        with open_log(context_of(request).deployment.logs, path) as whole:
            log, part = _part(whole, tries, query, asked)
            values |= part
            asked, values["marked"] = _opening(log, tries.chosen.state if tries.chosen else row.state, asked)
            values["piece"] = log.piece_around(asked) if asked >= 0 else log.last_piece()
    except MissingLogError as error:
        where = f" It was written on {row.host}." if row.host else ""
        values["missing"] = sentence_of(error) + where
        lines = instances.last_log_lines(context_of(request).database, row.key, _MAX_LINES)
        values["kept"] = lines
    return values


def _part(whole: LogFile, tries: Tries, query: QueryValues, asked: int) -> tuple[LogFile, dict[str, Any]]:
    """Return the part of the log of the chosen try, by default of the last one, and what the page shows about tries."""
    starts = whole.tries()
    count = tries.count(starts)
    number = tries.number or (tries.number_at(starts, asked) if asked >= 0 else count)
    if number > count:
        query.notices.append(f"There is no try {number:,}; the last one is shown.")
        number = count
    first = tries.offset(starts, number)
    if number != count and first is None:
        what = "is too large to find its tries" if whole.size > SEARCH_BYTES else f"has no lines of try {number:,}"
        query.notices.append(f"The log {what}; all of it is shown.")
        return whole, _about(whole, tries, count, number)
    # Lines before the first try stay with it.
    first = 0 if first is None or (starts and first == starts[0]) else first
    log = whole.part(first, tries.offset(starts, number + 1) if number < count else None)
    return log, _about(log, tries, count, number, stop=log.size if number < count else None)


def _about(log: LogFile, tries: Tries, count: int, number: int, stop: int | None = None) -> dict[str, Any]:
    numbers = range(max(1, count - _MAX_TRIES + 1), count + 1) if count > 1 else ()
    states = {place: one.state for place, one in enumerate(tries.attempts, 1 + count - len(tries.attempts))}
    shown = [(one, states.get(one), one == number) for one in numbers]
    return {"tries_shown": shown, "log_first": log.first, "log_stop": stop}


def _opening(log: LogFile, state: TaskState | None, asked: int) -> tuple[int, int]:
    """Return the offsets at which the log opens and of the line to mark; -1 for the end, and for no line."""
    if asked >= 0:
        return asked, asked
    error = log.first_error() if state in _FAILED else None
    return (-1, -1) if error is None else (error, error)


def _mark(request: Request, key: TaskKey, wanted: str) -> Response:
    _, row = instance_of(request, key)
    state = MARKS.get(wanted)
    if state is None:
        raise BadRequest("The form does not name a valid state.", "Go back and load the page again.")
    done = mark_instances(request, key, state, is_whole=row is None)
    return redirect(request, instance_url(key), _marked_sentence(key, state, done.named, done.changed))


def _kill(request: Request, key: TaskKey) -> Response:
    _, row = instance_of(request, key)
    done = kill_instances(request, key, is_whole=row is None)
    what = key.task_name if done.named == 1 else f"{done.changed:,} of {done.named:,} copies of {key.task_id}"
    sentence = f"{what} was marked failed, and its process is killed within seconds."
    if not done.changed:
        sentence = f"Nothing was killed: {key.task_name} has no attempt that runs, waits or is queued."
    return redirect(request, instance_url(key), sentence)


def _marked_sentence(key: TaskKey, state: TaskState, count: int, changed: int) -> str:
    what = key.task_name if count == 1 else f"{changed:,} of {count:,} copies of {key.task_id}"
    if not changed:
        return f"Nothing was changed: {key.task_name} is already {state}, or it is active."
    after = "Downstream tasks keep their states. Clear them to run them."
    verb = "was" if count == 1 else "were"
    return f"{what} {verb} marked {state}. {after if state is TaskState.SUCCESS else ''}".strip()


def _xcom(request: Request, key: TaskKey, name: str) -> Response:
    instance_of(request, key)
    found = instances.xcom_value(context_of(request).database, key, name) if name.isascii() else None
    if found is None:
        from elastic.web.errors import NotFound

        raise NotFound("XCom", name, of=f"Task {key.task_name!r}")
    return Response(masked_text(found).encode("utf-8", "backslashreplace"), media_type="text/plain; charset=utf-8")
