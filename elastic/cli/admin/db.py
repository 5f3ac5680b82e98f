"""`elastic db`: the metadata database and the keys of its secrets."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.printing.listing import Yes, confirm
from elastic.cli.printing.output import say

if TYPE_CHECKING:
    from elastic.config.settings import Settings
    from elastic.db.database import Database

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Manage the metadata database.")


INITDB_EXAMPLE = "For example: elastic initdb"


@app.callback()
def database_commands() -> None:
    """Manage the metadata database and the keys that encrypt its secrets."""


@app.command("migrate", epilog="For example: elastic db migrate")
def migrate() -> None:
    """Create the tables, or upgrade them to this version."""
    from elastic.db.migration.revisions import HEAD
    from elastic.db.migration.upgrade import migrate as migrated

    with closing(_database()) as database:
        before = migrated(database)
    if before == HEAD:
        say(f"{database.url} already has version {HEAD}")
    else:
        say(f"{database.url} now has version {HEAD} (before: {before or 'empty'})")


@app.command("check", epilog="For example: elastic db check")
def check() -> None:
    """Check that the database answers and has this version."""
    from elastic.db.migration.revisions import HEAD
    from elastic.db.migration.upgrade import check as checked

    with closing(_database()) as database:
        checked(database)
    say(f"{database.url} answers and has version {HEAD}")


@app.command("reset", epilog="For example: elastic db reset -y")
def reset(yes: Yes = False) -> None:
    """Drop and recreate all tables. This deletes all runs, connections and variables."""
    from elastic.db.migration.upgrade import reset as reset_all

    with closing(_database()) as database:
        confirm(f"Delete everything in {database.url}?", yes=yes)
        reset_all(database)
    say(f"{database.url} is empty")


def initdb(yes: Yes = False) -> None:
    """Drop and recreate all tables of the metadata database, after asking; the same as `elastic db reset`."""
    reset(yes)


@app.command("downgrade", epilog="For example: elastic db downgrade --to-revision base -y")
def downgrade(
    revision: Annotated[str, typer.Option("-r", "--to-revision", help="Target version; `base` drops all tables.")],
    yes: Yes = False,
) -> None:
    """Downgrade the tables to an older version."""
    from elastic.db.migration.upgrade import downgrade as downgraded

    with closing(_database()) as database:
        confirm(
            f"Downgrade {database.url} to version {revision}, and delete data that it cannot hold?",
            yes=yes,
        )
        downgraded(database, revision)
    say(f"{database.url} now has version {revision}")


@app.command("clean", epilog="For example: elastic db clean --before 2026-01-01 --dry-run")
def clean(
    before: Annotated[str, typer.Option("--before", help="Delete runs of earlier logical dates: YYYY-MM-DD, UTC.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows.")] = False,
    yes: Yes = False,
) -> None:
    """Delete old finished runs and all their data."""
    from elastic.cli.dags.dag_options import read_date
    from elastic.db.open_database import open_database
    from elastic.db.retention import clean as cleaned
    from elastic.db.retention import countable

    date = read_date(before)
    database = open_database()
    counts = countable(database, date)
    if not dry_run and any(counts.values()):
        listed = ", ".join(f"{count} of {table}" for table, count in counts.items() if count)
        confirm(f"Remove from {database.url}: {listed}?", yes=yes)
        counts = cleaned(database, date)
    for table, count in counts.items():
        say(f"{table:<16}  {count}")


@app.command("shell", epilog="For example: elastic db shell")
def shell() -> None:
    """Open the shell of the database: sqlite3, psql or mariadb."""
    from elastic.db.shell import open_shell

    open_shell(_settings().text("database.url"))


@app.command("make-key", epilog="For example: elastic db make-key")
def make_key() -> None:
    """Add a new key at the head of the key file. Older keys stay, to decrypt existing secrets."""
    from elastic.db.encryption import add_key

    path = _key_file(_settings())
    count = add_key(path)
    advice = "" if count == 1 else "; run `elastic db rotate-key` to encrypt existing secrets with the new one"
    say(f"{path} holds {count} {'key' if count == 1 else 'keys'}{advice}")


@app.command("rotate-key", epilog="For example: elastic db rotate-key --drop-old")
def rotate_key(
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Then remove the older keys from the key file.")] = False,
) -> None:
    """Encrypt all connections and variables with the newest key."""
    from elastic.db.encryption import cipher_of, keep_first_key
    from elastic.db.open_database import open_database
    from elastic.db.stores.connections import ConnectionStore
    from elastic.db.stores.variables import VariableStore

    settings = _settings()
    database, cipher = open_database(settings), cipher_of(settings)
    connections = ConnectionStore(database, cipher).rotate()
    variables = VariableStore(database, cipher).rotate()
    if drop_old:
        keep_first_key(_key_file(settings))
    say(f"{connections} connections and {variables} variables are now encrypted with the newest key")


def _settings() -> "Settings":
    from elastic.config.settings import read_settings

    return read_settings()


def _database() -> "Database":
    """Return the database without a version check, because these commands also work on other versions."""
    from elastic.db.open_database import database_of

    return database_of(_settings())


def _key_file(settings: "Settings") -> Path:
    from elastic.core.errors import UsageError
    from elastic.db.encryption import key_path

    if settings.text("secrets.fernet_key"):
        source = settings.source("secrets.fernet_key")
        raise UsageError(f"the keys come from {source}, not from a key file. Put the new key there yourself.")
    return key_path(settings)
