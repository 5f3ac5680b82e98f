"""Flash messages, which the next page shows once, in a signed cookie."""

import base64
import hashlib
import hmac

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from elastic.core.text import writable
from elastic.web.security.sessions import is_secure

_COOKIE = "elastic_flash"
#: Seconds after which an unshown message expires.
_MAX_AGE = 60
_MAX_CHARACTERS = 600


def redirect(request: Request, url: str, message: str = "") -> RedirectResponse:
    """Return the response to a form: a redirect to a page that shows a message once.

    Args:
        request: The request.
        url: Path and query of a page of this server.
        message: A sentence.
    """
    response = RedirectResponse(local_url(url), status_code=303)
    session_id = _session_id(request)
    if message and session_id:
        text = base64.urlsafe_b64encode(writable(message)[:_MAX_CHARACTERS].encode()).decode()
        response.set_cookie(
            _COOKIE,
            f"{text}.{_signature(session_id, text)}",
            max_age=_MAX_AGE,
            secure=is_secure(request),
            httponly=True,
            samesite="lax",
            path="/",
        )
    return response


def local_url(url: str, otherwise: str = "/") -> str:
    """Return a URL if it leads to a page of this server, else another one."""
    is_local = url.startswith("/") and not url.startswith("//") and url.isprintable() and "\\" not in url
    return url if is_local else otherwise


def message_of(request: Request) -> str:
    """Return the message for the page to show, or an empty string."""
    session_id, cookie = _session_id(request), request.cookies.get(_COOKIE, "")
    text, _, signature = cookie.partition(".")
    if not session_id or not hmac.compare_digest(_signature(session_id, text).encode(), signature.encode()):
        return ""
    try:
        return base64.urlsafe_b64decode(text).decode()
    except ValueError:
        return ""


def forget_message(request: Request, response: Response) -> None:
    """Delete the cookie of a message that was shown."""
    if _COOKIE in request.cookies:
        response.delete_cookie(_COOKIE, path="/")


def _session_id(request: Request) -> str:
    identity = getattr(request.state, "identity", None)
    return identity.session_id if identity else ""


def _signature(session_id: str, text: str) -> str:
    return hmac.new(session_id.encode(), b"flash " + text.encode(), hashlib.sha256).hexdigest()
