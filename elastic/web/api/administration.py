"""Pools, variables, connections, users and tokens. Only the response that creates a token contains a secret."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Path
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.text import one_line
from elastic.db.records import Pool
from elastic.db.stores.api_tokens import ApiToken, ApiTokenStore
from elastic.db.stores.connections import ConnectionStore, ListedConnection
from elastic.db.stores.pools import PoolStore
from elastic.db.stores.users import Role, User, UserStore
from elastic.db.stores.variables import VariableStore
from elastic.web.api.answers import PREFIX, Name, Page, answer
from elastic.web.connection_check import test_connection
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, NotFound, Unauthorized
from elastic.web.pages.admin_frame import cipher
from elastic.web.rendering import identity_of
from elastic.web.routes import Router
from elastic.web.security.identity import Identity
from elastic.web.security.passwords import check_password, hash_password
from elastic.web.security.rights import Right
from elastic.web.security.tokens import new_token
from elastic.web.views.times import zone_of

router = Router(prefix=PREFIX, tags=["administration"])

T = TypeVar("T")

TokenId = Annotated[int, Path(ge=0, lt=2**62)]


class PoolBody(BaseModel, extra="forbid"):
    """Pool to store."""

    slots: int = Field(ge=-1, le=10**6, description="-1 for no limit")
    description: str = Field(default="", max_length=2000)


class VariableBody(BaseModel, extra="forbid"):
    """Variable to store. No response contains the value."""

    value: str = Field(max_length=200_000)
    description: str | None = Field(default=None, max_length=2000)


class ConnectionBody(BaseModel, extra="forbid"):
    """Connection to store. A password or extra of null keeps the stored one."""

    kind: str = Field(min_length=1, max_length=64)
    host: str | None = Field(default=None, max_length=500)
    port: int | None = Field(default=None, ge=0, le=65535)
    login: str | None = Field(default=None, max_length=500)
    schema_: str | None = Field(default=None, alias="schema", max_length=2000)
    password: str | None = Field(default=None, max_length=5000)
    extra: dict[str, Any] | None = None


class TestResult(BaseModel):
    """Result of the test of a connection."""

    ok: bool
    #: one sentence without secrets
    message: str


class UserBody(BaseModel, extra="forbid"):
    """User to create."""

    username: str = Field(max_length=250)
    role: Role = Role.VIEWER
    password: str = Field(max_length=300)


class UserChange(BaseModel, extra="forbid"):
    """Change of a user; null keeps what is stored."""

    role: Role | None = None
    password: str | None = Field(default=None, max_length=300)
    is_active: bool | None = None


class TokenBody(BaseModel, extra="forbid"):
    """Token to create."""

    name: str = Field(min_length=1, max_length=200)
    role: Role = Role.VIEWER
    days: int = Field(default=90, ge=0, le=3650, description="0 for no end")


class Me(BaseModel):
    """User of a request."""

    username: str
    role: Role


class Preferences(BaseModel, extra="forbid"):
    """Preferences of a user."""

    zone: str | None = Field(max_length=64, description="time zone of times on pages; null for that of the browser")


class VariableView(BaseModel):
    """Variable without its value."""

    key: str
    description: str | None


class UserView(BaseModel):
    """User without the hash of the password."""

    username: str
    role: Role
    is_active: bool
    created_at: dt.datetime
    logged_in_at: dt.datetime | None


class NewToken(BaseModel):
    """Token of a user."""

    id: int
    #: the token, which only this response contains
    token: str
    role: Role
    expires_at: dt.datetime | None


@router.get("/me", requires=Right.READ, response_model=Me)
def me(request: Request) -> Response:
    """Return the user of the token or the session."""
    identity = _user(request)
    return answer(request, {"username": identity.username, "role": identity.role})


@router.get("/me/preferences", requires=Right.READ, response_model=Preferences)
def preferences(request: Request) -> Response:
    """Return the preferences of the user for pages."""
    return answer(request, {"zone": UserStore(context_of(request).database).get(_user(request).username).zone})


@router.put("/me/preferences", requires=Right.PREFER, response_model=Preferences)
def put_preferences(request: Request, body: Preferences) -> Response:
    """Set the preferences of the user for pages."""
    if body.zone is not None and zone_of(body.zone) is None:
        raise BadRequest(f"There is no time zone {one_line(body.zone)!r}.", "Give one such as Europe/Berlin.")
    UserStore(context_of(request).database).set_zone(_user(request).username, body.zone)
    return answer(request, {"zone": body.zone})


@router.get("/pools", requires=Right.READ, response_model=Page[Pool])
def pools(request: Request) -> Response:
    """List the pools with their used slots."""
    return answer(request, {"items": PoolStore(context_of(request).database).all(), "next": None})


@router.get("/pools/{name}", requires=Right.READ, response_model=Pool)
def get_pool(request: Request, name: Name) -> Response:
    """Return a pool with its used slots."""
    return answer(
        request, _named(name, "pool", {one.pool: one for one in PoolStore(context_of(request).database).all()})
    )


@router.put("/pools/{name}", requires=Right.MANAGE_POOLS, response_model=Pool)
def put_pool(request: Request, name: Name, body: PoolBody) -> Response:
    """Create or change a pool."""
    store = PoolStore(context_of(request).database)
    store.put(name, body.slots, body.description)
    return answer(request, next(one for one in store.all() if one.pool == name))


@router.delete("/pools/{name}", requires=Right.MANAGE_POOLS, status_code=204)
def delete_pool(request: Request, name: Name) -> Response:
    """Delete a pool."""
    PoolStore(context_of(request).database).delete(name)
    return Response(status_code=204)


@router.get("/variables", requires=Right.READ_VARIABLES, response_model=Page[VariableView])
def variables(request: Request) -> Response:
    """List the names of the variables."""
    keys = VariableStore(context_of(request).database, cipher(request)).keys()
    return answer(request, {"items": [{"key": key, "description": text} for key, text in keys], "next": None})


@router.put("/variables/{name}", requires=Right.MANAGE_VARIABLES, status_code=204)
def put_variable(request: Request, name: Name, body: VariableBody) -> Response:
    """Store a variable, encrypted."""
    VariableStore(context_of(request).database, cipher(request)).put(name, body.value, body.description)
    return Response(status_code=204)


@router.delete("/variables/{name}", requires=Right.MANAGE_VARIABLES, status_code=204)
def delete_variable(request: Request, name: Name) -> Response:
    """Delete a variable."""
    VariableStore(context_of(request).database, cipher(request)).delete(name)
    return Response(status_code=204)


@router.get("/connections", requires=Right.READ_CONNECTIONS, response_model=Page[ListedConnection])
def connections(request: Request) -> Response:
    """List the connections, and whether each has a password."""
    return answer(request, {"items": _connections(request).listed(), "next": None})


@router.get("/connections/{name}", requires=Right.READ_CONNECTIONS, response_model=ListedConnection)
def get_connection(request: Request, name: Name) -> Response:
    """Return a connection, and whether it has a password."""
    return answer(request, _named(name, "connection", {one.conn_id: one for one in _connections(request).listed()}))


@router.put("/connections/{name}", requires=Right.MANAGE_CONNECTIONS, status_code=204)
def put_connection(request: Request, name: Name, body: ConnectionBody) -> Response:
    """Create or change a connection."""
    store = _connections(request)
    is_new = name not in {one.conn_id for one in store.listed()}
    store.put({"conn_id": name, **body.model_dump(by_alias=True)}, is_new=is_new)
    return Response(status_code=204)


@router.post("/connections/{name}/test", requires=Right.TEST_CONNECTIONS, response_model=TestResult)
def test(request: Request, name: Name) -> Response:
    """Test whether the system of a connection answers. The setting web.test_connections names the allowed hosts."""
    _named(name, "connection", {one.conn_id: one for one in _connections(request).listed()})
    ok, message = test_connection(request, name)
    return answer(request, {"ok": ok, "message": message})


@router.delete("/connections/{name}", requires=Right.MANAGE_CONNECTIONS, status_code=204)
def delete_connection(request: Request, name: Name) -> Response:
    """Delete a connection."""
    _connections(request).delete(name)
    return Response(status_code=204)


@router.get("/users", requires=Right.MANAGE_USERS, response_model=Page[UserView])
def users(request: Request) -> Response:
    """List the users."""
    found = UserStore(context_of(request).database).all()
    return answer(request, {"items": [_shown(user) for user in found], "next": None})


@router.post("/users", requires=Right.MANAGE_USERS, status_code=201, response_model=UserView)
def create_user(request: Request, body: UserBody) -> Response:
    """Create a user."""
    store = UserStore(context_of(request).database)
    store.create(body.username, body.role, hash_password(check_password(body.username, body.password)))
    return answer(request, _shown(store.get(body.username)), 201, Location=f"{PREFIX}/users/{body.username}")


@router.get("/users/{name}", requires=Right.MANAGE_USERS, response_model=UserView)
def get_user(request: Request, name: Name) -> Response:
    """Return a user."""
    return answer(request, _shown(UserStore(context_of(request).database).get(name)))


@router.patch("/users/{name}", requires=Right.MANAGE_USERS, response_model=UserView)
def change_user(request: Request, name: Name, body: UserChange) -> Response:
    """Change the role, the password or the state of a user, which ends the sessions of the user."""
    store = UserStore(context_of(request).database)
    store.get(name)
    password_hash = hash_password(check_password(name, body.password)) if body.password is not None else None
    store.change(name, role=body.role, password_hash=password_hash, is_active=body.is_active)
    return answer(request, _shown(store.get(name)))


@router.delete("/users/{name}", requires=Right.MANAGE_USERS, status_code=204)
def delete_user(request: Request, name: Name) -> Response:
    """Delete a user with all sessions and tokens."""
    UserStore(context_of(request).database).delete(name)
    return Response(status_code=204)


@router.get("/tokens", requires=Right.MANAGE_TOKENS, response_model=Page[ApiToken])
def tokens(request: Request) -> Response:
    """List the tokens of all users, without their secrets."""
    return answer(request, {"items": ApiTokenStore(context_of(request).database).all(), "next": None})


@router.post("/tokens", requires=Right.MANAGE_TOKENS, status_code=201, has_secret=True, response_model=NewToken)
def create_token(request: Request, body: TokenBody) -> Response:
    """Create a token of the user. Only this response contains it."""
    identity, context, secret = _user(request), context_of(request), new_token()
    time = context.clock()
    role = min(body.role, identity.role, key=lambda one: one.rank)
    ends = [time + dt.timedelta(days=body.days)] if body.days else []
    # A token with an expiry must not create one that outlives it.
    expires_at = min([*ends, *([identity.expires_at] if identity.expires_at else [])], default=None)
    number = ApiTokenStore(context.database).add(
        secret, identity.username, name=body.name, role=role, time=time, expires_at=expires_at
    )
    return answer(request, {"id": number, "token": secret, "role": role, "expires_at": expires_at}, 201)


@router.delete("/tokens/{token_id}", requires=Right.MANAGE_TOKENS, status_code=204)
def revoke_token(request: Request, token_id: TokenId) -> Response:
    """Revoke a token."""
    store = ApiTokenStore(context_of(request).database)
    if token_id not in {one.id for one in store.all()}:
        raise NotFound("token", str(token_id))
    store.revoke(token_id)
    return Response(status_code=204)


def _named(name: str, thing: str, found: Mapping[str, T]) -> T:
    if name not in found:
        raise NotFound(thing, name, list(found))
    return found[name]


def _connections(request: Request) -> ConnectionStore:
    return ConnectionStore(context_of(request).database, cipher(request))


def _user(request: Request) -> Identity:
    identity = identity_of(request)
    if identity is None:
        raise Unauthorized("This needs an API token.")
    return identity


def _shown(user: User) -> dict[str, Any]:
    names = ("username", "role", "is_active", "created_at", "logged_in_at")
    return {name: getattr(user, name) for name in names}
