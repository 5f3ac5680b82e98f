"""Sink of a table: the URL or the id of a connection, the table, and the key of upserts."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.record_sink import Publication, RecordSink, SinkDefect, SinkOwner
from elastic.core.errors import UsageError
from elastic.core.model.written import WrittenFile
from elastic.core.redaction import masked_url, problem_of
from elastic.persistence.written_tables.commit_table import COMMITS
from elastic.persistence.written_tables.sql_target import DRIVERS, SqlTarget
from elastic.persistence.written_tables.table_publication import TablePublication

if TYPE_CHECKING:
    from sqlalchemy import URL

#: Looks up ids of connections; imported at first use, because it is above this package.
_LOOKUP = "elastic.hooks.connection_lookup"


class SqlSink(RecordSink):
    """Sink of rows in a table.

    Args:
        url: URL of the database, or the id of a connection.
        table: Name of the table, `schema.table`, or a tuple of both for names with a point.
        key: Column or columns by which rows are found and replaced; None adds rows.

    Raises:
        UsageError: An argument is invalid.
    """

    def __init__(
        self, url: "str | URL", table: "str | tuple[str, ...]", key: "str | Sequence[str] | None" = None
    ) -> None:
        from sqlalchemy import URL

        if not isinstance(url, str | URL) or not url:
            raise UsageError(f"write_sql({type(url).__name__}): expected the URL of a database or a connection's id.")
        self._given = url
        self._schema, self._table = _table_of(table)
        self._key = _key_of(key)
        if isinstance(url, URL) or "://" in url:
            self._target  # noqa: B018  # raises where the user wrote the URL

    @cached_property
    def _target(self) -> SqlTarget:
        given = self._given
        if isinstance(given, str) and "://" not in given:
            given = import_module(_LOOKUP).connection(given).url
        return SqlTarget(_url_of(given), self._schema, self._table)

    @property
    def name(self) -> str:
        return "write_sql"

    def describe(self) -> dict[str, Any]:
        target = self._target
        return {"kind": "sql", "url": target.shown_url, "table": target.shown_table, "key": list(self._key)}

    def publication(self, owner: SinkOwner) -> Publication:
        return TablePublication(owner, self._target, self._key)

    def audit(self, owner: SinkOwner, parts: Sequence[WrittenFile]) -> Iterator[SinkDefect]:
        return TablePublication(owner, self._target, self._key).defects(parts)

    def check_source(self, source: dict[str, Any]) -> None:
        if source.get("kind") not in ("sql", "sql ranges") or self._target.database != "sqlite":
            return
        from sqlalchemy import make_url

        read, target = make_url(source["url"]), self._target
        if read.get_backend_name() == "sqlite" and os.path.realpath(str(read.database)) == target.url.database:
            raise UsageError(
                f"the flow reads and writes {target.shown_url}, and SQLite lets no process write while a query reads; "
                "write to another file, or read the rows first."
            )

    def __repr__(self) -> str:
        return f"write_sql({self._table!r})"


def audit_table(description: Mapping[str, Any], owner: SinkOwner, parts: Sequence[WrittenFile]) -> Iterator[SinkDefect]:
    """Yield the defects of a written table, for which a run has only the description of its sink.

    Raises:
        UsageError: The database cannot be read without its login.
        StoreError: It cannot be read.
    """
    if "***" in description["url"]:
        raise UsageError("give the flow that wrote it, because the run keeps no passwords")
    return SqlSink(description["url"], description["table"], description["key"] or None).audit(owner, parts)


def _table_of(table: Any) -> tuple[str | None, str]:
    parts = tuple(table.split(".")) if isinstance(table, str) else table
    is_named = isinstance(parts, tuple) and 1 <= len(parts) <= 2
    if not is_named or not all(isinstance(part, str) and part and part.isprintable() for part in parts):
        raise UsageError(
            f"write_sql(table={table!r}): expected 'table', 'schema.table', or a tuple of both for names with a point."
        )
    schema, name = parts if len(parts) == 2 else (None, parts[0])
    if name.lower() == COMMITS:
        raise UsageError(f"write_sql(table={table!r}): Elastic keeps its own rows in that table; name another.")
    return schema, name


def _key_of(key: Any) -> tuple[str, ...]:
    if key is None:
        return ()
    names = (key,) if isinstance(key, str) else tuple(key) if isinstance(key, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise UsageError(f"write_sql(key={key!r}): expected the name of a column, or a list of names.")
    return names


def _url_of(given: "str | URL") -> "URL":
    """Return a URL with the driver for its database, and with an absolute path.

    Raises:
        UsageError: The URL is invalid, or names a database that is not supported.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    problem = problem_of(given) if isinstance(given, str) else ""
    if problem:
        raise UsageError(f"the database URL {masked_url(str(given))!r} {problem}.")
    try:
        url = make_url(given)
        name = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise UsageError(
            f"{masked_url(str(given))!r} is not a database URL; write it like postgresql://user@host/name."
        ) from None
    if name == "postgres":
        url, name = url.set(drivername=url.drivername.replace("postgres", "postgresql", 1)), "postgresql"
    if name not in DRIVERS:
        raise UsageError(f"write_sql writes to {', '.join(DRIVERS)}, and the URL names {name!r}; use one of these.")
    if "+" not in url.drivername:
        url = url.set(drivername=DRIVERS[name][0])
    return _file_of(url) if name == "sqlite" else url


def _file_of(url: "URL") -> "URL":
    path = url.database
    if not path or path == ":memory:" or path.startswith("file:"):
        raise UsageError(
            f"write_sql to SQLite needs the path of a file, which workers can open, got {path or ''!r}; "
            "write sqlite:////folder/name.db."
        )
    return url.set(database=os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111
