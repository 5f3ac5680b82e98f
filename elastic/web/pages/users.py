"""Users: list, create, change, disable, delete."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.stores.users import Role, User, UserStore
from elastic.web.context import context_of
from elastic.web.errors import NotFound
from elastic.web.pages.admin_frame import show_form, show_table, stored
from elastic.web.routes import Router
from elastic.web.security.passwords import check_password, hash_password
from elastic.web.security.rights import Right
from elastic.web.views.tables import FormField, FormView, ListRow, RowAction, TableView, text, when

router = Router()

_URL = "/admin/users"
_ROLES = tuple((str(role), str(role)) for role in Role)


class UserForm(BaseModel):
    """Fields of the form of a new user."""

    username: str = Field(default="", max_length=250)
    role: Role = Role.VIEWER
    password: str = Field(default="", max_length=300)


@router.get(_URL, requires=Right.MANAGE_USERS)
def users(request: Request) -> Response:
    """List the users."""
    rows = [
        ListRow(
            key=user.username,
            cells=(
                text(user.username, url=_address(user.username)),
                text(user.role),
                text("active" if user.is_active else "disabled"),
                when(user.created_at),
                when(user.logged_in_at),
            ),
        )
        for user in _store(request).all()
    ]
    view = TableView(
        title="Users",
        url=_URL,
        columns=("name", "role", "state", "created", "last login"),
        rows=rows,
        empty=("No users", "Create one with `elastic users create`."),
        add=("New user", f"{_URL}/new"),
        topics="admin",
        note="A viewer sees everything except secrets and administration. An operator also runs, clears and pauses. "
        "An admin also manages connections, variables, pools and users.",
    )
    return show_table(request, view)


@router.get(f"{_URL}/new", requires=Right.MANAGE_USERS)
def new(request: Request) -> Response:
    """Show the form of a new user."""
    return show_form(request, _new_form(UserForm()))


@router.post(f"{_URL}/new", requires=Right.MANAGE_USERS)
def create(request: Request, given: Annotated[UserForm, Form()]) -> Response:
    """Create a user."""
    name = given.username.strip()
    return stored(
        request,
        lambda: _store(request).create(name, given.role, hash_password(check_password(name, given.password))),
        back=_URL,
        message=f"User {name} was created with the role {given.role}.",
        form=lambda problem: _new_form(given, problem),
    )


@router.get(f"{_URL}/{{username}}", requires=Right.MANAGE_USERS)
def edit(request: Request, username: str) -> Response:
    """Show the form and the actions of a user."""
    return show_form(request, _form(_found(request, username)))


@router.post(f"{_URL}/{{username}}", requires=Right.MANAGE_USERS)
def change(
    request: Request,
    username: str,
    role: Annotated[Role, Form()],
    password: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    """Set the role, and the password if one is given. Both end the sessions of the user."""
    user, store = _found(request, username), _store(request)

    def work() -> None:
        password_hash = hash_password(check_password(username, password)) if password else None
        store.change(username, role=role, password_hash=password_hash)

    message = f"User {username} has the role {role}{' and a new password' if password else ''}."
    return stored(request, work, back=_URL, message=message, form=lambda problem: _form(user, problem))


@router.post(f"{_URL}/{{username}}/active", requires=Right.MANAGE_USERS)
def set_active(request: Request, username: str, active: Annotated[bool, Form()]) -> Response:
    """Enable or disable a user."""
    user, store = _found(request, username), _store(request)
    return stored(
        request,
        lambda: store.change(username, is_active=active),
        back=_URL,
        message=f"User {username} {'may log in again' if active else 'is disabled'}.",
        form=lambda problem: _form(user, problem),
    )


@router.post(f"{_URL}/{{username}}/delete", requires=Right.MANAGE_USERS)
def delete(request: Request, username: str) -> Response:
    """Delete a user with all sessions and API tokens."""
    user, store = _found(request, username), _store(request)
    return stored(
        request,
        lambda: store.delete(username),
        back=_URL,
        message=f"User {username} was deleted.",
        form=lambda problem: _form(user, problem),
    )


def _store(request: Request) -> UserStore:
    return UserStore(context_of(request).database)


def _found(request: Request, username: str) -> User:
    known = {user.username: user for user in _store(request).all()}
    if username not in known:
        raise NotFound("user", username, [(one, _address(one)) for one in known])
    return known[username]


def _new_form(given: UserForm, problem: str = "") -> FormView:
    return FormView(
        title="New user",
        url=f"{_URL}/new",
        parent=("Users", _URL),
        problem=problem,
        button="Create",
        fields=(
            FormField(name="username", label="Name", value=given.username, is_required=True),
            FormField(name="role", label="Role", value=given.role, kind="select", options=_ROLES),
            FormField(
                name="password", label="Password", kind="password", is_required=True, help="At least 10 characters."
            ),
        ),
    )


def _form(user: User, problem: str = "") -> FormView:
    address = _address(user.username)
    turn = RowAction(
        text="Disable" if user.is_active else "Enable",
        url=f"{address}/active",
        question="The sessions of the user end, and the API tokens stop working." if user.is_active else "",
        fields=(("active", "false" if user.is_active else "true"),),
    )
    removal = RowAction(
        text="Delete", url=f"{address}/delete", question="The sessions and API tokens of the user are deleted too."
    )
    return FormView(
        title=user.username,
        url=address,
        parent=("Users", _URL),
        problem=problem,
        note="A new role or password ends the sessions of the user.",
        fields=(
            FormField(name="role", label="Role", value=user.role, kind="select", options=_ROLES),
            FormField(
                name="password", label="New password", kind="password", help="Leave empty to keep the current one."
            ),
        ),
        actions=(turn, removal),
    )


def _address(username: str) -> str:
    return f"{_URL}/{quote(username, safe='')}"
