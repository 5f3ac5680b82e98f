"""`elastic users`: users of the web server."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, Yes, confirm, print_list
from elastic.cli.printing.output import say
from elastic.core.errors import UsageError
from elastic.db.stores.users import Role

if TYPE_CHECKING:
    from elastic.db.stores.users import UserStore

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Manage users of the web server.")

_COLUMNS = ("username", "role", "state", "created_at", "logged_in_at")

Username = Annotated[str, typer.Argument(help="Name of the user.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
]


@app.callback()
def user_commands() -> None:
    """Manage users of the web server.

    A viewer sees everything except secrets and administration. An operator also runs, clears and pauses. An admin also
    manages connections, variables, pools and users.
    """


@app.command("list", epilog="For example: elastic users list")
def list_users(output: ListOutput = ListFormat.TABLE) -> None:
    """List the users."""
    rows: list[dict[str, Any]] = [
        {
            "username": user.username,
            "role": str(user.role),
            "state": "active" if user.is_active else "disabled",
            "created_at": f"{user.created_at:%Y-%m-%d %H:%M}",
            "logged_in_at": f"{user.logged_in_at:%Y-%m-%d %H:%M}" if user.logged_in_at else None,
        }
        for user in _store().all()
    ]
    print_list(_COLUMNS, rows, output, empty="no users; `elastic users create NAME --role admin` creates one")


@app.command("create", epilog="For example: elastic users create ada --role operator")
def create(
    username: Username,
    role: Annotated[Role, typer.Option("--role", help="Role of the user.")] = Role.VIEWER,
    password_stdin: FromStdin = False,
) -> None:
    """Create a user."""
    from elastic.web.security.passwords import hash_password

    store = _store()
    store.create(username, role, hash_password(_password(username, from_stdin=password_stdin)))
    say(f"created user {username!r} with the role {role}")


@app.command("password", epilog="For example: elastic users password ada")
def password(username: Username, password_stdin: FromStdin = False) -> None:
    """Set the password of a user, which ends the sessions of the user."""
    from elastic.web.security.passwords import hash_password

    store = _store()
    store.get(username)
    store.change(username, password_hash=hash_password(_password(username, from_stdin=password_stdin)))
    say(f"user {username!r} has a new password, and must log in again")


@app.command("role", epilog="For example: elastic users role ada admin")
def role(username: Username, new_role: Annotated[Role, typer.Argument(metavar="ROLE", help="New role.")]) -> None:
    """Set the role of a user, which ends the sessions of the user."""
    _store().change(username, role=new_role)
    say(f"user {username!r} is a {new_role} now")


@app.command("disable", epilog="For example: elastic users disable ada")
def disable(username: Username) -> None:
    """Disable a user: sessions end, and API tokens stop working."""
    _store().change(username, is_active=False)
    say(f"user {username!r} is disabled; `elastic users enable {username}` undoes this")


@app.command("enable", epilog="For example: elastic users enable ada")
def enable(username: Username) -> None:
    """Enable a disabled user."""
    _store().change(username, is_active=True)
    say(f"user {username!r} may log in again")


@app.command("delete", epilog="For example: elastic users delete ada -y")
def delete(username: Username, yes: Yes = False) -> None:
    """Delete a user with all sessions and API tokens."""
    store = _store()
    store.get(username)
    confirm(f"Delete user {username!r}?", yes=yes)
    store.delete(username)
    say(f"deleted user {username!r}")


def _store() -> "UserStore":
    from elastic.db.open_database import open_database
    from elastic.db.stores.users import UserStore

    return UserStore(open_database())


def _password(username: str, *, from_stdin: bool) -> str:
    from elastic.web.security.passwords import check_password

    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise UsageError("cannot ask for the password without a terminal; pass it with --password-stdin.")
    return check_password(username, str(given))
