"""The metadata database as its users see it: whole transactions, tried again where that is safe."""

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

from elastic.db import sqlite
from elastic.db.errors import DatabaseError
from elastic.db.retryable_errors import RetryReason, retry_reason, user_error
from elastic.db.url import read_url, shown

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Seconds before the second try, and between tries at most.
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0

_BEGIN = "elastic_begin"

#: Connections of one process beyond the five that stay open: one for each thread that is writing.
_MAX_OVERFLOW_CONNECTIONS = 60


class Database:
    """A metadata database. It opens nothing until it is used, may be used by several threads, and survives a fork.

    Transactions are functions of a connection, given to `write` or `query` and run as a whole: again if the database
    refused them because of others, or went away meanwhile.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, patience: float = 30.0) -> None:
        """Name a database.

        Args:
            url: Such as `sqlite:////path/elastic.db` or `postgresql://login:password@host/name`.
            timeout: Seconds to wait for a lock that others hold.
            patience: Seconds to try again while a database that once answered is away.

        Raises:
            UsageError: The URL cannot be read, or its driver is not installed.
        """
        self._url = read_url(url)
        self._timeout, self._patience = timeout, patience
        self._has_answered = False
        #: pools of a parent process, kept so that nobody closes what the parent still uses
        self._inherited: list[Pool] = []
        self._path = Path(self._url.database or "").absolute() if self._url.drivername == "sqlite" else None
        self.engine: Engine = self._engine()
        self._writer = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        _databases.add(self)

    @property
    def url(self) -> str:
        """The URL as it may be shown."""
        return shown(self._url)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of SQLite."""
        return self._path is not None

    @property
    def path(self) -> Path | None:
        """The file, if it is SQLite."""
        return self._path

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that writes; what fails is rolled back and not tried again.

        Raises:
            DatabaseError: The database is away, locked, or refused a statement.
        """
        with self._telling(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads.

        Raises:
            DatabaseError: The database is away, locked, or refused a statement.
        """
        with self._telling(), self.engine.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection, bool], T]) -> T:
        """Run a whole transaction that writes, again if need be.

        Args:
            work: Is given the connection, and whether an earlier try of it may have been committed without our
                knowing: then it must look for its own traces before it says that others were faster.

        Raises:
            DatabaseError: The database stayed away or locked; nothing was written, as far as is known.
        """
        return self._tried(self._writer, work)

    def query(self, work: Callable[[Connection], T]) -> T:
        """Run a whole transaction that only reads, again if need be.

        Raises:
            DatabaseError: The database stayed away or locked.
        """
        return self._tried(self.engine, lambda connection, _: work(connection))

    def close(self) -> None:
        """Close all connections. The database may be used again."""
        self.engine.dispose()

    def leave_to_parent(self) -> None:
        """Forget the connections of the parent, in a process that was just forked."""
        self._inherited.append(self.engine.pool)
        self.engine.dispose(close=False)

    def __repr__(self) -> str:
        return f"<Database {self.url}>"

    def _tried(self, engine: Engine, work: Callable[[Connection, bool], T]) -> T:
        deadline, wait, unknown = time.monotonic() + self._patience, _FIRST_WAIT, False
        while True:
            try:
                with engine.begin() as connection:
                    return work(connection, unknown)
            except SQLAlchemyError as error:
                outage = retry_reason(error)
                if outage is RetryReason.AWAY:
                    unknown = True
                if not self._is_worth_waiting(outage, deadline):
                    raise user_error(error, self._url, self._timeout) from error
                _log.warning("the database %s is tried again (%s)", self.url, outage)
                # Jitter, so that those who met once do not meet again.
                time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it
                wait = min(2 * wait, _LONGEST_WAIT)

    def _is_worth_waiting(self, outage: RetryReason | None, deadline: float) -> bool:
        if outage is RetryReason.AWAY and not self._has_answered:
            return False  # the address or the password is wrong: waiting would only hide that
        return outage in (RetryReason.AWAY, RetryReason.RACE) and time.monotonic() < deadline

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise user_error(error, self._url, self._timeout) from error

    def _engine(self) -> Engine:
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
                connect_args={"init_command": f"SET innodb_lock_wait_timeout = {max(1, int(self._timeout))}"},
            )
        else:
            options = f"-c lock_timeout={int(self._timeout * 1000)}"
            engine = create_engine(
                self._url, pool_pre_ping=True, max_overflow=_MAX_OVERFLOW_CONNECTIONS, connect_args={"options": options}
            )
        event.listen(engine, "connect", self._after_connect)
        return engine

    def _before_sqlite(self, *_: Any) -> None:
        assert self._path is not None  # noqa: S101 - listened to for SQLite only
        sqlite.prepare_file(self._path)

    def _after_connect(self, connection: Any, _: Any) -> None:
        if self._path is not None:
            try:
                sqlite.set_up(connection, sqlite.journal_mode(self._path), self._timeout)
            except BaseException as error:
                # SQLAlchemy 2.0 forgets a connection that cannot be set up, which goes on to hold the file.
                connection.close()
                self._tell_sqlite(error)
                raise
        self._has_answered = True

    def _tell_sqlite(self, error: BaseException) -> None:
        if isinstance(error, sqlite3.OperationalError):
            raise user_error(error, self._url, self._timeout) from error
        if isinstance(error, sqlite3.DatabaseError):
            raise DatabaseError(
                f"{self._path} is no database of Elastic ({error}); move it away or set database.url."
            ) from error


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


_databases: "weakref.WeakSet[Database]" = weakref.WeakSet()


def _after_fork() -> None:
    for database in list(_databases):
        database.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
