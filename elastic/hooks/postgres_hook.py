"""PostgreSQL by name."""

from elastic.hooks.connection import Connection
from elastic.hooks.sql_hook import SqlHook


class PostgresHook(SqlHook):
    """A SqlHook on a PostgreSQL server.

    Args:
        conn_id: The id of a connection; `postgres_default` if nothing is given.
        url: In its place, the URL of a database.
    """

    def __init__(self, conn_id: str | Connection | None = None, *, url: str | None = None) -> None:
        super().__init__(conn_id or (None if url else "postgres_default"), url=url)
