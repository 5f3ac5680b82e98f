"""Errors of requests: each becomes a page, or below `/api` a problem document (RFC 9457)."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from elastic.core.errors import ElasticError, UsageError
from elastic.core.text import error_text, one_line
from elastic.db.errors import DatabaseError, RowExistsError, RunExistsError, SecretError, UnknownRowError
from elastic.web.rendering import render

_log = logging.getLogger(__name__)

#: Maximum number of similar names on an error page.
_MAX_NEAR = 5
#: Maximum number of characters of a given name on an error page.
_MAX_SHOWN = 120


class WebError(Exception):
    """Error of a request.

    Args:
        sentence: What happened, and to which object.
        hint: What to do; may be empty.
        near: Links to similar objects: text and URL.
    """

    status = HTTPStatus.BAD_REQUEST
    #: heading of the page; empty for the name of the status
    title = ""

    def __init__(self, sentence: str, hint: str = "", near: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(sentence, hint, near)
        self.sentence, self.hint, self.near = sentence, hint, tuple(near)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the response."""
        return {}

    def __str__(self) -> str:
        return self.sentence


class BadRequest(WebError):  # noqa: N818 - the name of the status
    """The request cannot be understood."""


class NotFound(WebError):  # noqa: N818 - the name of the status
    """The object does not exist.

    Args:
        thing: Kind of the object, such as "DAG".
        name: The given id.
        near: Known ids, or pairs of id and URL; the page offers the similar ones.
        hint: What to do.
        of: The object that should contain it, such as "DAG 'etl'"; empty for none.
        offered: Pairs of text and URL that the page offers for any name.
    """

    status = HTTPStatus.NOT_FOUND

    def __init__(
        self,
        thing: str,
        name: str,
        near: Iterable[str | tuple[str, str]] = (),
        hint: str = "",
        *,
        of: str = "",
        offered: Sequence[tuple[str, str]] = (),
    ) -> None:
        urls = dict((one, "") if isinstance(one, str) else one for one in near)
        close = get_close_matches(name[:_MAX_SHOWN], urls, n=_MAX_NEAR, cutoff=0.5)
        missing = f"{thing} {one_line(name[:_MAX_SHOWN])!r}"
        sentence = f"{of} has no {missing}." if of else f"There is no {missing}."
        super().__init__(sentence, hint, [*((one, urls[one]) for one in close), *offered])


class Forbidden(WebError):  # noqa: N818 - the name of the status
    """The user does not have the right."""

    status = HTTPStatus.FORBIDDEN


class NewPasswordNeeded(Forbidden):
    """The user must first set a password."""


class Unauthorized(WebError):  # noqa: N818 - the name of the status
    """The request has no valid session or token."""

    status = HTTPStatus.UNAUTHORIZED


class Conflict(WebError):  # noqa: N818 - the name of the status
    """The state of the object does not allow the request."""

    status = HTTPStatus.CONFLICT


class TooManyRequests(WebError):  # noqa: N818 - the name of the status
    """The client sends too many requests of this kind."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class TokenTooFast(TooManyRequests):
    """An API token sends too many requests.

    Args:
        seconds: Seconds after which it may send another one.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("The API token sends too many requests.", "Wait, and send at most 20 requests a second.")
        self.seconds = seconds

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(max(1, math.ceil(self.seconds)))}


class PreconditionFailed(WebError):  # noqa: N818 - the name of the status
    """The object has changed since the client read it."""

    status = HTTPStatus.PRECONDITION_FAILED


class UnprocessableRequest(WebError):  # noqa: N818 - the name of the status
    """The request is well-formed, but its parts contradict each other."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UnsupportedBody(WebError):  # noqa: N818 - the name of the status
    """The body is neither a form nor JSON."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def add_handlers(app: FastAPI) -> None:
    """Register a handler for each kind of error."""
    app.add_exception_handler(WebError, _of_web_error)
    app.add_exception_handler(ElasticError, _of_elastic_error)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http_exception)


def is_api(request: Request) -> bool:
    """Return whether a request expects JSON."""
    return str(request.scope["path"]).startswith(("/api/", "/flow/"))


