"""Account page: time zone and password of the user."""

from typing import Annotated
from zoneinfo import available_timezones

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.db.stores.users import UserStore
from elastic.web.context import address_of, context_of
from elastic.web.errors import Unauthorized, sentence_of
from elastic.web.flash import redirect
from elastic.web.rendering import identity_of, render
from elastic.web.routes import Router
from elastic.web.security.identity import Identity
from elastic.web.security.logins import LoginDelayedError, LoginRefusedError
from elastic.web.security.passwords import check_password, hash_password
from elastic.web.security.rights import Right
from elastic.web.security.sessions import set_session_cookie
from elastic.web.views.times import zone_of

router = Router()


@router.get("/account", requires=Right.READ)
def account_page(request: Request) -> Response:
    """Show the settings of the user."""
    return _page(request)


@router.post("/account/zone", requires=Right.PREFER)
def set_zone(request: Request, zone: Annotated[str, Form()] = "") -> Response:
    """Set the time zone in which the user reads times."""
    if zone and zone_of(zone) is None:
        return _page(
            request, 400, problem=f"There is no time zone {zone[:64]!r}; choose one from the list.", given=zone
        )
    UserStore(context_of(request).database).set_zone(_user(request).username, zone or None)
    return redirect(request, "/account", f"Times are now shown in {zone or 'the zone of your browser'}.")


@router.post("/account/password", requires=Right.PREFER)
def set_password(
    request: Request,
    current: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    repeated: Annotated[str, Form()] = "",
) -> Response:
    """Set the password of the user, which ends all sessions, and open a new one."""
    user, logins, address = _user(request), request.app.state.logins, address_of(request)
    try:
        before = logins.verify(user.username, current, address, event="password check failed")
    except LoginRefusedError:
        return _page(request, 400, problem="The current password is wrong; nothing was changed.")
    except LoginDelayedError as error:
        problem = f"The current password was wrong too often; wait {error.seconds} s and try again."
        response = _page(request, 429, problem=problem)
        response.headers["Retry-After"] = str(error.seconds)
        return response
    if password != repeated:
        return _page(request, 400, problem="The two new passwords differ; nothing was changed.")
    try:
        checked = check_password(user.username, password)
    except UsageError as error:
        return _page(request, 400, problem=sentence_of(error))
    password_hash = hash_password(checked)
    UserStore(context_of(request).database).change(
        user.username, password_hash=password_hash, instead_of=before.password_hash
    )
    session_id = logins.begin(user.username, password_hash, address)
    response = redirect(request, "/account")
    set_session_cookie(request, response, session_id)
    return response


def _user(request: Request) -> Identity:
    identity = identity_of(request)
    if identity is None:
        raise Unauthorized("This needs a login.")
    return identity


def _page(request: Request, status: int = 200, *, problem: str = "", given: str | None = None) -> Response:
    zone = _user(request).zone if given is None else given
    zones = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "System")))
    return render(request, "account.html", status, problem=problem, chosen=zone or "", zones=["UTC", *zones])
