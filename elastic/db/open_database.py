"""Open the database that the settings name."""

from functools import cache

from elastic.config.settings import Settings, read_settings
from elastic.db.database import Database
from elastic.db.migration.upgrade import create_or_check

#: Seconds that pages wait: for an unavailable database, for a statement, and for the writer of a SQLite file.
_HASTY_PATIENCE, _HASTY_STATEMENT, _HASTY_LOCK = 2.0, 5.0, 5.0


def database_of(settings: Settings) -> Database:
    """Return the database that settings name without connecting.

    Raises:
        UsageError: The URL is invalid, or its driver is not installed.
    """
    timeout, patience = settings.get("database.timeout"), settings.get("database.patience")
    return Database(settings.text("database.url"), timeout=timeout, patience=patience)


def hasty_database(settings: Settings) -> Database:
    """Return the database for the web server from settings, without connecting.

    It gives up after a few seconds, so that requests do not pile up while the database is unavailable.

    Raises:
        UsageError: The URL is invalid, or its driver is not installed.
    """
    url, timeout = settings.text("database.url"), settings.get("database.timeout")
    if url.startswith("sqlite"):
        return Database(url, timeout=min(timeout, _HASTY_LOCK), patience=_HASTY_PATIENCE)
    return Database(
        url,
        timeout=min(timeout, _HASTY_PATIENCE),
        patience=min(settings.get("database.patience"), _HASTY_PATIENCE),
        statement_timeout=_HASTY_STATEMENT,
        connect_timeout=_HASTY_PATIENCE,
    )


def open_database(settings: Settings | None = None) -> Database:
    """Return the database that settings name, ready for use; create a missing SQLite database.

    A process has one `Database` for each URL.

    Args:
        settings: Settings; by default, those of this process.

    Raises:
        DatabaseError: The database is unavailable or locked, has another version, or has no tables.
        UsageError: The settings are invalid.
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
