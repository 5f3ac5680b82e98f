"""Which errors of a database are worth another try, and how they are told."""

import sqlite3
from enum import Enum, auto

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError

from elastic.core.errors import ElasticError
from elastic.db.errors import DatabaseBusyError, DatabaseError, DatabaseUnavailableError
from elastic.db.url import shown, without_password

#: PostgreSQL: serialisation failure, deadlock. MySQL: deadlock, record changed since it was read.
_LOST_RACE = {"40001", "40P01", 1213, 1020}
#: PostgreSQL: lock not available. MySQL: lock wait timeout.
_LOCKED = {"55P03", 1205}
#: PostgreSQL: shutting down, crashed, starting up, too many clients.
_AWAY = {"57P01", "57P02", "57P03", "53300", 1040, 1053, 1927, 2002, 2003, 2006, 2013}


class RetryReason(Enum):
    """Why a transaction did not happen, or may not have happened."""

    #: others were faster: nothing was written
    RACE = auto()
    #: others held a lock for the whole timeout: nothing was written
    LOCKED = auto()
    #: the connection was lost: a commit that was under way may have happened
    AWAY = auto()


def retry_reason(error: BaseException) -> RetryReason | None:
    """Return why another try of the whole transaction may succeed, or None if it will not."""
    if isinstance(error, DisconnectionError):
        return RetryReason.AWAY
    if isinstance(error, sqlite3.OperationalError):
        return RetryReason.LOCKED if _is_busy(error) else None
    if not isinstance(error, DBAPIError):
        return None
    code = _code(error)
    if code in _LOST_RACE:
        return RetryReason.RACE
    if code in _LOCKED or _is_busy(error.orig):
        return RetryReason.LOCKED
    if error.connection_invalidated or code in _AWAY or _refused(error):
        return RetryReason.AWAY
    return None


def user_error(error: BaseException, url: URL, timeout: float) -> ElasticError:
    """Return what a user is told about an error of the database; `timeout` is in seconds."""
    outage = retry_reason(error)
    if outage in (RetryReason.LOCKED, RetryReason.RACE):
        return DatabaseBusyError(shown(url), timeout)
    reason = without_password(str(getattr(error, "orig", None) or error), url)
    if outage is RetryReason.AWAY or isinstance(error, OperationalError | InterfaceError | sqlite3.OperationalError):
        return DatabaseUnavailableError(shown(url), reason)
    return DatabaseError(f"the database {shown(url)} refused a statement ({reason}); nothing of it was kept.")


def _code(error: DBAPIError) -> str | int | None:
    original = error.orig
    first = original.args[0] if original is not None and original.args else None
    if isinstance(first, int):
        # MySQL's own number; its state is the same for most errors.
        return first
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


def _is_busy(error: BaseException | None) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _refused(error: DBAPIError) -> bool:
    """Say whether a server is not there at all; psycopg gives no code for that."""
    original = error.orig
    if type(original).__module__.partition(".")[0] != "psycopg" or getattr(original, "sqlstate", None):
        return False
    return isinstance(error, OperationalError)
