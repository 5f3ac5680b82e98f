"""Pools: slots that limit how many tasks use a system at once."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.db.records import Pool
from elastic.db.schema.jobs import DEFAULT_POOL
from elastic.db.stores.pools import PoolStore
from elastic.web.context import context_of
from elastic.web.errors import NotFound
from elastic.web.flash import redirect
from elastic.web.pages.admin_frame import show_form, show_table, stored
from elastic.web.rendering import identity_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views.tables import FormField, FormView, ListRow, RowAction, TableView, number, text

router = Router()

_URL = "/admin/pools"
_MOST = 10**6


class PoolForm(BaseModel):
    """Fields of the form."""

    name: str = Field(default="", max_length=250)
    slots: str = Field(default="", max_length=10)
    description: str = Field(default="", max_length=2000)

    def count(self) -> int:
        """Return the number of slots.

        Raises:
            UsageError: The field is not a number in the range.
        """
        if not self.slots.removeprefix("-").isdecimal() or not -1 <= int(self.slots) <= _MOST:
            raise UsageError(f"the number of slots must be -1 for no limit, or 0 to {_MOST:,}, got {self.slots!r}.")
        return int(self.slots)


Given = Annotated[PoolForm, Form()]


@router.get(_URL, requires=Right.READ)
def pools(request: Request) -> Response:
    """List the pools with their used slots."""
    identity = identity_of(request)
    may_change = identity is not None and identity.may(Right.MANAGE_POOLS)
    rows = [
        ListRow(
            key=pool.pool,
            cells=(
                text(pool.pool, url=_address(pool.pool) if may_change else ""),
                text("no limit" if pool.slots < 0 else f"{pool.slots:,}", kind="number"),
                number(pool.running),
                number(pool.queued),
                text("no limit" if pool.slots < 0 else max(0, pool.slots - pool.running - pool.queued), kind="number"),
                text(pool.description),
            ),
        )
        for pool in _store(request).all()
    ]
    view = TableView(
        title="Pools",
        url=_URL,
        columns=("pool", "#slots", "#running", "#queued", "#free", "description"),
        rows=rows,
        empty=("No pools", "The default pool is missing; run `elastic db migrate`."),
        add=("New pool", f"{_URL}/new") if may_change else None,
    )
    return show_table(request, view)


@router.get(f"{_URL}/new", requires=Right.MANAGE_POOLS)
def new(request: Request) -> Response:
    """Show the form of a new pool."""
    return show_form(request, _form(PoolForm(), is_new=True))


@router.post(f"{_URL}/new", requires=Right.MANAGE_POOLS)
def create(request: Request, given: Given) -> Response:
    """Store a new pool."""
    return stored(
        request,
        lambda: _store(request).put(given.name.strip(), given.count(), given.description, is_new=True),
        back=_URL,
        message=f"Pool {given.name.strip()} has {given.slots} slots.",
        form=lambda problem: _form(given, is_new=True, problem=problem),
    )


@router.get(f"{_URL}/{{name}}", requires=Right.MANAGE_POOLS)
def edit(request: Request, name: str) -> Response:
    """Show the form of a pool."""
    pool = _found(request, name)
    given = PoolForm.model_construct(name=pool.pool, slots=str(pool.slots), description=pool.description or "")
    return show_form(request, _form(given, is_new=False))


@router.post(f"{_URL}/{{name}}", requires=Right.MANAGE_POOLS)
def change(request: Request, name: str, given: Given) -> Response:
    """Change a pool."""
    _found(request, name)
    kept = given.model_copy(update={"name": name})
    return stored(
        request,
        lambda: _store(request).put(name, kept.count(), kept.description),
        back=_URL,
        message=f"Pool {name} has {kept.slots} slots.",
        form=lambda problem: _form(kept, is_new=False, problem=problem),
    )


@router.post(f"{_URL}/{{name}}/delete", requires=Right.MANAGE_POOLS)
def delete(request: Request, name: str) -> Response:
    """Delete a pool."""
    _store(request).delete(name)
    return redirect(request, _URL, f"Pool {name} was deleted.")


def _store(request: Request) -> PoolStore:
    return PoolStore(context_of(request).database)


def _found(request: Request, name: str) -> Pool:
    known = {pool.pool: pool for pool in _store(request).all()}
    if name not in known:
        raise NotFound("pool", name, [(one, _address(one)) for one in known])
    return known[name]


def _form(given: PoolForm, *, is_new: bool, problem: str = "") -> FormView:
    is_deletable = not is_new and given.name != DEFAULT_POOL
    deletion = RowAction(
        text="Delete", url=f"{_address(given.name)}/delete", question="Tasks of this pool will wait forever."
    )
    return FormView(
        title="New pool" if is_new else given.name,
        url=f"{_URL}/new" if is_new else _address(given.name),
        parent=("Pools", _URL),
        problem=problem,
        fields=(
            FormField(name="name", label="Name", value=given.name, is_required=True, is_fixed=not is_new),
            FormField(name="slots", label="Slots", value=given.slots, is_required=True, help="-1 for no limit."),
            FormField(name="description", label="Description", value=given.description),
        ),
        actions=(deletion,) if is_deletable else (),
    )


def _address(name: str) -> str:
    return f"{_URL}/{quote(name, safe='')}"
