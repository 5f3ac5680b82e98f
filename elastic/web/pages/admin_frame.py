"""Shared parts of the administration pages: tables, forms, and the responses to forms."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.db.encryption import Cipher, cipher_of
from elastic.db.errors import SecretError
from elastic.web.context import context_of
from elastic.web.errors import sentence_of
from elastic.web.flash import redirect
from elastic.web.rendering import identity_of, render
from elastic.web.sections import tabs_of
from elastic.web.views.tables import FormView, TableView


def show_table(request: Request, view: TableView) -> Response:
    """Return a page with a table."""
    return render(request, "table.html", view=view, tabs=_tabs(request, view.url))


def show_form(request: Request, view: FormView, status: int = 200) -> Response:
    """Return a page with a form."""
    return render(request, "form.html", status, view=view, tabs=_tabs(request, view.parent[1]))


def stored(
    request: Request, store: Callable[[], None], *, back: str, message: str, form: Callable[[str], FormView]
) -> Response:
    """Store the values of a form and redirect to the list; show a refused form again with the typed values.

    Args:
        request: The request.
        store: Stores the values.
        back: URL of the list.
        message: Message that the list shows once.
        form: Returns the form with an error.
    """
    try:
        store()
    except (UsageError, SecretError) as error:
        return show_form(request, form(sentence_of(error)), 400)
    return redirect(request, back, message)


def cipher(request: Request) -> Cipher:
    """Return the cipher of stored secrets."""
    return cipher_of(context_of(request).settings)


def _tabs(request: Request, url: str) -> list[tuple[str, str, bool]]:
    identity = identity_of(request)
    return tabs_of(url, identity, request.app.state.addresses) if identity else []
