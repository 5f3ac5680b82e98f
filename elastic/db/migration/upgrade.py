"""Create, check, migrate and reset the tables."""

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

#: Id of the advisory lock; all versions of Elastic must use the same number.
_LOCK = 5_041_962


def version_of(database: Database) -> str | None:
    """Return the version of the tables, or None if there are none."""
    return database.query(_found)


def create_or_check(database: Database) -> None:
    """Create the tables of an empty SQLite database; otherwise check their version.

    Raises:
        DatabaseVersionError: The tables are missing, older or newer; the message says what to do.
    """
    found = version_of(database)
    if found is None and database.is_sqlite:
        create(database)
    else:
        check_version(database, found)


def check(database: Database) -> None:
    """Check that the tables have the required version.

    Raises:
        DatabaseVersionError: They have another version; the message says what to do.
    """
    check_version(database, version_of(database))


def check_version(database: Database, found: str | None) -> None:
    """Check a version that was read before, like `check`."""
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
    """Create all tables unless they exist. In an empty database this equals `migrate`, but is faster."""
    with database.begin() as connection, _exclusive(connection):
        if _found(connection) is None:
            metadata.create_all(connection)
            _version.create(connection, checkfirst=True)
            connection.execute(_version.insert().values(version_num=HEAD))
            insert_default_rows(connection)


def insert_default_rows(connection: Connection) -> None:
    """Insert the rows that every database has."""
    if connection.execute(select(pool.c.pool).where(pool.c.pool == DEFAULT_POOL)).one_or_none() is None:
        connection.execute(
            pool.insert().values(pool=DEFAULT_POOL, slots=DEFAULT_SLOTS, description="of tasks that name none")
        )


def migrate(database: Database) -> str | None:
    """Migrate the tables to the required version and return their old version.

    Raises:
        DatabaseVersionError: The tables have a newer version.
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
    """Migrate the tables to an older version; `base` removes them.

    Raises:
        UsageError: The version is unknown.
        DatabaseVersionError: The tables have a newer version than this program knows.
    """
    if revision not in (*REVISIONS, "base"):
        raise UsageError(f"there is no version {revision!r}; choose one of base, {', '.join(REVISIONS)}.")
    found = version_of(database)
    if found is not None and found not in REVISIONS:
        check_version(database, found)
    if found is not None:
        _alembic(database, "downgrade", revision)


def reset(database: Database) -> None:
    """Drop all tables of Elastic and create them again."""
    with database.begin() as connection, _exclusive(connection):
        metadata.drop_all(connection)
        _version.drop(connection, checkfirst=True)
    create(database)


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


@contextmanager
def _exclusive(connection: Connection) -> Iterator[None]:
    """Hold a lock so that one process at a time changes tables; SQLite's transactions are exclusive anyway."""
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

    with database.unlimited() as unlimited, unlimited.begin() as connection, _exclusive(connection):
        getattr(commands, command)(configuration(connection), revision)


def configuration(connection: Connection) -> Any:
    """Return the configuration with which Alembic's commands use a connection."""
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", "elastic.db:migration")
    configuration.attributes["connection"] = connection
    return configuration
