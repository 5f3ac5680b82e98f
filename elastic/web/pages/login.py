"""Login and logout."""

from typing import Annotated

from fastapi import Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from elastic.db.stores.users import UserStore
from elastic.web.context import address_of, context_of
from elastic.web.flash import local_url
from elastic.web.rendering import identity_of, render
from elastic.web.routes import Router
from elastic.web.security.logins import LoginDelayedError, LoginRefusedError
from elastic.web.security.rights import PUBLIC, Right
from elastic.web.security.sessions import drop_session_cookie, session_id_of, set_session_cookie

router = Router()


@router.get("/login", requires=PUBLIC)
def login_page(request: Request, next: str = "/") -> Response:
    """Show the login form."""
    if identity_of(request) is not None:
        return RedirectResponse(local_url(next), status_code=303)
    return _form(request, next=local_url(next), has_users=not UserStore(context_of(request).database).is_empty())


@router.post("/login", requires=PUBLIC)
def log_in(
    request: Request,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Open a session and redirect to the requested page."""
    request.state.identity = None
    address = address_of(request)
    try:
        session_id = request.app.state.logins.open(username, password, address)
    except LoginRefusedError as error:
        return _form(request, 401, username=username, next=local_url(next), problem=str(error))
    except LoginDelayedError as error:
        response = _form(request, 429, username=username, next=local_url(next), problem=str(error))
        response.headers["Retry-After"] = str(error.seconds)
        return response
    response = RedirectResponse(local_url(next), status_code=303)
    old = session_id_of(request)
    if old:
        request.app.state.sessions.close(old, address)
    set_session_cookie(request, response, session_id)
    return response


@router.post("/logout", requires=Right.PREFER)
def log_out(request: Request) -> Response:
    """End the session."""
    identity = identity_of(request)
    if identity is not None and identity.session_id:
        request.app.state.sessions.close(identity.session_id, address_of(request))
    request.state.identity = None
    response = RedirectResponse("/login", status_code=303)
    drop_session_cookie(request, response)
    return response


def _form(request: Request, status: int = 200, **values: object) -> Response:
    shown = {"username": "", "next": "/", "problem": "", "has_users": True, **values}
    return render(request, "login.html", status, **shown)
