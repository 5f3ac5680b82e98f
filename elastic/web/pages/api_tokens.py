"""API tokens: list, create, revoke."""

import datetime as dt
from typing import Annotated

from fastapi import Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.users import Role
from elastic.web.context import context_of
from elastic.web.errors import Unauthorized, sentence_of
from elastic.web.flash import redirect
from elastic.web.pages.admin_frame import show_form, show_table
from elastic.web.rendering import identity_of, render
from elastic.web.routes import Router
from elastic.web.security.identity import Identity
from elastic.web.security.rights import Right
from elastic.web.security.tokens import new_token
from elastic.web.views.tables import FormField, FormView, ListRow, RowAction, TableView, text, when

router = Router()

_URL = "/admin/tokens"


class TokenForm(BaseModel):
    """Fields of the form."""

    name: str = Field(default="", max_length=200)
    role: Role = Role.VIEWER
    days: str = Field(default="90", max_length=5)

    def lifetime(self) -> dt.timedelta | None:
        """Return the lifetime of the token; None for no limit.

        Raises:
            UsageError: The name is missing, or the days are not a number.
        """
        if not self.name.strip():
            raise UsageError("the name is missing; give the name of the program that uses the token.")
        if not self.days.isdecimal() or int(self.days) > 3650:
            raise UsageError(f"the days must be a number from 0 (no limit) to 3650, got {self.days!r}.")
        return dt.timedelta(days=int(self.days)) if int(self.days) else None


@router.get(_URL, requires=Right.MANAGE_TOKENS)
def tokens(request: Request) -> Response:
    """List the tokens of all users."""
    now = context_of(request).clock()
    rows = [
        ListRow(
            key=str(one.id),
            cells=(
                text(one.name),
                text(one.username),
                text(one.role),
                when(one.created_at),
                when(one.used_at),
                when(one.expires_at) if one.expires_at else text("never"),
                text("expired" if one.expires_at and one.expires_at <= now else "valid"),
            ),
            actions=(
                RowAction(text="Revoke", url=f"{_URL}/{one.id}/revoke", question="Requests with this token will fail."),
            ),
        )
        for one in ApiTokenStore(context_of(request).database).all()
    ]
    view = TableView(
        title="API tokens",
        url=_URL,
        columns=("name", "user", "role", "created", "last used", "expires", "state"),
        rows=rows,
        empty=("No API tokens yet", "A token lets a program use the API below /api/v1."),
        add=("New token", f"{_URL}/new"),
        topics="admin",
    )
    return show_table(request, view)


@router.get(f"{_URL}/new", requires=Right.MANAGE_TOKENS)
def new(request: Request) -> Response:
    """Show the form of a new token."""
    return show_form(request, _form(TokenForm()))


@router.post(f"{_URL}/new", requires=Right.MANAGE_TOKENS)
def create(request: Request, given: Annotated[TokenForm, Form()]) -> Response:
    """Create a token and show it once."""
    identity, context = _user(request), context_of(request)
    try:
        lifetime = given.lifetime()
    except UsageError as error:
        return show_form(request, _form(given, sentence_of(error)), 400)
    secret, time = new_token(), context.clock()
    role = min(given.role, identity.role, key=lambda one: one.rank)
    ApiTokenStore(context.database).add(
        secret,
        identity.username,
        name=given.name.strip(),
        role=role,
        time=time,
        expires_at=time + lifetime if lifetime else None,
    )
    return render(request, "token.html", secret=secret, name=given.name.strip(), role=role, back=_URL)


@router.post(f"{_URL}/{{token_id}}/revoke", requires=Right.MANAGE_TOKENS)
def revoke(request: Request, token_id: int) -> Response:
    """Revoke a token."""
    ApiTokenStore(context_of(request).database).revoke(token_id)
    return redirect(request, _URL, "The token was revoked.")


def _user(request: Request) -> Identity:
    identity = identity_of(request)
    if identity is None:
        raise Unauthorized("This needs a login.")
    return identity


def _form(given: TokenForm, problem: str = "") -> FormView:
    return FormView(
        title="New token",
        url=f"{_URL}/new",
        parent=("API tokens", _URL),
        problem=problem,
        button="Create",
        fields=(
            FormField(
                name="name",
                label="Name",
                value=given.name,
                is_required=True,
                help="Name of the program that uses the token.",
            ),
            FormField(
                name="role",
                label="Role",
                value=given.role,
                kind="select",
                options=tuple((str(role), str(role)) for role in Role),
                help="The token never has more rights than its user.",
            ),
            FormField(name="days", label="Days", value=given.days, help="Days until the token expires; 0 for never."),
        ),
    )
