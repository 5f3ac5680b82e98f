"""`elastic connections`: addresses and credentials of other systems."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, Yes, confirm, print_list
from elastic.cli.printing.output import say
from elastic.core.errors import UsageError

if TYPE_CHECKING:
    from elastic.db.stores.connections import ConnectionStore
    from elastic.hooks.connection import Connection

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Manage and test connections to other systems.")

_COLUMNS = ("conn_id", "kind", "host", "port", "login", "schema", "source")

_PREFIX = "ELASTIC_CONN_"

ConnId = Annotated[str, typer.Argument(help="The id of the connection.")]


@app.callback()
def connection_commands() -> None:
    """Manage and test connections to other systems.

    A variable ELASTIC_CONN_<ID> overrides the connection of the same id in the database.
    """


@app.command("list", epilog="For example: elastic connections list -o json")
def list_connections(output: ListOutput = ListFormat.TABLE) -> None:
    """List the connections, without their secrets."""
    rows = [_row(connection, "environment") for connection in _of_environment()]
    rows += [_row(connection, "database") for connection in _store().all()]
    print_list(_COLUMNS, sorted(rows, key=lambda row: str(row["conn_id"])), output, empty="no connections")


@app.command("get", epilog="For example: elastic connections get warehouse --show-secrets")
def get(
    conn_id: ConnId,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print the password in plain text.")] = False,
) -> None:
    """Show the URL of a connection."""
    connection = _found(conn_id)
    say(connection.url if show_secrets else connection.masked_url)


@app.command("add", epilog="For example: elastic connections add warehouse --url - < warehouse.url")
def add(
    conn_id: ConnId,
    url: Annotated[str, typer.Option("--url", help="kind://login:password@host:port/schema; - for stdin.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="postgresql, mysql, sqlite, smtp and so on.")] = "",
    host: Annotated[str, typer.Option("--host", help="Host name or address.")] = "",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for the default of the kind.")] = 0,
    login: Annotated[str, typer.Option("--login", help="User name.")] = "",
    schema: Annotated[str, typer.Option("--schema", help="Name of the database, or path of its file.")] = "",
    extra: Annotated[str, typer.Option("--extra", help="Further settings, as a JSON object.")] = "",
    ask_password: Annotated[bool, typer.Option("--ask-password", help="Ask for the password.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing connection.")] = False,
) -> None:
    """Store a connection, with its password encrypted.

    Other users of this machine can read command lines: pass a password with `--url -` or `--ask-password`.
    """
    from dataclasses import replace

    from elastic.hooks.connection import Connection

    if bool(url) == bool(kind):
        raise UsageError(f"connection {conn_id!r} needs either --url or --kind; give one of them.")
    if url:
        given = Connection.of_url(sys.stdin.readline().strip() if url == "-" else url, conn_id)
    else:
        given = Connection(
            conn_id=conn_id,
            kind=kind,
            host=host or None,
            port=port or None,
            login=login or None,
            schema=schema or None,
            extra=_extra(extra),
        )
    if ask_password:
        given = replace(given, password=typer.prompt("Password", hide_input=True, err=True))
    _store().add(given, overwrite=overwrite)
    say(f"connection {given} is stored")


@app.command("delete", epilog="For example: elastic connections delete warehouse -y")
def delete(conn_id: ConnId, yes: Yes = False) -> None:
    """Delete a connection."""
    store = _store()
    confirm(f"Delete connection {conn_id!r}?", yes=yes)
    store.delete(conn_id)
    say(f"connection {conn_id!r} was deleted")


@app.command("test", epilog="For example: elastic connections test warehouse")
def test(conn_id: ConnId) -> None:
    """Test whether the other system answers; exit with 1 if it does not."""
    from elastic.hooks.registry import hook_of

    answer = hook_of(_found(conn_id)).test_connection()
    say(answer.message, err=not answer.ok)
    raise typer.Exit(0 if answer.ok else 1)


@app.command("export", epilog="For example: elastic connections export connections.json")
def export(path: Annotated[Path, typer.Argument(help="A .json or .yaml file, readable only by you.")]) -> None:
    """Write all connections of the database to a file, with their passwords in plain text."""
    from elastic.cli.admin.import_export import write_document

    store = _store()
    urls = {connection.conn_id: store.get(connection.conn_id).url for connection in store.all()}
    write_document(path, urls)
    say(f"{len(urls)} connections are in {path}, with their passwords in plain text: keep it safe or delete it")


@app.command("import", epilog="For example: elastic connections import connections.json --overwrite")
def import_connections(
    path: Annotated[
        Path, typer.Argument(help="A .json or .yaml file that maps ids to URLs or to fields, also one of Airflow.")
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing connections.")] = False,
) -> None:
    """Import all connections of a file, or none if one is invalid.

    The file is one of `elastic connections export`, or of `airflow connections export`.
    """
    from elastic.cli.admin.import_export import read_document
    from elastic.cli.admin.imported_connections import imported_connection

    read = [imported_connection(conn_id, value, path) for conn_id, value in read_document(path).items()]
    _store().add_all(read, overwrite=overwrite)
    say(f"{len(read)} connections are stored")


def _store() -> "ConnectionStore":
    from elastic.config.settings import read_settings
    from elastic.db.encryption import cipher_of
    from elastic.db.open_database import open_database
    from elastic.db.stores.connections import ConnectionStore

    settings = read_settings()
    return ConnectionStore(open_database(settings), cipher_of(settings))


def _of_environment() -> "list[Connection]":
    from elastic.hooks.connection import Connection

    given = {name: url for name, url in os.environ.items() if name.startswith(_PREFIX) and url}
    return [Connection.of_url(url, name.removeprefix(_PREFIX).lower()) for name, url in given.items()]


def _found(conn_id: str) -> "Connection":
    from elastic.hooks.connection_lookup import connection
    from elastic.hooks.errors import ConnectionNotDefinedError

    try:
        return connection(conn_id)
    except ConnectionNotDefinedError as error:
        raise UsageError(str(error)) from error


def _row(connection: "Connection", source: str) -> dict[str, Any]:
    return {**{name: getattr(connection, name) for name in _COLUMNS[:-1]}, "source": source}


def _extra(text: str) -> dict[str, Any]:
    import json

    try:
        read = json.loads(text or "{}")
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise UsageError('--extra must be a JSON object, such as {"sslmode": "require"}.')
    return read
