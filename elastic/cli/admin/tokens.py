"""`elastic tokens`: API tokens of programs."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, print_list
from elastic.cli.printing.output import print_value, say
from elastic.db.stores.users import Role

if TYPE_CHECKING:
    from elastic.db.stores.api_tokens import ApiTokenStore

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Manage API tokens of programs.")

_COLUMNS = ("id", "name", "username", "role", "created_at", "used_at", "expires_at")


@app.callback()
def token_commands() -> None:
    """Manage API tokens: a program sends one in the header `Authorization: Bearer` to /api/v1."""


@app.command("create", epilog="For example: elastic tokens create nightly-check --user ada --days 30")
def create(
    name: Annotated[str, typer.Argument(help="Name of the program that uses the token.")],
    username: Annotated[str, typer.Option("--user", help="User on whose behalf the program acts.")],
    role: Annotated[
        Role, typer.Option("--role", help="Role of the token; it never has more rights than its user.")
    ] = Role.VIEWER,
    days: Annotated[
        int, typer.Option("--days", min=0, max=3650, help="Days until the token expires; 0 for never.")
    ] = 90,
) -> None:
    """Create a token and print it once; Elastic stores only the hash."""
    from elastic.web.security.tokens import new_token

    secret, time = new_token(), dt.datetime.now(dt.UTC)
    expires_at = time + dt.timedelta(days=days) if days else None
    _store().add(secret, username, name=name, role=role, time=time, expires_at=expires_at)
    say(f"the token of {username!r} follows; it is not shown again", err=True)
    print_value(secret)


@app.command("list", epilog="For example: elastic tokens list")
def list_tokens(output: ListOutput = ListFormat.TABLE) -> None:
    """List the tokens without their secrets."""
    rows: list[dict[str, Any]] = [{name: _shown(getattr(token, name)) for name in _COLUMNS} for token in _store().all()]
    print_list(_COLUMNS, rows, output, empty="no tokens", numbers=("id",))


@app.command("revoke", epilog="For example: elastic tokens revoke 3")
def revoke(
    token_id: Annotated[int, typer.Argument(metavar="ID", help="Id of the token; `elastic tokens list` shows it.")],
) -> None:
    """Revoke a token at once."""
    _store().revoke(token_id)
    say(f"revoked token {token_id}")


def _store() -> "ApiTokenStore":
    from elastic.db.open_database import open_database
    from elastic.db.stores.api_tokens import ApiTokenStore

    return ApiTokenStore(open_database())


def _shown(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, dt.datetime) else value
