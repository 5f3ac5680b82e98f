"""SQLite by name."""

from elastic.hooks.connection import Connection
from elastic.hooks.sql_hook import SqlHook


class SqliteHook(SqlHook):
    """A SqlHook on a SQLite file.

    Args:
        conn_id: The id of a connection.
        url: In its place, the URL of a database.
        path: In its place, the path of a file; `:memory:` is a database that lives as long as the hook.
    """

    def __init__(
        self, conn_id: str | Connection | None = None, *, url: str | None = None, path: str | None = None
    ) -> None:
        if path is not None and conn_id is None and url is None:
            url = Connection(kind="sqlite", schema=path).url
        super().__init__(conn_id, url=url)
