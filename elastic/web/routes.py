"""Router whose routes name the right that they require. A route without one answers no request."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from elastic.db import audit
from elastic.web.context import context_of
from elastic.web.errors import (
    BadRequest,
    Forbidden,
    NewPasswordNeeded,
    TokenTooFast,
    Unauthorized,
    UnsupportedBody,
    is_api,
)
from elastic.web.idempotency import KEY_HEADER, answer_once
from elastic.web.preconditions import MATCH_HEADER, change_if_match
from elastic.web.security.csrf import FIELD, HEADER, SAFE_METHODS, is_same_origin, is_token_of
from elastic.web.security.identity import Identity
from elastic.web.security.rights import LEAST_ROLE, PUBLIC, Public, Right

Handler = TypeVar("Handler", bound=Callable[..., Any])

#: Requirement of a route.
Requirement = Right | Public

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

#: Fields of a form.
_MAX_FIELDS = 1000


class Decorator(Protocol):
    """Decorator that returns the function unchanged."""

    def __call__(self, function: Handler, /) -> Handler:
        """Add the function as a handler."""


class GuardedRoute(APIRoute):
    """Route that checks right, origin and CSRF token before its handler sees the request."""

    #: None until the router sets it; such a route refuses every request
    requires: Requirement | None = None
    #: whether its responses contain secrets, which are not stored
    has_secret: bool = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if self.requires is PUBLIC:
                if request.method not in SAFE_METHODS:
                    _check_origin(request)
                    await _check_form(request)
                return await handle(request)
            identity = await identified(request, self.requires)
            if request.method not in SAFE_METHODS:
                if KEY_HEADER in request.headers:
                    # Forms read the body as a stream; this keeps it for the digest of the request.
                    await request.body()
                await _check_csrf(request, identity)
            address = request.client.host if request.client else ""
            with audit.acting_for(audit.Actor(identity.username, address)):
                key = request.headers.get(KEY_HEADER)
                if request.method not in SAFE_METHODS and MATCH_HEADER in request.headers and is_api(request):
                    return await change_if_match(request, handle)
                if key is None or request.method in SAFE_METHODS or not is_api(request):
                    return await handle(request)
                if self.has_secret:
                    raise BadRequest(
                        f"The response contains a secret, which is not kept for the header {KEY_HEADER}.",
                        "Send the request without it.",
                    )
                return await answer_once(request, identity.username, key, handle)

        return guarded


class Router(APIRouter):
    """Router of pages or of the API: each route names what it requires, as `@router.get("/", requires=Right.READ)`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=GuardedRoute, **options)

    def add_api_route(
        self,
        path: str,
        endpoint: Any,
        *,
        requires: Requirement | None = None,
        has_secret: bool = False,
        **options: Any,
    ) -> None:
        """Add a route with its requirement."""
        super().add_api_route(path, endpoint, **options)
        route = self.routes[-1]
        assert isinstance(route, GuardedRoute)  # noqa: S101 - the class of the routes of this router
        route.requires = requires
        route.has_secret = has_secret

    def api_route(self, path: str, *, requires: Requirement, **options: Any) -> Decorator:  # type: ignore[override]
        """Return a decorator that adds a route."""

        def decorate(function: Handler) -> Handler:
            self.add_api_route(path, function, requires=requires, **options)
            return function

        return decorate

    def get(self, path: str, *, requires: Requirement, **options: Any) -> Decorator:  # type: ignore[override]
        """Return a decorator for a route that changes nothing."""
        return self.api_route(path, requires=requires, methods=["GET"], **options)

    def post(self, path: str, *, requires: Requirement, **options: Any) -> Decorator:  # type: ignore[override]
        """Return a decorator for a route of a form or a new object."""
        return self.api_route(path, requires=requires, methods=["POST"], **options)

    def put(self, path: str, *, requires: Requirement, **options: Any) -> Decorator:  # type: ignore[override]
        """Return a decorator for a route that stores an object."""
        return self.api_route(path, requires=requires, methods=["PUT"], **options)

    def patch(self, path: str, *, requires: Requirement, **options: Any) -> Decorator:  # type: ignore[override]
        """Return a decorator for a route that changes an object."""
        return self.api_route(path, requires=requires, methods=["PATCH"], **options)

    def delete(self, path: str, *, requires: Requirement, **options: Any) -> Decorator:  # type: ignore[override]
        """Return a decorator for a route that deletes an object."""
        return self.api_route(path, requires=requires, methods=["DELETE"], **options)


async def identified(request: Request, requires: Requirement | None) -> Identity:
    """Return the user of a request, who has the required right.

    Raises:
        Unauthorized: The request has no login and no valid token.
        Forbidden: The user may not do this.
    """
    identity: Identity | None = await run_in_threadpool(request.app.state.authenticator.identify, request)
    request.state.identity = identity
    if identity is None:
        raise Unauthorized("This needs a login or an API token.", "Log in, or send a valid token.")
    if identity.token_id is not None:
        wait: float = request.app.state.rates.take(identity.token_id)
        if wait:
            raise TokenTooFast(wait)
    if not isinstance(requires, Right) or not identity.may(requires):
        right = requires if isinstance(requires, Right) else Right.MANAGE_USERS
        raise Forbidden(
            f"User {identity.username} ({identity.role}) may not {right}.",
            f"This needs the role {LEAST_ROLE[right]}. Ask an admin for it.",
        )
    if identity.is_password_initial and not context_of(request).is_loopback:
        _check_password_page(request)
    return identity


def _check_password_page(request: Request) -> None:
    """Require a user with a generated password to set another one if others can reach the server."""
    if not request.scope["path"].startswith(("/account", "/logout")):
        raise NewPasswordNeeded("A command generated your password.", "Set your own password first.")


def _check_origin(request: Request) -> None:
    if not is_same_origin(request, context_of(request).origins):
        raise Forbidden(
            "The request does not come from a page of this server.", "Open the page again and repeat the action."
        )


async def _check_csrf(request: Request, identity: Identity) -> None:
    """Check that a page of this server made the request. A program with an API token needs no such proof."""
    if not identity.session_id:
        return
    _check_origin(request)
    given = request.headers.get(HEADER, "")
    form = await _check_form(request)
    if not is_token_of(identity.session_id, given or form):
        raise Forbidden("The form belongs to an older session.", "Go back, load the page again and repeat the action.")


async def _check_form(request: Request) -> str:
    """Check the type and the values of the body, and return its CSRF token."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _FORMS:
        form = await request.form(max_files=0, max_fields=_MAX_FIELDS)
        if any("\0" in name or "\0" in str(value) for name, value in form.multi_items()):
            raise BadRequest("The form contains a NUL character.", "Remove it.")
        return str(form.get(FIELD, ""))
    if kind != "application/json" and request.headers.get("content-length", "0") != "0":
        raise UnsupportedBody("The body must be a form or JSON.", "Set the header Content-Type.")
    return ""
