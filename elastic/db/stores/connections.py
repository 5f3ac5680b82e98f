"""Store of connections by id, with encrypted passwords and extra settings."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, or_, select, update

from elastic.config.connection_kinds import check_extra
from elastic.config.secret_mask import hide_all
from elastic.core.errors import UsageError
from elastic.core.text import writable
from elastic.dag.ids import check_key
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.encryption import Cipher
from elastic.db.errors import RowExistsError, SecretError, UnknownRowError
from elastic.db.matching import insert_if_absent, same
from elastic.db.schema import connection as table
from elastic.hooks.connection import Connection

_PLAIN = ("kind", "host", "login", "schema", "port")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedConnection:
    """Connection without its secrets."""

    conn_id: str
    kind: str
    host: str | None
    login: str | None
    schema: str | None
    port: int | None
    has_password: bool
    has_extra: bool


class ConnectionStore:
    """Store of the connections of a metadata database."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database, self._cipher = database, cipher

    def find(self, conn_id: str) -> Connection | None:
        """Return a connection with its decrypted secrets, which logs mask, or None if the id is unknown.

        Raises:
            SecretError: A secret cannot be decrypted.
        """
        query = select(table).where(same(table.c.conn_id, conn_id))
        row = self._database.query(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        found = self._read(row)
        hide_all(found.secrets)
        return found

    def get(self, conn_id: str) -> Connection:
        """Return a connection with its decrypted secrets.

        Raises:
            UnknownRowError: The id is unknown.
            SecretError: A secret cannot be decrypted.
        """
        found = self.find(conn_id)
        if found is None:
            raise UnknownRowError("connection", conn_id, f"add it with `elastic connections add {conn_id}`")
        return found

    def all(self) -> list[Connection]:
        """Return all connections without their secrets. No key is needed."""
        query = select(table).order_by(table.c.conn_id)
        rows = self._database.query(lambda connection: connection.execute(query).all())
        return [Connection(conn_id=row.conn_id, **{name: getattr(row, name) for name in _PLAIN}) for row in rows]

    def listed(self) -> list[ListedConnection]:
        """Return all connections, and whether each has a password and extra settings. This needs no key."""
        columns = [table.c[name] for name in ("conn_id", *_PLAIN)]
        flags = [table.c[name].is_not(None).label(f"has_{name}") for name in ("password", "extra")]
        query = select(*columns, *flags).order_by(table.c.conn_id)
        rows = self._database.query(lambda connection: connection.execute(query).all())
        return [
            ListedConnection(
                **{**row._mapping, "has_password": bool(row.has_password), "has_extra": bool(row.has_extra)}
            )
            for row in rows
        ]

    def put(self, fields: Mapping[str, Any], *, is_new: bool) -> None:
        """Store a connection from its fields. A password or extra settings of None keep the stored ones.

        Raises:
            RowExistsError: A new connection has an existing id.
            UnknownRowError: A changed connection has an unknown id.
            MissingKeyError: The connection has secrets and there is no key. Nothing was stored.
            UsageError: An extra setting is unknown, or a field cannot be stored. Nothing was stored.
        """
        row = self._checked_row(Connection(**{**fields, "extra": fields.get("extra") or {}}))
        kept = {name for name in ("password", "extra") if fields.get(name) is None}
        change = update(table).where(table.c.conn_id == row["conn_id"])
        changed = {name: value for name, value in row.items() if name != "conn_id" and name not in kept}

        def work(transaction: Any, again: bool) -> None:
            if is_new:
                done = transaction.execute(insert_if_absent(transaction, table), row).rowcount == 1 or again
                if not done:
                    raise RowExistsError(
                        "connection", row["conn_id"], "choose another id, or change the existing connection"
                    )
            elif not transaction.execute(change.values(**changed)).rowcount:
                raise UnknownRowError("connection", row["conn_id"], "`elastic connections list` lists them")
            audit.note(transaction, "connection set", row["conn_id"])

        self._database.write(work)

    def readable(self) -> Iterator[Connection]:
        """Yield the connections whose secrets can be decrypted."""
        query = select(table).where(or_(table.c.password.is_not(None), table.c.extra.is_not(None)))
        for row in self._database.query(lambda connection: connection.execute(query).all()):
            with suppress(SecretError):
                yield self._read(row)

    def add(self, connection: Connection, *, overwrite: bool = False) -> None:
        """Store a connection.

        Raises:
            RowExistsError: The id exists and `overwrite` is False.
            MissingKeyError: The connection has secrets and there is no key. Nothing was stored.
            UsageError: An extra setting is unknown, or a field cannot be stored. Nothing was stored.
        """
        self.add_all([connection], overwrite=overwrite)

    def add_all(self, connections: list[Connection], *, overwrite: bool = False) -> None:
        """Store connections, all or none."""
        rows = [self._checked_row(connection) for connection in connections]

        def work(transaction: Any, again: bool) -> None:
            for row in rows:
                insertion = insert_if_absent(transaction, table)
                if transaction.execute(insertion, row).rowcount == 1 or again:
                    continue
                if not overwrite:
                    raise RowExistsError("connection", row["conn_id"], "delete it first, or pass --overwrite")
                change = update(table).where(table.c.conn_id == row["conn_id"])
                transaction.execute(change.values(**{**dict.fromkeys(_PLAIN), **row}))
            for row in rows:
                audit.note(transaction, "connection set", row["conn_id"])

        self._database.write(work)

    def delete(self, conn_id: str) -> None:
        """Delete a connection.

        Raises:
            UnknownRowError: The id is unknown.
        """

        def work(transaction: Any, again: bool) -> None:
            if not transaction.execute(delete(table).where(same(table.c.conn_id, conn_id))).rowcount and not again:
                raise UnknownRowError("connection", conn_id, "`elastic connections list` lists them")
            audit.note(transaction, "connection deleted", conn_id)

        self._database.write(work)

    def rotate(self) -> int:
        """Encrypt all secrets with the newest key, all or none; return the number of connections.

        Raises:
            SecretError: A secret cannot be decrypted. Nothing was changed.
        """

        def work(transaction: Any, _: bool) -> int:
            rows = transaction.execute(select(table)).all()
            for row in rows:
                secrets = {name: self._row(self._read(row))[name] for name in ("password", "extra")}
                transaction.execute(update(table).where(table.c.conn_id == row.conn_id).values(**secrets))
            return len(rows)

        return self._database.write(work)

    def _checked_row(self, connection: Connection) -> dict[str, Any]:
        check_extra(connection.conn_id, connection.kind, connection.extra)
        return self._row(connection)

    def _row(self, connection: Connection) -> dict[str, Any]:
        conn_id = check_key("conn_id", connection.conn_id)
        row: dict[str, Any] = {"conn_id": conn_id, **{name: getattr(connection, name) for name in _PLAIN}}
        for name in _PLAIN[:-1]:
            if writable(row[name] or "") != (row[name] or ""):
                raise UsageError(f"the {name} of connection {conn_id!r} contains NUL or invalid UTF-8; remove it.")
        row["password"] = connection.password and self._cipher.encrypt(_password(conn_id), connection.password)
        extra = json.dumps(dict(connection.extra)) if connection.extra else None
        row["extra"] = extra and self._cipher.encrypt(_extra(conn_id), extra)
        return row

    def _read(self, row: Any) -> Connection:
        plain = Connection(conn_id=row.conn_id, **{name: getattr(row, name) for name in _PLAIN})
        password = row.password and self._cipher.decrypt(_password(row.conn_id), row.password)
        extra = json.loads(self._cipher.decrypt(_extra(row.conn_id), row.extra)) if row.extra else {}
        return replace(plain, password=password, extra=extra)


def _password(conn_id: str) -> str:
    return f"the password of connection {conn_id!r}"


def _extra(conn_id: str) -> str:
    return f"the extra settings of connection {conn_id!r}"
