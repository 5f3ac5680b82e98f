"""Security middleware: request ids, allowed hosts, limits, and security headers of every response."""

import logging
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("elastic.web.access")

#: Maximum size of a body, of a path and of a query (bytes).
MAX_BODY, MAX_PATH, MAX_QUERY = 2**20, 4096, 8192

_CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

#: Headers of every response.
HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

#: Returns the response to a refused request: request, status, sentence and hint.
Refuse = Callable[[Request, int, str, str], Response]


class Shield:
    """Outermost ASGI middleware.

    Args:
        app: The app.
        refuse: Returns the response to a refused request.
        unexpected: Returns the response to an unhandled error.
    """

    def __init__(self, app: ASGIApp, *, refuse: Refuse, unexpected: Callable[[Request, Exception], Response]) -> None:
        self._app, self._refuse, self._unexpected = app, refuse, unexpected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self, scope, receive, send).run()

    async def answer(self, exchange: "_Exchange") -> None:
        """Respond to the request of an exchange."""
        request = Request(exchange.scope)
        problem = _problem(request)
        if problem is not None:
            status, sentence, hint = problem
            response = await run_in_threadpool(self._refuse, request, status, sentence, hint)
            await response(exchange.scope, exchange.receive, exchange.send)
            return
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except _BodyTooLargeError:
            response = await run_in_threadpool(
                self._refuse, request, 413, "The request is larger than 1 MiB.", "Send less."
            )
            await response(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return  # The client has disconnected.
        except Exception as error:
            if exchange.status:
                raise
            response = await run_in_threadpool(self._unexpected, request, error)
            await response(exchange.scope, exchange.receive, exchange.send)


class _BodyTooLargeError(Exception):
    """The body is larger than allowed."""


class _Exchange:
    """One request and its response."""

    def __init__(self, shield: Shield, scope: Scope, receive: Receive, send: Send) -> None:
        self._shield, self.scope, self._receive, self._send = shield, scope, receive, send
        self._received = 0
        self._started_at = time.perf_counter()
        #: status of the response; 0 until it starts
        self.status = 0
        scope.setdefault("state", {})["request_id"] = self._id = secrets.token_hex(8)

    async def run(self) -> None:
        """Respond to the request, and log it without its query, which may contain user input."""
        try:
            await self._shield.answer(self)
        finally:
            milliseconds = (time.perf_counter() - self._started_at) * 1000
            path = self.scope["path"].encode("unicode_escape").decode()[:MAX_PATH]
            _log.info("%s %s %s %d %.0f ms", self._id, self.scope["method"], path, self.status, milliseconds)

    async def receive(self) -> Message:
        """Receive a part of the body, up to the limit."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > MAX_BODY:
            raise _BodyTooLargeError
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the security headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers["X-Request-Id"] = self._id
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _problem(request: Request) -> tuple[int, str, str] | None:
    """Return status, sentence and hint of a refusal; None to accept the request."""
    context: Any = request.app.state.context
    if _host_name(request.headers.get("host", "")) not in context.hosts:
        return 400, "This server does not serve that host name.", "An admin can add the name to web.hosts."
    if len(request.scope["path"]) > MAX_PATH or len(request.scope["query_string"]) > MAX_QUERY:
        return HTTPStatus.REQUEST_URI_TOO_LONG, "The URL is too long.", "Shorten it."
    query = request.scope["query_string"].lower()
    if not request.scope["path"].isprintable() or b"%00" in query or b"\0" in query:
        return 400, "The URL contains control characters.", "Remove them."
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        return 413, "The request is larger than 1 MiB.", "Send less."
    return None


def _host_name(host: str) -> str:
    """Return the name in a Host header without its port, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].removesuffix(".")
