"""From settings to the database that they name."""

from functools import cache

from elastic.config.settings import Settings, read_settings
from elastic.db.database import Database
from elastic.db.migration.upgrade import create_or_check


def database_of(settings: Settings) -> Database:
    """Return the database that settings name. Nothing is opened.

    Raises:
        UsageError: Its URL cannot be read, or its driver is not installed.
    """
    timeout, patience = settings.get("database.timeout"), settings.get("database.patience")
    return Database(settings.text("database.url"), timeout=timeout, patience=patience)


def open_database(settings: Settings | None = None) -> Database:
    """Return the database that settings name, ready for use: SQLite's is made if there is none.

    A process has one for each URL, with one set of connections.

    Args:
        settings: Those of this process by default.

    Raises:
        DatabaseError: It is away, locked, of another version, or has no tables.
        UsageError: The settings cannot stand as they are.
    """
    settings = settings or read_settings()
    return _opened(settings.text("database.url"), settings.get("database.timeout"), settings.get("database.patience"))


@cache
def _opened(url: str, timeout: float, patience: float) -> Database:
    database = Database(url, timeout=timeout, patience=patience)
    try:
        create_or_check(database)
    except BaseException:
        database.close()
        raise
    return database
