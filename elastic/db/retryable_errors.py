"""Classification of driver errors: which ones to retry, and the error to show to the user."""

import sqlite3
from enum import Enum, auto

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError

from elastic.core.errors import ElasticError
from elastic.db.errors import DatabaseBusyError, DatabaseError, DatabaseUnavailableError
from elastic.db.url import shown, without_password

#: PostgreSQL: serialization failure, deadlock. MySQL: deadlock, record changed since it was read.
_CONFLICT_CODES = {"40001", "40P01", 1213, 1020}
#: PostgreSQL: lock not available. MySQL: lock wait timeout.
_LOCKED_CODES = {"55P03", 1205}
#: PostgreSQL: shutting down, crashed, starting up, too many clients.
_AWAY_CODES = {"57P01", "57P02", "57P03", "53300", 1040, 1053, 1927, 2002, 2003, 2006, 2013}

#: PostgreSQL: statement timeout, or cancelled by an administrator.
_CANCELLED_CODES = {"57014"}


class RetryReason(Enum):
    """Reason to retry a transaction that failed or whose outcome is unknown."""

    #: conflict with another transaction; nothing was written
    RACE = auto()
    #: lock timeout; nothing was written
    LOCKED = auto()
    #: lost connection; a commit in progress may have succeeded
    AWAY = auto()


def retry_reason(error: BaseException) -> RetryReason | None:
    """Return why a retry of the whole transaction may succeed, or None if it cannot."""
    if isinstance(error, DisconnectionError):
        return RetryReason.AWAY
    if isinstance(error, sqlite3.OperationalError):
        return RetryReason.LOCKED if _is_busy(error) else None
    if not isinstance(error, DBAPIError):
        return None
    code = _code(error)
    if code in _CONFLICT_CODES:
        return RetryReason.RACE
    if code in _LOCKED_CODES or _is_busy(error.orig):
        return RetryReason.LOCKED
    if error.connection_invalidated or code in _AWAY_CODES or _is_unreachable(error):
        return RetryReason.AWAY
    return None


def user_error(error: BaseException, url: URL, timeout: float) -> ElasticError:
    """Convert a driver error into the ElasticError shown to the user; `timeout` is in seconds."""
    reason = retry_reason(error)
    if reason in (RetryReason.LOCKED, RetryReason.RACE):
        return DatabaseBusyError(shown(url), timeout)
    if isinstance(error, DBAPIError) and _code(error) in _CANCELLED_CODES:
        return DatabaseUnavailableError(shown(url), "a statement took longer than its time limit")
    message = without_password(str(getattr(error, "orig", None) or error), url)
    if reason is RetryReason.AWAY or isinstance(error, OperationalError | InterfaceError | sqlite3.OperationalError):
        return DatabaseUnavailableError(shown(url), message)
    return DatabaseError(f"the database {shown(url)} refused a statement ({message}); nothing of it was kept.")


def _code(error: DBAPIError) -> str | int | None:
    original = error.orig
    first = original.args[0] if original is not None and original.args else None
    if isinstance(first, int):
        # MySQL's error number; its SQLSTATE is the same for most errors.
        return first
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


def _is_busy(error: BaseException | None) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _is_unreachable(error: DBAPIError) -> bool:
    """Return whether psycopg could not reach the server, an error for which it has no code."""
    original = error.orig
    if type(original).__module__.partition(".")[0] != "psycopg" or getattr(original, "sqlstate", None):
        return False
    return isinstance(error, OperationalError)
