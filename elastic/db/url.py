"""Database URLs: drivers by name, and masked forms for messages."""

from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from elastic.core.errors import UsageError
from elastic.core.optional import missing_package
from elastic.core.redaction import masked_url, problem_of

_ADVICE = "write it like sqlite:////path/elastic.db or postgresql://login:password@host/name"

#: SQLAlchemy driver, its module, and the extra that installs it, by URL scheme.
_DRIVERS = {
    "postgres": ("postgresql+psycopg", "psycopg", "postgres"),
    "postgresql": ("postgresql+psycopg", "psycopg", "postgres"),
    "postgresql+psycopg": ("postgresql+psycopg", "psycopg", "postgres"),
    "mysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mysql+pymysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb+pymysql": ("mysql+pymysql", "pymysql", "mysql"),
    "sqlite": ("sqlite", "sqlite3", ""),
}


def read_url(text: str) -> URL:
    """Return the URL of a database with the driver that Elastic uses.

    Raises:
        UsageError: The URL is invalid, names an unsupported database, or its driver is not installed. The message
            shows it without its password.
    """
    problem = problem_of(text)
    if problem:
        raise UsageError(f"database.url ({masked_url(text)}) {problem}.")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The message omits the URL, because an invalid URL may contain a password anywhere.
        raise UsageError(f"database.url cannot be read; {_ADVICE}.") from None
    known = _DRIVERS.get(url.drivername)
    if known is None:
        raise UsageError(f"database.url names {url.drivername!r}, which Elastic does not keep its state in; {_ADVICE}.")
    driver, module, extra = known
    if find_spec(module) is None:
        raise UsageError(missing_package(f"the database {shown(url)}", module, extra))
    return url.set(drivername=driver)


def shown(url: URL) -> str:
    """Return a URL without its password and its query, for logs and messages."""
    return url.set(query={}).render_as_string(hide_password=True)


def without_password(text: str, url: URL) -> str:
    """Return a driver's message as one line, with the password of the URL masked."""
    line = " ".join(text.split())
    secret = url.password
    return line.replace(str(secret), "***") if secret else line
