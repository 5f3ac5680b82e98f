"""Protection against cross-site request forgery."""

import hashlib
import hmac
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request

#: Form field, and header of scripts, with the token.
FIELD, HEADER = "csrf_token", "x-csrf-token"

#: Methods that change nothing.
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


def token_of(session_id: str) -> str:
    """Return the token of a session. It does not reveal the session id, and is valid as long as the session."""
    return hmac.new(session_id.encode(), b"elastic csrf token", hashlib.sha256).hexdigest()


def is_token_of(session_id: str, given: str) -> bool:
    """Return whether a token belongs to a session."""
    return hmac.compare_digest(token_of(session_id).encode(), given.encode("utf-8", "surrogatepass"))


def is_same_origin(request: Request, origins: Collection[str] = ()) -> bool:
    """Return whether a page of this server sent a request.

    Browsers always send `Origin` or `Sec-Fetch-Site` with a form, and pages cannot forge them.

    Args:
        request: The request, whose Host was checked.
        origins: Further origins of this server, such as that of a proxy.
    """
    origin = request.headers.get("origin")
    if origin is not None:
        return origin in origins or _host_of(origin) == request.headers.get("host", "").lower() != ""
    return request.headers.get("sec-fetch-site") == "same-origin"


def _host_of(origin: str) -> str:
    try:
        found = urlsplit(origin)
    except ValueError:
        return ""
    return found.netloc.lower() if found.scheme in ("http", "https") else ""
