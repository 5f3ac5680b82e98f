"""Metadata database: runs whole transactions, and retries them where that is safe."""

import logging
import os
import random
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Pool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from elastic.core.backoff import Backoff
from elastic.db import sqlite
from elastic.db.errors import DatabaseError
from elastic.db.retryable_errors import RetryReason, retry_reason, user_error
from elastic.db.url import read_url, shown

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Delays between retries.
_BACKOFF = Backoff(first=0.05, longest=2.0)

_BEGIN = "elastic_begin"

#: Seconds after which a PostgreSQL server that does not acknowledge data counts as lost, also during a statement.
_SILENT_SECONDS = 30.0

#: A connection to PostgreSQL is probed after it was silent for 10 s, and is lost after 20 s without an answer.
_POSTGRES_PROBES = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}

#: Connections of one process beyond the five that stay open: one for each writing thread.
_MAX_OVERFLOW_CONNECTIONS = 60


class Database:
    """Connection pool of a metadata database. It connects on first use, is thread-safe, and survives a fork.

    Transactions are functions of a connection, passed to `write` or `query`. The database runs them as a whole, and
    again after a conflict with other transactions or a lost connection.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        patience: float = 30.0,
        statement_timeout: float | None = 120.0,
        connect_timeout: float = 10.0,
    ) -> None:
        """Create a database object without connecting.

        Args:
            url: A URL such as `sqlite:////path/elastic.db` or `postgresql://login:password@host/name`.
            timeout: Seconds to wait for a lock of another transaction.
            patience: Seconds of retries while a database that once answered is unavailable.
            statement_timeout: Seconds that a server may take to answer a statement, at least twice `timeout`; None for
                no limit.
            connect_timeout: Seconds to wait for a connection to a server, at least 2.

        Raises:
            UsageError: The URL is invalid, or its driver is not installed.
        """
        self._url = read_url(url)
        self._timeout, self._patience = timeout, patience
        # A statement may wait for a lock during the whole of `timeout`.
        self._statement_timeout = None if statement_timeout is None else max(statement_timeout, 2 * timeout)
        self._connect_timeout = max(2, int(connect_timeout))
        self._has_answered = False
        #: transactions that were tried again
        self.retries = 0
        #: pools of a parent process, kept so that this process does not close the parent's connections
        self._inherited: list[Pool] = []
        self._path = Path(self._url.database or "").absolute() if self._url.drivername == "sqlite" else None
        self.engine: Engine = self._create_engine()
        self._writer = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        _databases.add(self)

    @property
    def url(self) -> str:
        """The URL without its password."""
        return shown(self._url)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return self._path is not None

    @property
    def path(self) -> Path | None:
        """The SQLite file; None for other databases."""
        return self._path

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a write transaction; an error rolls it back without a retry.

        Raises:
            DatabaseError: The database is unavailable or locked, or refused a statement.
        """
        with self._user_errors(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only transaction.

        Raises:
            DatabaseError: The database is unavailable or locked, or refused a statement.
        """
        with self._user_errors(), self.engine.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection, bool], T]) -> T:
        """Run a write transaction, with retries.

        Args:
            work: Receives the connection, and whether an earlier try may have been committed although its reply was
                lost. In that case it must look for its own changes before it reports that another process won.

        Raises:
            DatabaseError: The database stayed unavailable or locked. As far as is known, nothing was written.
        """
        return self._with_retries(self._writer, work)

    def query(self, work: Callable[[Connection], T]) -> T:
        """Run a read-only transaction, with retries.

        Raises:
            DatabaseError: The database stayed unavailable or locked.
        """
        return self._with_retries(self.engine, lambda connection, _: work(connection))

    @contextmanager
    def unlimited(self) -> Iterator["Database"]:
        """Open a second pool of the same database whose statements may take any time, such as those of migrations."""
        url = self._url.render_as_string(hide_password=False)
        database = Database(url, timeout=self._timeout, patience=self._patience, statement_timeout=None)
        try:
            yield database
        finally:
            database.close()

    def close(self) -> None:
        """Close all connections. The object may be used again."""
        self.engine.dispose()

    def leave_to_parent(self) -> None:
        """Drop the inherited connections without closing them, in a process that was just forked."""
        self._inherited.append(self.engine.pool)
        self.engine.dispose(close=False)

    def __repr__(self) -> str:
        return f"<Database {self.url}>"

    def _with_retries(self, engine: Engine, work: Callable[[Connection, bool], T]) -> T:
        deadline, retries, is_uncertain = time.monotonic() + self._patience, 0, False
        while True:
            try:
                with engine.begin() as connection:
                    return work(connection, is_uncertain)
            except SQLAlchemyError as error:
                reason = retry_reason(error)
                if reason is RetryReason.AWAY:
                    is_uncertain = True
                if not self._may_retry(reason, deadline):
                    raise user_error(error, self._url, self._timeout) from error
                _log.warning("retrying the transaction on database %s (%s)", self.url, reason)
                # Jitter keeps transactions that collided once from colliding again.
                retries += 1
                self.retries += 1
                time.sleep(_BACKOFF.delay(retries) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it

    def _may_retry(self, reason: RetryReason | None, deadline: float) -> bool:
        if reason is RetryReason.AWAY and not self._has_answered:
            return False  # the address or the password is wrong, so a retry cannot help
        return reason in (RetryReason.AWAY, RetryReason.RACE) and time.monotonic() < deadline

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise user_error(error, self._url, self._timeout) from error

    def _create_engine(self) -> Engine:
        if self._path is not None:
            engine = create_engine(
                self._url, max_overflow=_MAX_OVERFLOW_CONNECTIONS, connect_args={"timeout": self._timeout}
            )
            event.listen(engine, "do_connect", self._before_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        elif self._url.drivername.startswith("mysql"):
            engine = create_engine(
                self._url,
                isolation_level="READ COMMITTED",
                pool_pre_ping=True,
                max_overflow=_MAX_OVERFLOW_CONNECTIONS,
                connect_args=self._without_those_of_the_url(
                    {
                        "init_command": f"SET innodb_lock_wait_timeout = {max(1, int(self._timeout))}",
                        "connect_timeout": self._connect_timeout,
                        "read_timeout": self._statement_timeout,
                        "write_timeout": self._statement_timeout,
                    }
                ),
            )
        else:
            limits = {"lock_timeout": self._timeout, "statement_timeout": self._statement_timeout or 0}
            options = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items())
            engine = create_engine(
                self._url,
                pool_pre_ping=True,
                max_overflow=_MAX_OVERFLOW_CONNECTIONS,
                connect_args=self._without_those_of_the_url(
                    {
                        "options": options,
                        "connect_timeout": self._connect_timeout,
                        **_POSTGRES_PROBES,
                        "tcp_user_timeout": int(
                            min(self._statement_timeout or _SILENT_SECONDS, _SILENT_SECONDS) * 1000
                        ),
                    }
                ),
            )
        event.listen(engine, "connect", self._after_connect)
        return engine

    def _without_those_of_the_url(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the driver that the user has not set in the URL."""
        own = ("options", "init_command")
        return {name: value for name, value in arguments.items() if name in own or name not in self._url.query}

    def _before_sqlite(self, *_: Any) -> None:
        assert self._path is not None  # noqa: S101 - the listener is registered for SQLite only
        sqlite.prepare_file(self._path)

    def _after_connect(self, connection: Any, _: Any) -> None:
        if self._path is not None:
            try:
                sqlite.set_up(connection, sqlite.journal_mode(self._path), self._timeout)
            except BaseException as error:
                # SQLAlchemy 2.0 drops a connection whose setup failed without closing it, which keeps the file open.
                connection.close()
                self._raise_user_error(error)
                raise
        self._has_answered = True

    def _raise_user_error(self, error: BaseException) -> None:
        if isinstance(error, sqlite3.OperationalError):
            raise user_error(error, self._url, self._timeout) from error
        if isinstance(error, sqlite3.DatabaseError):
            raise DatabaseError(
                f"{self._path} is not a database of Elastic ({error}); move it away or set database.url."
            ) from error


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


_databases: "weakref.WeakSet[Database]" = weakref.WeakSet()


def _after_fork() -> None:
    for database in list(_databases):
        database.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
