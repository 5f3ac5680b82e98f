"""Transactions on one database. They convert driver errors to errors of hooks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.errors import MissingPackageError, StatementError, UnreachableError
from elastic.hooks.sql.backends.backend import Backend
from elastic.hooks.sql.backends.registry import backend_of

if TYPE_CHECKING:
    import sqlalchemy as sa

#: Maximum number of characters of a statement in an error.
_MAX_SHOWN = 80


@dataclass(frozen=True, slots=True)
class StatementResult:
    """Result of a statement."""

    cursor: "sa.CursorResult[Any]"
    #: the statement, shortened
    shown: str
    session: "SqlSession"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, as the database gave them."""
        return tuple(self.cursor.keys())

    @property
    def changed(self) -> int:
        """Rows that the statement changed; -1 where the database does not say, 0 for a query."""
        return 0 if self.cursor.returns_rows else self.cursor.rowcount

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows as they come.

        Raises:
            StatementError: The database failed while it sent the rows.
        """
        try:
            for row in self.cursor:
                yield tuple(row)
        except self.session.refusals as error:
            # Raised here, because the rows may be the input of another database's transaction.
            raise self.session.refusal(f"the query {self.shown!r}", error) from self.session.harmless(error)

    def of_query(self) -> "StatementResult":
        """Return itself.

        Raises:
            StatementError: The statement returns no rows.
        """
        if not self.cursor.returns_rows:
            raise StatementError(self.session.target, repr(self.shown), "it returns no rows; use `run`")
        return self


class SqlTransaction:
    """Transaction on one connection."""

    def __init__(self, connection: "sa.Connection", session: "SqlSession") -> None:
        #: SQLAlchemy's connection
        self.connection = connection
        self._session = session
        #: the current statement, for errors
        self.shown = ""

    @contextmanager
    def execute(self, statement: Any, parameters: Mapping[str, Any] | None) -> Iterator[StatementResult]:
        """Run one statement; its result is closed when the block ends."""
        if parameters is not None and not isinstance(parameters, Mapping):
            raise UsageError(f"parameters must be a dict from name to value, not {type(parameters).__name__}.")
        self.shown = _shortened(statement)
        cursor = self._sent(statement, parameters)
        try:
            yield StatementResult(cursor, self.shown, self._session)
        finally:
            cursor.close()

    def _sent(self, statement: Any, parameters: Mapping[str, Any] | None) -> "sa.CursorResult[Any]":
        from sqlalchemy import text
        from sqlalchemy.sql.base import Executable

        bound = self._session.backend.bound
        values = {name: bound(value) for name, value in (parameters or {}).items()}
        if isinstance(statement, Executable):
            return self.connection.execute(statement, values)
        if not isinstance(statement, str) or not statement.strip():
            raise UsageError(f"a statement must be SQL text or a SQLAlchemy statement, not {statement!r}.")
        if parameters is None:
            # Without parameters, the driver must not search the statement for placeholders.
            return self.connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        return self.connection.execute(text(statement), values)


class SqlSession:
    """Engine of one connection, and transactions on it.

    Raises:
        UsageError: SQLAlchemy does not know the kind of the connection.
        MissingPackageError: Its driver is not installed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: masked name of the database, for errors
        self.target = str(connection)
        self.backend = backend_of(connection.backend)
        self.engine = _engine(connection, self.backend)

    @contextmanager
    def transaction(
        self, doing: str, *, autocommit: bool = False, rows_at_once: int | None = None
    ) -> Iterator[SqlTransaction]:
        """Run the block in a transaction: commit it at the end, or roll it back if the block raises.

        Raises:
            UnreachableError: The database does not answer.
            StatementError: The database refused a statement.
        """
        options: dict[str, Any] = {}
        if rows_at_once is not None:
            options = {"stream_results": True, "max_row_buffer": rows_at_once, "yield_per": rows_at_once}
        with self._connected(autocommit=autocommit) as connection:
            transaction = SqlTransaction(connection.execution_options(**options), self)
            try:
                with connection.begin():
                    yield transaction
            except self.refusals as error:
                name = f"{doing} {transaction.shown!r}" if transaction.shown else doing
                raise self.refusal(name, error) from self.harmless(error)

    @contextmanager
    def _connected(self, *, autocommit: bool) -> Iterator["sa.Connection"]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            connection = self.engine.connect()
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            raise UnreachableError(self.target, self._reason(error)) from self.harmless(error)
        with connection:
            if autocommit:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """Exceptions that the database raises when it refuses a statement."""
        from sqlalchemy.exc import SQLAlchemyError

        # The driver's errors too, because rows may bypass SQLAlchemy.
        return (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error)

    def refusal(self, doing: str, error: BaseException) -> StatementError:
        """Return the error for a refused statement."""
        return StatementError(self.target, self._connection.masked(doing), self._reason(error))

    def _reason(self, error: BaseException) -> str:
        """Return the first line of the database's message, with secrets masked."""
        original = getattr(error, "orig", None) or error
        arguments = original.args
        # PyMySQL passes a number and a message.
        said = str(arguments[1] if len(arguments) == 2 and isinstance(arguments[0], int) else original)
        line = next((line.strip() for line in said.splitlines() if line.strip()), type(original).__name__)
        return self._connection.masked(line)

    def harmless(self, error: Exception) -> Exception | None:
        """Return the error as a cause, or None if its message contains a secret."""
        return error if self._connection.masked(str(error)) == str(error) else None


def _engine(connection: Connection, backend: Backend) -> "sa.Engine":
    from sqlalchemy import URL
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    kind = connection.kind
    driver = kind if "+" in kind or not backend.driver else backend.driver
    url = URL.create(
        driver,
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
        query={name: str(value) for name, value in connection.extra.items()},
    )
    try:
        engine = backend.engine(url)
        engine.dialect.loaded_dbapi  # noqa: B018 - names a missing driver here
    except NoSuchModuleError:
        raise UsageError(
            f"{connection} is of kind {kind!r}, which is not a database that SQLAlchemy knows; "
            "check the part before '://', or install the package that adds it."
        ) from None
    except ModuleNotFoundError as error:
        package, extra = backend.package
        raise MissingPackageError(str(connection), str(error.name), extra if error.name == package else "") from None
    except (ArgumentError, TypeError, ValueError) as error:
        reason = connection.masked(str(error).splitlines()[0])
        raise UsageError(f"{connection} cannot be used ({reason}); check the connection.") from None
    return engine


def _shortened(statement: Any) -> str:
    text = " ".join(str(statement).split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
