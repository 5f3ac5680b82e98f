"""`elastic variables`: values that DAGs read by name."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, Yes, confirm, print_list
from elastic.cli.printing.output import print_value, say
from elastic.core.errors import UsageError

if TYPE_CHECKING:
    from elastic.db.stores.variables import VariableStore

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Manage variables that DAGs read by name.")

VariableKey = Annotated[str, typer.Argument(help="The name of the variable.")]


@app.callback()
def variable_commands() -> None:
    """Manage variables that DAGs read by name.

    A variable ELASTIC_VAR_<KEY> of the environment overrides the one in the database.
    """


@app.command("list", epilog="For example: elastic variables list -o plain")
def list_variables(output: ListOutput = ListFormat.TABLE) -> None:
    """List the names of the variables; `get` prints a value."""
    rows = [{"key": key, "description": description} for key, description in _store().keys()]  # noqa: SIM118 - no dict
    print_list(("key", "description"), rows, output, empty="no variables")


@app.command("get", epilog="For example: elastic variables get bucket --default data")
def get(
    key: VariableKey,
    default: Annotated[str | None, typer.Option("--default", help="Value to print if the variable is missing.")] = None,
) -> None:
    """Print the value of a variable."""
    from elastic.db.lookup import variable_of_environment

    value = variable_of_environment(key)
    if value is None:
        found = _store().find(key)
        value = default if found is None else found.value
    print_value(_store().get(key).value if value is None else value)


@app.command("set", epilog="For example: elastic variables set bucket data --description 'bucket of the event files'")
def set_variable(
    key: VariableKey,
    value: Annotated[str, typer.Argument(help="The value; - reads it from stdin, so that it is on no command line.")],
    description: Annotated[str | None, typer.Option("--description", help="Purpose of the variable.")] = None,
) -> None:
    """Store a variable, encrypted."""
    _store().put(key, sys.stdin.read().rstrip("\r\n") if value == "-" else value, description)
    say(f"variable {key!r} is stored")


@app.command("delete", epilog="For example: elastic variables delete bucket -y")
def delete(key: VariableKey, yes: Yes = False) -> None:
    """Delete a variable."""
    store = _store()
    confirm(f"Delete variable {key!r}?", yes=yes)
    store.delete(key)
    say(f"variable {key!r} was deleted")


@app.command("export", epilog="For example: elastic variables export variables.json")
def export(path: Annotated[Path, typer.Argument(help="A .json or .yaml file, readable only by you.")]) -> None:
    """Write all variables of the database to a file, in plain text."""
    from elastic.cli.admin.import_export import write_document

    found = {variable.key: variable.value for variable in _store().all()}
    write_document(path, found)
    say(f"{len(found)} variables are in {path}, in plain text: keep it safe or delete it")


@app.command("import", epilog="For example: elastic variables import variables.json")
def import_variables(
    path: Annotated[Path, typer.Argument(help="A .json or .yaml file: a mapping of names.")],
) -> None:
    """Import all variables of a file, or none if one is invalid. Values that are not strings are stored as JSON."""
    from elastic.cli.admin.import_export import read_document

    try:
        values = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in read_document(path).items()
        }
    except TypeError as error:
        raise UsageError(f"{path} holds a value that is neither a string nor JSON ({error}).") from error
    _store().put_all(values)
    say(f"{len(values)} variables are stored")


def _store() -> "VariableStore":
    from elastic.config.settings import read_settings
    from elastic.db.encryption import cipher_of
    from elastic.db.open_database import open_database
    from elastic.db.stores.variables import VariableStore

    settings = read_settings()
    return VariableStore(open_database(settings), cipher_of(settings))
