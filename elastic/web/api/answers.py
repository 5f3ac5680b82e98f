"""Responses of the API: JSON with an ETag, and pages of lists with the URL of the next page."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.text import one_line
from elastic.web.conditional import conditional
from elastic.web.errors import BadRequest
from elastic.web.page_keys import key_text, utc_text
from elastic.web.rendering import url_of

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Page of a list."""

    items: list[T]
    #: URL of the next page; null on the last one
    next: str | None = None


class CountedPage(Page[T], Generic[T]):
    """Page of a list that can be counted."""

    #: with `count=true` in the query, the number of rows of all pages, at most 10,001, which means more than 10,000
    count: int | None = None


class ProblemDocument(BaseModel):
    """Error of a request (RFC 9457)."""

    type: str
    title: str
    status: int
    #: what happened, and to which object
    detail: str
    #: what to do; may be empty
    hint: str
    #: names of similar objects
    near: list[str]
    #: id of the request in the log of the web server
    request_id: str


PREFIX = "/api/v1"

#: Query of each GET with JSON: names of the wanted fields, separated by commas.
FIELDS = "fields"

#: Largest number of rows that a list counts.
MAX_COUNTED = 10_000

#: Names in addresses: letters, digits, `_`, `-`, `.`.
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.\-]{1,250}$")]
Limit = Annotated[int, Query(ge=1, le=500)]
After = Annotated[str, Query(max_length=800)]
State = Annotated[str, Query(max_length=40)]
Counted = Annotated[bool, Query(description="whether to count the rows of all pages")]

#: Descriptions of responses that are no JSON.
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}
}


def answer(request: Request, value: Any, status: int = 200, **headers: str) -> Response:
    """Return a value as JSON, or 304 if the client already has it."""
    value = plain(value)
    if request.method == "GET" and request.query_params.get(FIELDS):
        value = _with_fields(request, value)
    body = json.dumps(value, ensure_ascii=True, allow_nan=False).encode()
    if request.method == "GET" and status == 200:
        return conditional(request, body, "application/json", headers)
    return Response(body, status, headers, media_type="application/json")


def _with_fields(request: Request, value: Any) -> Any:
    """Return an object, or each item of a list, with only the fields that the query names.

    Raises:
        BadRequest: There is no such field.
    """
    wanted = [name.strip() for name in request.query_params[FIELDS].split(",")]
    items = value["items"] if isinstance(value, dict) and "items" in value else None
    rows = [value] if items is None else items
    known = {name for row in rows for name in row}
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None and rows:
        raise BadRequest(
            f"There is no field {one_line(unknown[:100])!r}.", f"Known fields: {', '.join(sorted(known))}."
        )
    chosen = [{name: row[name] for name in wanted if name in row} for row in rows]
    return chosen[0] if items is None else {**value, "items": chosen}


def page(
    request: Request,
    found: Sequence[T],
    limit: int,
    key: Callable[[T], Sequence[object]],
    *,
    count: int | None = None,
) -> Response:
    """Return a page of a list, and the URL of the next page.

    Args:
        request: The request.
        found: At most one row more than the page has.
        limit: Number of rows on the page.
        key: Returns the key of a row; the next page starts after the key of the last row.
        count: Number of rows of all pages; None if the list was not counted.
    """
    following = None
    if len(found) > limit:
        after = key_text(key(found[limit - 1]))
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
        following = url_of(str(request.scope["path"]), **dict(query), after=after)
    counted = {} if count is None else {"count": count}
    return answer(request, {"items": found[:limit], "next": following, **counted})


def text(request: Request, content: str, **headers: str) -> Response:
    """Return a string as plain text, or 304 if the client already has it."""
    body = content.encode("utf-8", "backslashreplace")
    return conditional(request, body, "text/plain; charset=utf-8", headers)


def plain(value: Any) -> Any:
    """Return a record as JSON values. Times are in UTC; NaN and infinity become null."""
    if isinstance(value, dt.datetime):
        return utc_text(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
