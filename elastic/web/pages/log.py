"""Log of a task instance: pieces of the file as JSON for the script of the page, and the file as plain text."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from elastic.dag.ids import TaskKey
from elastic.dag.timetable.interval import zone_of
from elastic.db.records import DagRun
from elastic.scheduler.log_location import log_path_at
from elastic.web.context import context_of
from elastic.web.errors import NotFound, sentence_of
from elastic.web.log_file import LogPiece, MissingLogError, ShownLine, open_log
from elastic.web.pages.lookups import dag_of, instance_of, structure_of_run
from elastic.web.query_values import QueryValues
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()

_MAX_OFFSET = 2**53
_TASK = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"


@router.get(_TASK + "/log", requires=Right.READ)
def log(request: Request, dag_id: str, run_id: str, task_id: str) -> Response:
    """Return a piece of the log of a task."""
    return _piece(request, TaskKey(dag_id, run_id, task_id))


@router.get(_TASK + "/{map_index:int}/log", requires=Right.READ)
def log_of_copy(request: Request, dag_id: str, run_id: str, task_id: str, map_index: int) -> Response:
    """Return a piece of the log of a copy of a mapped task."""
    return _piece(request, TaskKey(dag_id, run_id, task_id, map_index))


@router.get(_TASK + "/log/raw", requires=Right.READ)
def raw_log(request: Request, dag_id: str, run_id: str, task_id: str) -> Response:
    """Return the log file of a task as it is."""
    return _raw(request, TaskKey(dag_id, run_id, task_id))


@router.get(_TASK + "/{map_index:int}/log/raw", requires=Right.READ)
def raw_log_of_copy(request: Request, dag_id: str, run_id: str, task_id: str, map_index: int) -> Response:
    """Return the log file of a copy of a mapped task as it is."""
    return _raw(request, TaskKey(dag_id, run_id, task_id, map_index))


def log_path_of(request: Request, run: DagRun, key: TaskKey) -> Path:
    """Return the path of the log of an instance, computed from its ids, its date and the time zone of its DAG."""
    found = structure_of_run(request, dag_of(request, run.dag_id), run)
    zone: dt.tzinfo = zone_of(found.dag.fields["timezone"]) if found else dt.UTC
    return log_path_at(context_of(request).deployment.logs, key, run.logical_date, zone)


def line_json(line: ShownLine) -> list[Any]:
    """Return a line for the script: offset, number, level, text, number of bytes that were cut."""
    return [line.offset, line.number, line.level, line.text, line.cut]


def _piece(request: Request, key: TaskKey) -> Response:
    """Return lines from the offset `from` on, before the offset `before`, or else the last ones.

    They are between the offsets `first` and `stop`, which limit the log to one attempt.
    """
    run, _ = instance_of(request, key)
    query = QueryValues(request)
    start, end = query.whole("from", -1, 0, _MAX_OFFSET), query.whole("before", -1, 0, _MAX_OFFSET)
    first, stop = query.whole("first", 0, 0, _MAX_OFFSET), query.whole("stop", -1, 0, _MAX_OFFSET)
    try:
        with open_log(context_of(request).deployment.logs, log_path_of(request, run, key)) as whole:
            opened = whole.part(first, stop if stop >= 0 else None)
            if end >= 0:
                found = opened.piece_before(end)
            elif start >= 0:
                found = opened.piece(start)
            else:
                found = opened.last_piece()
    except MissingLogError as error:
        return JSONResponse({"missing": sentence_of(error)}, 404)
    return JSONResponse(_json(found))


def _raw(request: Request, key: TaskKey) -> Response:
    run, _ = instance_of(request, key)
    root, path = context_of(request).deployment.logs, log_path_of(request, run, key)
    try:
        with open_log(root, path):
            pass
    except MissingLogError as error:
        raise NotFound("log file", path.name, hint=sentence_of(error)) from error

    def blocks() -> Iterator[bytes]:
        with open_log(root, path) as opened:
            yield from opened.blocks()

    return StreamingResponse(blocks(), media_type="text/plain; charset=utf-8")


def _json(piece: LogPiece) -> dict[str, Any]:
    return {
        "start": piece.start,
        "end": piece.end,
        "size": piece.size,
        "lines": [line_json(line) for line in piece.lines],
        "partial": line_json(piece.partial) if piece.partial else None,
    }
