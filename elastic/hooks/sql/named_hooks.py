"""SQL hooks of particular databases: DuckDB, MySQL, PostgreSQL and SQLite."""

from typing import ClassVar

from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.sql.hook import SqlHook


class _FileHook(SqlHook):
    """A SqlHook on a database in a file.

    Args:
        conn_id: The id of a connection.
        url: Alternatively, the URL of a database.
        path: Alternatively, the path of a file; `:memory:` is a database that exists as long as the hook.
    """

    #: kind of the connection to a file
    _kind: ClassVar[str]

    def __init__(
        self, conn_id: str | Connection | None = None, *, url: str | None = None, path: str | None = None
    ) -> None:
        if path is not None and conn_id is None and url is None:
            url = Connection(kind=self._kind, schema=path).url
        super().__init__(conn_id, url=url)


class DuckDbHook(_FileHook):
    """A SqlHook on a DuckDB file, which one process at a time may have open for writing.

    Args:
        conn_id: The id of a connection.
        url: Alternatively, the URL of a database.
        path: Alternatively, the path of a file; `:memory:` is a database that exists as long as the hook.
    """

    _kind = "duckdb"


class MySqlHook(SqlHook):
    """A SqlHook on a MySQL or MariaDB server, named by its connection or spelled out.

        MySqlHook(mysql_dbid="local_mysql")
        MySqlHook(host="127.0.0.1", login="me", psw="secret", db="test")

    Args:
        host: Host of the server, `name` or `name:port`, together with `login`, `psw` and `db`.
        login: The user.
        psw: The password.
        db: The database.
        mysql_dbid: Alternatively, the id of a connection.
        url: Alternatively, the URL of a database.

    Raises:
        UsageError: None or more than one of these alternatives is given.
    """

    def __init__(
        self,
        host: str | None = None,
        login: str | None = None,
        psw: str | None = None,
        db: str | None = None,
        mysql_dbid: str | Connection | None = None,
        *,
        url: str | None = None,
    ) -> None:
        spelled = (host, login, psw, db) != (None,) * 4
        if [mysql_dbid is not None, spelled, url is not None].count(True) != 1:
            raise UsageError("MySqlHook wants mysql_dbid, or host, login, psw and db, or url: one of these ways.")
        super().__init__(_spelled(host, login, psw, db) if spelled else mysql_dbid, url=url)


def _spelled(host: str | None, login: str | None, psw: str | None, db: str | None) -> Connection:
    if not host:
        raise UsageError("MySqlHook wants a host with login, psw and db.")
    name, _, port = host.partition(":")
    if port and not port.isdecimal():
        raise UsageError(f"the host {host!r} cannot be read; write it as name or name:port.")
    return Connection(kind="mysql", host=name, login=login, password=psw, schema=db, port=int(port) if port else None)


class PostgresHook(SqlHook):
    """A SqlHook on a PostgreSQL server.

    Args:
        conn_id: The id of a connection; `postgres_default` if nothing is given.
        url: Alternatively, the URL of a database.
    """

    def __init__(self, conn_id: str | Connection | None = None, *, url: str | None = None) -> None:
        super().__init__(conn_id or (None if url else "postgres_default"), url=url)


class SqliteHook(_FileHook):
    """A SqlHook on a SQLite file.

    Args:
        conn_id: The id of a connection.
        url: Alternatively, the URL of a database.
        path: Alternatively, the path of a file; `:memory:` is a database that exists as long as the hook.
    """

    _kind = "sqlite"
