"""Variables: values that DAGs read by name. Pages never show a value, because any value may be a secret."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from elastic.db.stores.variables import VariableStore
from elastic.web.context import context_of
from elastic.web.errors import NotFound
from elastic.web.flash import redirect
from elastic.web.pages.admin_frame import cipher, show_form, show_table, stored
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views.tables import FormField, FormView, ListRow, RowAction, TableView, text

router = Router()

_URL = "/admin/variables"


class VariableForm(BaseModel):
    """Fields of the form."""

    key: str = Field(default="", max_length=250)
    value: str = Field(default="", max_length=200_000)
    description: str = Field(default="", max_length=2000)


Given = Annotated[VariableForm, Form()]


@router.get(_URL, requires=Right.READ_VARIABLES)
def variables(request: Request) -> Response:
    """List the variables."""
    rows = [
        ListRow(
            key=key,
            cells=(text(key, url=_address(key)), text("is set", kind="sub"), text(description)),
            actions=(_deletion(key),),
        )
        for key, description in _keys(request)
    ]
    view = TableView(
        title="Variables",
        url=_URL,
        columns=("name", "value", "description"),
        rows=rows,
        empty=("No variables yet", "DAGs read the value of a variable by its name. All values are stored encrypted."),
        add=("New variable", f"{_URL}/new"),
        topics="admin",
        note="An environment variable ELASTIC_VAR_<NAME> of a task overrides the variable with the same name.",
    )
    return show_table(request, view)


@router.get(f"{_URL}/new", requires=Right.MANAGE_VARIABLES)
def new(request: Request) -> Response:
    """Show the form of a new variable."""
    return show_form(request, _form(VariableForm(), is_new=True))


@router.post(f"{_URL}/new", requires=Right.MANAGE_VARIABLES)
def create(request: Request, given: Given) -> Response:
    """Store a new variable."""
    return stored(
        request,
        lambda: _store(request).put(given.key.strip(), given.value, given.description or None, is_new=True),
        back=_URL,
        message=f"Variable {given.key.strip()} is stored.",
        form=lambda problem: _form(given, is_new=True, problem=problem),
    )


@router.get(f"{_URL}/{{key}}", requires=Right.MANAGE_VARIABLES)
def edit(request: Request, key: str) -> Response:
    """Show the form of a variable, without its value."""
    # Not checked: commands may store longer descriptions than the form accepts.
    given = VariableForm.model_construct(key=key, description=_description(request, key))
    return show_form(request, _form(given, is_new=False))


@router.post(f"{_URL}/{{key}}", requires=Right.MANAGE_VARIABLES)
def change(request: Request, key: str, given: Given) -> Response:
    """Set a variable."""
    _description(request, key)
    kept = given.model_copy(update={"key": key})
    return stored(
        request,
        lambda: _store(request).put(key, kept.value, kept.description),
        back=_URL,
        message=f"Variable {key} is stored.",
        form=lambda problem: _form(kept, is_new=False, problem=problem),
    )


@router.post(f"{_URL}/{{key}}/delete", requires=Right.MANAGE_VARIABLES)
def delete(request: Request, key: str) -> Response:
    """Delete a variable."""
    _store(request).delete(key)
    return redirect(request, _URL, f"Variable {key} was deleted.")


def _store(request: Request) -> VariableStore:
    return VariableStore(context_of(request).database, cipher(request))


def _keys(request: Request) -> list[tuple[str, str | None]]:
    return _store(request).keys()


def _description(request: Request, key: str) -> str:
    known = dict(_keys(request))
    if key not in known:
        raise NotFound("variable", key, [(one, _address(one)) for one in known])
    return known[key] or ""


def _form(given: VariableForm, *, is_new: bool, problem: str = "") -> FormView:
    return FormView(
        title="New variable" if is_new else given.key,
        url=f"{_URL}/new" if is_new else _address(given.key),
        parent=("Variables", _URL),
        problem=problem,
        note="" if is_new else "The stored value is never shown. Saving the form replaces it.",
        fields=(
            FormField(name="key", label="Name", value=given.key, is_required=True, is_fixed=not is_new),
            FormField(name="value", label="Value", kind="textarea", is_required=True, help="Stored encrypted."),
            FormField(name="description", label="Description", value=given.description),
        ),
        actions=() if is_new else (_deletion(given.key),),
    )


def _deletion(key: str) -> RowAction:
    return RowAction(text="Delete", url=f"{_address(key)}/delete", question=f"DAGs that read {key} will fail.")


def _address(key: str) -> str:
    return f"{_URL}/{quote(key, safe='')}"
