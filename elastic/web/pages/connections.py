"""Connections: addresses and credentials of other systems. Passwords are set here, never shown."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.config.connection_kinds import KINDS
from elastic.core.errors import UsageError
from elastic.db.stores.connections import ConnectionStore, ListedConnection
from elastic.web.connection_check import may_test, test_connection
from elastic.web.context import context_of
from elastic.web.errors import NotFound
from elastic.web.flash import redirect
from elastic.web.pages.admin_frame import cipher, show_form, show_table, stored
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views.tables import FormField, FormView, ListRow, RowAction, TableView, text

router = Router()

_URL = "/admin/connections"
_PARENT = ("Connections", _URL)


class ConnectionForm(BaseModel):
    """Fields of the form. An empty password or extra keeps the stored one."""

    conn_id: str = Field(default="", max_length=250)
    kind: str = Field(default="", max_length=64)
    host: str = Field(default="", max_length=500)
    port: str = Field(default="", max_length=5)
    login: str = Field(default="", max_length=500)
    schema_: str = Field(default="", alias="schema", max_length=2000)
    password: str = Field(default="", max_length=5000)
    extra: str = Field(default="", max_length=20_000)

    def fields(self) -> dict[str, Any]:
        """Return the fields of the connection.

        Raises:
            UsageError: The port or the extra settings are invalid.
        """
        if self.port and not (self.port.isdecimal() and int(self.port) <= 65535):
            raise UsageError(f"the port must be a number from 0 to 65535, got {self.port!r}.")
        if not self.kind.strip():
            raise UsageError("the kind is missing; give one such as postgresql.")
        return {
            "conn_id": self.conn_id.strip(),
            "kind": self.kind.strip(),
            "host": self.host.strip() or None,
            "port": int(self.port) if self.port else None,
            "login": self.login.strip() or None,
            "schema": self.schema_.strip() or None,
            "password": self.password or None,
            "extra": _extra(self.extra),
        }


Given = Annotated[ConnectionForm, Form()]


@router.get(_URL, requires=Right.READ_CONNECTIONS)
def connections(request: Request) -> Response:
    """List the connections."""
    rows = [
        ListRow(
            key=one.conn_id,
            cells=(
                text(one.conn_id, url=_address(one.conn_id)),
                text(one.kind),
                text(one.host),
                text(one.port),
                text(one.login),
                text(one.schema),
                text("is set" if one.has_password else None, kind="sub"),
            ),
            actions=(_deletion(one.conn_id),),
        )
        for one in _store(request).listed()
    ]
    view = TableView(
        title="Connections",
        url=_URL,
        columns=("id", "kind", "host", "port", "login", "database", "password"),
        rows=rows,
        empty=(
            "No connections yet",
            "DAGs read the address and the login of another system from a connection, by its id.",
        ),
        add=("New connection", f"{_URL}/new"),
        topics="admin",
        note="An environment variable ELASTIC_CONN_<ID> of a task overrides the connection with the same id.",
    )
    return show_table(request, view)


@router.get(f"{_URL}/new", requires=Right.MANAGE_CONNECTIONS)
def new(request: Request) -> Response:
    """Show the form of a new connection."""
    return show_form(request, _form(ConnectionForm(), is_new=True))


@router.post(f"{_URL}/new", requires=Right.MANAGE_CONNECTIONS)
def create(request: Request, given: Given) -> Response:
    """Store a new connection."""
    return stored(
        request,
        lambda: _store(request).put(given.fields(), is_new=True),
        back=_URL,
        message=f"Connection {given.conn_id} is stored.",
        form=lambda problem: _form(given, is_new=True, problem=problem),
    )


@router.get(f"{_URL}/{{conn_id}}", requires=Right.MANAGE_CONNECTIONS)
def edit(request: Request, conn_id: str) -> Response:
    """Show the form of a connection."""
    return show_form(request, _edit_form(request, _given_of(_found(request, conn_id))))


@router.post(f"{_URL}/{{conn_id}}", requires=Right.MANAGE_CONNECTIONS)
def change(request: Request, conn_id: str, given: Given) -> Response:
    """Change a connection."""
    _found(request, conn_id)
    kept = given.model_copy(update={"conn_id": conn_id})
    return stored(
        request,
        lambda: _store(request).put(kept.fields(), is_new=False),
        back=_URL,
        message=f"Connection {conn_id} is stored.",
        form=lambda problem: _edit_form(request, kept, problem=problem),
    )


@router.post(f"{_URL}/{{conn_id}}/test", requires=Right.TEST_CONNECTIONS)
def test(request: Request, conn_id: str) -> Response:
    """Test whether the system of a connection answers."""
    found = _found(request, conn_id)
    ok, message = test_connection(request, conn_id)
    if ok:
        return redirect(request, _address(conn_id), message)
    return show_form(request, _edit_form(request, _given_of(found), problem=message))


@router.post(f"{_URL}/{{conn_id}}/delete", requires=Right.MANAGE_CONNECTIONS)
def delete(request: Request, conn_id: str) -> Response:
    """Delete a connection."""
    _store(request).delete(conn_id)
    return redirect(request, _URL, f"Connection {conn_id} was deleted.")


def _store(request: Request) -> ConnectionStore:
    return ConnectionStore(context_of(request).database, cipher(request))


def _found(request: Request, conn_id: str) -> ListedConnection:
    listed = _store(request).listed()
    for one in listed:
        if one.conn_id == conn_id:
            return one
    raise NotFound("connection", conn_id, [(one.conn_id, _address(one.conn_id)) for one in listed])


def _given_of(one: ListedConnection) -> ConnectionForm:
    values: Mapping[str, Any] = {
        "conn_id": one.conn_id,
        "kind": one.kind,
        "host": one.host or "",
        "port": str(one.port or ""),
        "login": one.login or "",
        "schema": one.schema or "",
    }
    # Not checked: commands may store longer values than the form accepts.
    return ConnectionForm.model_construct(**values)


def _edit_form(request: Request, given: ConnectionForm, *, problem: str = "") -> FormView:
    form = _form(given, is_new=False, problem=problem)
    if not may_test(request):
        return form
    return replace(form, actions=(RowAction(text="Test", url=f"{_address(given.conn_id)}/test"), *form.actions))


def _form(given: ConnectionForm, *, is_new: bool, problem: str = "") -> FormView:
    kept = "" if is_new else "Leave empty to keep the stored one. It is never shown."
    return FormView(
        title="New connection" if is_new else given.conn_id,
        url=f"{_URL}/new" if is_new else _address(given.conn_id),
        parent=_PARENT,
        problem=problem,
        fields=(
            FormField(name="conn_id", label="Id", value=given.conn_id, is_required=True, is_fixed=not is_new),
            FormField(name="kind", label="Kind", value=given.kind, is_required=True, help=", ".join(KINDS)),
            FormField(name="host", label="Host", value=given.host),
            FormField(name="port", label="Port", value=given.port, help="Leave empty for the default of the kind."),
            FormField(name="login", label="Login", value=given.login),
            FormField(name="password", label="Password", kind="password", help=kept),
            FormField(
                name="schema", label="Database", value=given.schema_, help="Name of the database, or path of its file."
            ),
            FormField(
                name="extra",
                label="Extra settings",
                kind="textarea",
                help=f"A JSON object, stored encrypted. {_settings_of(given.kind)}{kept}",
            ),
        ),
        actions=() if is_new else (_deletion(given.conn_id),),
    )


def _settings_of(kind: str) -> str:
    """Return a sentence about the extra settings of a kind; of all kinds that have some if none is chosen."""
    found = [(name, one) for name, one in KINDS.items() if one.fields and kind.partition("+")[0] in ("", name)]
    named = [
        f"{name}: " + ", ".join(f"{extra.name} ({extra.doc.removesuffix('.')})" for extra in one.fields)
        for name, one in found
    ]
    return f"Settings of {'; of '.join(named)}. " if named else ""


def _deletion(conn_id: str) -> RowAction:
    return RowAction(text="Delete", url=f"{_address(conn_id)}/delete", question=f"DAGs that use {conn_id} will fail.")


def _address(conn_id: str) -> str:
    return f"{_URL}/{quote(conn_id, safe='')}"


def _extra(given: str) -> dict[str, Any] | None:
    if not given.strip():
        return None
    try:
        read = json.loads(given)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise UsageError('the extra settings must be a JSON object, such as {"sslmode": "require"}.')
    return read
