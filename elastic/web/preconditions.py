"""Changes that a client wants only if the object is still as it has read it: the header `If-Match` (RFC 9110)."""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final
from weakref import WeakKeyDictionary

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Scope

from elastic.web.conditional import tags_in
from elastic.web.errors import BadRequest, PreconditionFailed
from elastic.web.idempotency import KEY_HEADER

MATCH_HEADER: Final = "if-match"

#: One lock for each event loop: of two changes with the same tag, the second one sees what the first one did.
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def change_if_match(request: Request, handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    """Handle a change if a GET of the same address has one of the tags in the header, or if it is `*` and exists.

    Raises:
        PreconditionFailed: The object has changed.
        BadRequest: The address has no GET, or the request has an idempotency key as well.
    """
    if KEY_HEADER in request.headers:
        raise BadRequest("A request may have If-Match or Idempotency-Key, but not both.", "Send one of them.")
    lock = _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with lock:
        tag, wanted = await _current_tag(request), tags_in(request.headers[MATCH_HEADER])
        if tag is None or ("*" not in wanted and tag not in wanted):
            raise PreconditionFailed(
                f"{request.scope['path']} has changed since it was read, or does not exist.",
                "Read it again, and repeat the change.",
            )
        return await handle(request)


async def _current_tag(request: Request) -> str | None:
    """Return the tag that a GET of the address of a request has, or None if there is no such object."""
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"if-none-match"]
    scope: Scope = {**request.scope, "method": "GET", "query_string": b"", "headers": headers}
    route, values = _route_of(request, scope)
    started: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)

    await route.app({**scope, **values}, receive, send)
    found = Headers(raw=started[0]["headers"]) if started[0]["status"] == HTTPStatus.OK else Headers()
    return found.get("etag")


def _route_of(request: Request, scope: Scope) -> tuple[APIRoute, Scope]:
    """Return the route of a request, and what it adds to the scope.

    Raises:
        BadRequest: The address has no GET.
    """
    for route in request.app.router.routes:
        found, values = route.matches(scope)
        if found is Match.FULL and isinstance(route, APIRoute):
            return route, values
    raise BadRequest(f"{request.scope['path']} has no ETag.", "Repeat the request without the header If-Match.")
