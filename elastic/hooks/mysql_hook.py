"""MySQL and MariaDB by name."""

from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.sql_hook import SqlHook


class MySqlHook(SqlHook):
    """A SqlHook on a MySQL or MariaDB server, named by its connection or spelled out.

        MySqlHook(mysql_dbid="local_mysql")
        MySqlHook(host="127.0.0.1", login="me", psw="secret", db="test")

    Args:
        host: Where the server is, `name` or `name:port`; then `login`, `psw` and `db` go with it.
        login: The user.
        psw: The password.
        db: The database.
        mysql_dbid: In their place, the id of a connection.
        url: In their place, the URL of a database.

    Raises:
        UsageError: More than one of these ways was taken, or none.
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
