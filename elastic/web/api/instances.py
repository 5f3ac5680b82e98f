"""Task instances: state, attempts, why they wait, XComs, log, clear, mark and kill."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from elastic.dag.ids import TaskKey
from elastic.dag.states.verdict import Decision
from elastic.db import queries
from elastic.db.page_queries import instances
from elastic.db.page_queries.browse import RowFilter, instances_count, instances_page
from elastic.db.page_queries.instances import XComRow
from elastic.db.records import Attempt, TaskInstanceRow
from elastic.web.api.answers import (
    MAX_COUNTED,
    PREFIX,
    TEXT,
    After,
    Counted,
    CountedPage,
    Limit,
    Name,
    Page,
    State,
    answer,
    page,
)
from elastic.web.api.runs import ClearBody, ClearResult, cleared
from elastic.web.conditional import conditional
from elastic.web.context import context_of
from elastic.web.errors import Conflict, NotFound, sentence_of
from elastic.web.log_file import PIECE_BYTES, MissingLogError, open_log
from elastic.web.mark_instances import MARKS, kill_instances, mark_instances
from elastic.web.page_keys import key_of, number_in
from elastic.web.pages.log import log_path_of
from elastic.web.pages.lookups import instance_of
from elastic.web.pages.why import verdicts_on
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import Right

router = Router(prefix=PREFIX, tags=["task instances"])

_TASK = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"
_MAX_ATTEMPTS = 200
_MAX_OFFSET = 2**53

MapIndex = Annotated[int, Path(ge=0, lt=2**31)]
LogStart = Annotated[
    int, Query(alias="from", gt=-_MAX_OFFSET, lt=_MAX_OFFSET, description="first byte; negative from the end")
]
LogBytes = Annotated[int, Query(alias="bytes", ge=1, le=PIECE_BYTES, description="maximum number of bytes")]


class MappedTask(BaseModel):
    """Mapped task in a run, with the number of its copies in each state; `none` for no state."""

    dag_id: str
    run_id: str
    task_id: str
    copies: dict[str, int]


class VerdictView(BaseModel):
    """Result of checking one condition."""

    condition: str
    decision: Decision
    is_met: bool
    #: one sentence, in either case
    reason: str
    is_lasting: bool


class MarkBody(BaseModel, extra="forbid"):
    """State to set."""

    state: Literal["success", "failed"]


class MarkResult(BaseModel):
    """Result of a mark."""

    state: str
    #: number of the named instances, and of the changed ones among them
    named: int
    changed: int


def task_key(dag_id: Name, run_id: Name, task_id: Name) -> TaskKey:
    """Return the key in the address of a task."""
    return TaskKey(dag_id, run_id, task_id)


def copy_key(dag_id: Name, run_id: Name, task_id: Name, map_index: MapIndex) -> TaskKey:
    """Return the key in the address of a copy of a mapped task."""
    return TaskKey(dag_id, run_id, task_id, map_index)


_Handler = Callable[..., Response]


def _both(method: str, suffix: str, **options: Any) -> Callable[[_Handler], _Handler]:
    """Return a decorator that adds a handler for a task, and for a copy of a mapped task."""

    def decorate(function: _Handler) -> _Handler:
        for path, key_in_path in ((_TASK, task_key), (_TASK + "/{map_index}", copy_key)):
            # Without its own limit, `{map_index}` would take the address of `attempts`.
            place = path.replace("{map_index}", "{map_index:int}")
            router.add_api_route(place + suffix, _with_key(function, key_in_path), methods=[method], **options)
        return function

    return decorate


def _with_key(function: _Handler, key_in_path: Callable[..., TaskKey]) -> _Handler:
    """Return a handler whose argument `key` comes from the path."""

    @wraps(function)
    def handler(**values: Any) -> Response:
        return function(**values)

    signature = inspect.signature(function)
    given = Annotated[TaskKey, Depends(key_in_path)]
    parameters = [one.replace(annotation=given) if one.name == "key" else one for one in signature.parameters.values()]
    handler.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return handler


@router.get("/instances", requires=Right.READ, response_model=CountedPage[TaskInstanceRow])
def list_all_instances(  # noqa: PLR0913 - the query of the address
    request: Request,
    dag: Annotated[str, Query(max_length=250)] = "",
    run: Annotated[str, Query(max_length=250)] = "",
    task: Annotated[str, Query(max_length=250)] = "",
    state: State = "",
    after: After = "",
    limit: Limit = 50,
    count: Counted = False,
) -> Response:
    """List the task instances of all DAGs by their keys."""
    key = key_of(after, 4)
    start = (key[0], key[1], key[2], number_in(key[3])) if key else None
    wanted = RowFilter(dag_id=dag, run_id=run, task_id=task, state=state)
    found = instances_page(context_of(request).database, wanted, after=start, limit=limit + 1)
    total = instances_count(context_of(request).database, wanted, limit=MAX_COUNTED + 1) if count else None
    key_parts = ("dag_id", "run_id", "task_id", "map_index")
    return page(request, found, limit, lambda one: [getattr(one, name) for name in key_parts], count=total)


@_both("GET", "", requires=Right.READ, response_model=TaskInstanceRow | MappedTask)
def get_instance(request: Request, key: TaskKey) -> Response:
    """Return a task instance; for a mapped task, the number of its copies in each state."""
    _, row = instance_of(request, key)
    if row is not None:
        return answer(request, row)
    counts = instances.task_counts(context_of(request).database, key)
    copies = {str(state or "none"): count for state, count in counts.items()}
    found = {"dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "copies": copies}
    return answer(request, found)


@_both("GET", "/attempts", requires=Right.READ, response_model=Page[Attempt])
def list_attempts(request: Request, key: TaskKey) -> Response:
    """List the last 200 attempts of a task instance in their order, including cleared ones."""
    instance_of(request, key)
    found = queries.attempts(context_of(request).database, key)[-_MAX_ATTEMPTS:]
    items = [_masked(one) for one in found]
    return answer(request, {"items": items, "next": None})


@_both("GET", "/why", requires=Right.READ, response_model=Page[VerdictView])
def list_verdicts(request: Request, key: TaskKey) -> Response:
    """List the conditions of a task instance, those of its run first, and whether each is met."""
    run, _ = instance_of(request, key)
    items = [
        {
            "condition": one.condition,
            "decision": one.decision,
            "is_met": one.met,
            "reason": one.reason,
            "is_lasting": one.is_lasting,
        }
        for one in verdicts_on(request, run, key)
    ]
    return answer(request, {"items": items, "next": None})


@_both("GET", "/xcoms", requires=Right.READ, response_model=Page[XComRow])
def list_xcoms(request: Request, key: TaskKey) -> Response:
    """List the XComs of a task instance, each with the first 64 KiB of its JSON value; secrets are masked."""
    instance_of(request, key)
    found = instances.xcoms_of(context_of(request).database, key)
    names = ("key", "at", "size", "is_cut")
    items = [{**{name: getattr(one, name) for name in names}, "value": masked_text(one.value)} for one in found]
    return answer(request, {"items": items, "next": None})


@_both("GET", "/xcoms/{name}", requires=Right.READ, response_class=Response, responses=TEXT)
def get_xcom(request: Request, key: TaskKey, name: Annotated[str, Path(max_length=250)]) -> Response:
    """Return the whole JSON value of an XCom as text; secrets are masked."""
    instance_of(request, key)
    found = instances.xcom_value(context_of(request).database, key, name) if name.isascii() else None
    if found is None:
        raise NotFound("XCom", name, of=f"Task {key.task_name!r}")
    body = masked_text(found).encode("utf-8", "backslashreplace")
    return conditional(request, body, "text/plain; charset=utf-8")


@_both("GET", "/log", requires=Right.READ, response_class=Response, responses=TEXT)
def get_log(
    request: Request,
    key: TaskKey,
    start: Annotated[
        int, Query(alias="from", gt=-_MAX_OFFSET, lt=_MAX_OFFSET, description="first byte; negative from the end")
    ] = -PIECE_BYTES,
    count: Annotated[
        int, Query(alias="bytes", ge=1, le=PIECE_BYTES, description="maximum number of bytes")
    ] = PIECE_BYTES,
) -> Response:
    """Return bytes of the log of a task instance as they are.

    The headers `X-Log-From`, `X-Log-Next` and `X-Log-Size` have the offsets of the first byte and of the next one, and
    the size of the file. Without `from`, the response has the end of the log.
    """
    run, row = instance_of(request, key)
    path = log_path_of(request, run, key)
    try:
        with open_log(context_of(request).deployment.logs, path) as log:
            first = min(start if start >= 0 else max(0, log.size + start), log.size)
            data, size = log.read(first, count), log.size
    except MissingLogError as error:
        where = f"It was written on {row.host}." if row is not None and row.host else ""
        raise NotFound("log file", path.name, hint=f"{sentence_of(error)} {where}".strip()) from error
    headers = {"X-Log-From": str(first), "X-Log-Next": str(first + len(data)), "X-Log-Size": str(size)}
    return conditional(request, data, "text/plain; charset=utf-8", headers)


@_both("POST", "/clear", requires=Right.CLEAR, response_model=ClearResult)
def clear_instance(request: Request, key: TaskKey, wanted: ClearBody) -> Response:
    """Clear a task instance, or a mapped task, with the selected ones around it; by default only list them."""
    run, _ = instance_of(request, key)
    map_index = key.map_index if key.map_index >= 0 else None
    return cleared(request, run, wanted, task_id=key.task_id, map_index=map_index)


@_both("POST", "/mark", requires=Right.MARK, response_model=MarkResult)
def mark_instance(request: Request, key: TaskKey, wanted: MarkBody) -> Response:
    """Set the state of a task instance, or of all copies of a mapped task. Other tasks keep their states.

    Active instances are not marked as successful; a failed mark ends their attempts.
    """
    _, row = instance_of(request, key)
    done = mark_instances(request, key, MARKS[wanted.state], is_whole=row is None)
    return answer(request, {"state": done.state, "named": done.named, "changed": done.changed})


@_both("POST", "/kill", requires=Right.CANCEL, response_model=MarkResult)
def kill_instance(request: Request, key: TaskKey) -> Response:
    """End the attempt of a queued, running or waiting task instance, or of such copies of a mapped task, as failed.

    There is no retry. The process of the attempt is killed once its worker sees the change, within seconds.
    """
    _, row = instance_of(request, key)
    if row is not None and not (row.state and row.state.has_open_attempt):
        raise Conflict(f"Task {key.task_name!r} has no attempt to kill: it is {row.state or 'not started'}.")
    done = kill_instances(request, key, is_whole=row is None)
    return answer(request, {"state": done.state, "named": done.named, "changed": done.changed})


def _masked(one: Attempt) -> dict[str, Any]:
    return {
        name: masked_text(one.error) if name == "error" and one.error else getattr(one, name)
        for name in Attempt.__dataclass_fields__
    }