def refused(request: Request, status: int, sentence: str, hint: str) -> Response:
    """Return the page of a request that is refused before its user is identified."""
    request.state.identity = None
    return error_response(request, status, sentence, hint)


def error_response(
    request: Request,
    status: int,
    sentence: str,
    hint: str = "",
    near: Sequence[tuple[str, str]] = (),
    *,
    title: str = "",
) -> Response:
    """Return the page, or the problem document, of an error."""
    title = title or HTTPStatus(status).phrase
    if is_api(request):
        body = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": sentence,
            "hint": hint,
            "near": [name for name, _ in near],
            "request_id": request_id_of(request),
        }
        headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
        return JSONResponse(body, status, headers, media_type="application/problem+json")
    return render(
        request,
        "error.html",
        status,
        title=title,
        sentence=sentence,
        hint=hint,
        near=near,
        request_id=request_id_of(request),
    )


def unexpected(request: Request, error: Exception) -> Response:
    """Log an unexpected error, and return a page that does not reveal its message."""
    _log.error("request %s failed", request_id_of(request), exc_info=error)
    return error_response(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Elastic could not create the page because of an internal error.",
        f"The log of the web server has the traceback under request {request_id_of(request)}.",
    )


def sentence_of(error: Exception) -> str:
    """Return the text of an error as a sentence: with a capital letter."""
    text = error_text(error)
    return text[:1].upper() + text[1:]


def request_id_of(request: Request) -> str:
    """Return the id of a request in the log."""
    return str(getattr(request.state, "request_id", "-"))


def _of_web_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WebError)  # noqa: S101 - registered for this class
    if error.status is HTTPStatus.UNAUTHORIZED and not is_api(request):
        return RedirectResponse(_login_url(request), status_code=303)
    if isinstance(error, NewPasswordNeeded) and not is_api(request):
        return RedirectResponse("/account", status_code=303)
    response = error_response(request, error.status, error.sentence, error.hint, error.near, title=error.title)
    response.headers.update(error.headers)
    return response


def _login_url(request: Request) -> str:
    path = str(request.scope["path"])
    if request.method != "GET" or path == "/":
        return "/login"
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/login?next={quote(quote(path) + query, safe='')}"


def _of_elastic_error(request: Request, error: Exception) -> Response:
    sentence = sentence_of(error)
    match error:
        case RowExistsError() | RunExistsError():
            return error_response(request, HTTPStatus.CONFLICT, sentence)
        case UnknownRowError():
            return error_response(request, HTTPStatus.NOT_FOUND, sentence)
        case UsageError() | SecretError():
            return error_response(request, HTTPStatus.BAD_REQUEST, sentence)
    is_known = getattr(request.state, "identity", None) is not None
    if isinstance(error, DatabaseError) or not is_known:
        return _away(request, error, sentence if is_known else "")
    return error_response(request, HTTPStatus.CONFLICT, sentence)


def _away(request: Request, error: Exception, sentence: str) -> Response:
    """Return the page for an unavailable database. Without a sentence, it names neither host nor path."""
    _log.error("request %s: %s", request_id_of(request), error)
    # The page must not query the same database for the user and the banners.
    request.state.identity = None
    if sentence:
        return error_response(request, HTTPStatus.SERVICE_UNAVAILABLE, sentence)
    return error_response(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database is unavailable.",
        f"Try again in a minute. The log of the web server has the reason under request {request_id_of(request)}.",
    )


def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    found = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors()[:_MAX_NEAR]]
    return error_response(
        request, HTTPStatus.UNPROCESSABLE_ENTITY, f"The request is not valid ({one_line('; '.join(found))})."
    )


def _of_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    path = one_line(str(request.scope["path"])[:_MAX_SHOWN])
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return error_response(request, 404, f"There is no page {path}.", "Start from the list of DAGs.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return error_response(request, 405, f"{path} does not accept {request.method} requests.")
    return error_response(request, error.status_code, f"{one_line(str(error.detail))}.")
