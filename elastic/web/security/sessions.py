"""Sessions: random ids in a cookie. The database stores their digests."""

import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

#: The prefix makes browsers accept the cookie only with TLS, for the whole host.
_SECURE_COOKIE, _PLAIN_COOKIE = "__Host-elastic", "elastic"

_ID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def new_session_id() -> str:
    """Return a new random id of 256 bits."""
    return secrets.token_urlsafe(32)


def is_secure(request: Request) -> bool:
    """Return whether the browser uses TLS."""
    return bool(request.scope["scheme"] == "https")


def cookie_name(request: Request) -> str:
    """Return the name of the session cookie for the scheme of a request."""
    return _SECURE_COOKIE if is_secure(request) else _PLAIN_COOKIE


def session_id_of(request: Request) -> str | None:
    """Return the session id in the cookie of a request, or None."""
    found = request.cookies.get(cookie_name(request), "")
    return found if _ID.fullmatch(found) else None


def set_session_cookie(request: Request, response: Response, session_id: str) -> None:
    """Set the session cookie, which the browser deletes when it closes."""
    response.set_cookie(
        cookie_name(request), session_id, secure=is_secure(request), httponly=True, samesite="lax", path="/"
    )


def drop_session_cookie(request: Request, response: Response) -> None:
    """Delete the session cookie."""
    response.delete_cookie(cookie_name(request), secure=is_secure(request), httponly=True, samesite="lax", path="/")
