"""The tables themselves: made, checked, moved to another version, emptied."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from elastic.core.errors import UsageError
from elastic.db.database import Database
from elastic.db.errors import DatabaseVersionError
from elastic.db.migration.revisions import HEAD, REVISIONS
from elastic.db.schema import metadata, pool
from elastic.db.schema.jobs import DEFAULT_POOL, DEFAULT_SLOTS

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))

#: Any number: all versions of Elastic must agree on it.
_LOCK = 5_041_962


def version_of(database: Database) -> str | None:
    """Return the version of the tables, or None if there are none."""
    return database.query(_found)


def create_or_check(database: Database) -> None:
    """Make the tables of a SQLite database that has none; else see to it that they are of this version.

    Raises:
        DatabaseVersionError: The tables are missing, older or newer; the text says what to do.
    """
    found = version_of(database)
    if found is None and database.is_sqlite:
        create(database)
    else:
        check_version(database, found)


def check(database: Database) -> None:
    """See to it that the tables are of this version.

    Raises:
        DatabaseVersionError: They are not; the text says what to do.
    """
    check_version(database, version_of(database))


def check_version(database: Database, found: str | None) -> None:
    """Do what `check` does, with a version that was read before."""
    if found == HEAD:
        return
    if found is None:
        raise DatabaseVersionError(database.url, "has no tables yet", f"version {HEAD}", "run `elastic db migrate`")
    if found in REVISIONS:
        raise DatabaseVersionError(
            database.url, f"is of the older version {found}", f"version {HEAD}", "run `elastic db migrate`"
        )
    raise DatabaseVersionError(
        database.url,
        f"is of the newer version {found}",
        f"version {HEAD}",
        "use the newer Elastic, or another database",
    )


def create(database: Database) -> None:
    """Make all tables at once, unless they are there: what `migrate` comes to in an empty database, but faster."""
    with database.begin() as connection, _alone(connection):
        if _found(connection) is None:
            metadata.create_all(connection)
            _version.create(connection, checkfirst=True)
            connection.execute(_version.insert().values(version_num=HEAD))
            fill(connection)


def fill(connection: Connection) -> None:
    """Write the rows that every database has."""
    if connection.execute(select(pool.c.pool).where(pool.c.pool == DEFAULT_POOL)).one_or_none() is None:
        connection.execute(
            pool.insert().values(pool=DEFAULT_POOL, slots=DEFAULT_SLOTS, description="of tasks that name none")
        )


def migrate(database: Database) -> str | None:
    """Bring the tables to this version, and return the version they had.

    Raises:
        DatabaseVersionError: They are of a newer version.
    """
    found = version_of(database)
    if found is None:
        create(database)
    elif found not in REVISIONS:
        check_version(database, found)
    elif found != HEAD:
        _alembic(database, "upgrade", HEAD)
    return found


def downgrade(database: Database, revision: str) -> None:
    """Bring the tables back to an older version; `base` removes them.

    Raises:
        UsageError: There is no such version.
        DatabaseVersionError: The tables are of a newer version than this program knows.
    """
    if revision not in (*REVISIONS, "base"):
        raise UsageError(f"there is no version {revision!r}; choose one of base, {', '.join(REVISIONS)}.")
    found = version_of(database)
    if found is not None and found not in REVISIONS:
        check_version(database, found)
    if found is not None:
        _alembic(database, "downgrade", revision)


def reset(database: Database) -> None:
    """Remove all tables of Elastic and make them anew, empty."""
    with database.begin() as connection, _alone(connection):
        metadata.drop_all(connection)
        _version.drop(connection, checkfirst=True)
    create(database)


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Let one process at a time change tables; SQLite's transactions see to that themselves."""
    name = connection.dialect.name
    if name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield
    elif name in ("mysql", "mariadb"):
        connection.execute(text("SELECT GET_LOCK(:lock, 60)"), {"lock": f"elastic_{_LOCK}"})
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:lock)"), {"lock": f"elastic_{_LOCK}"})
    else:
        yield


def _alembic(database: Database, command: str, revision: str) -> None:
    from alembic import command as commands

    with database.begin() as connection, _alone(connection):
        getattr(commands, command)(configuration(connection), revision)


def configuration(connection: Connection) -> Any:
    """Return what Alembic's commands need to work on a connection."""
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", "elastic.db:migration")
    configuration.attributes["connection"] = connection
    return configuration
