"""Store of API tokens, as digests."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.schema import api_token as table
from elastic.db.schema import user_account
from elastic.db.stores.sessions import digest_of
from elastic.db.stores.users import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """Token of a program, without its secret."""

    id: int
    username: str
    name: str
    #: role of the token; a request has the lower one of this role and the user's
    role: Role
    created_at: dt.datetime
    expires_at: dt.datetime | None
    used_at: dt.datetime | None


class ApiTokenStore:
    """Store of the API tokens of a metadata database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, username: str | None = None) -> list[ApiToken]:
        """Return the tokens of a user, or of all users, newest first."""
        query = select(*(table.c[name] for name in ApiToken.__dataclass_fields__)).order_by(table.c.id.desc())
        query = query if username is None else query.where(table.c.username == username)
        return [_token(row) for row in self._database.query(lambda connection: connection.execute(query).all())]

    def add(
        self, secret: str, username: str, *, name: str, role: Role, time: dt.datetime, expires_at: dt.datetime | None
    ) -> int:
        """Store a token and return its id. The secret itself is not stored.

        Raises:
            UnknownRowError: There is no such user.
        """
        row = {
            "digest": digest_of(secret),
            "username": username,
            "name": name,
            "role": role,
            "created_at": time,
            "expires_at": expires_at,
        }
        user = select(user_account.c.username).where(user_account.c.username == username)

        def work(connection: Connection, _: bool) -> int:
            if connection.execute(user).one_or_none() is None:
                raise UnknownRowError("user", username, "`elastic users list` lists them")
            key = connection.execute(insert(table), row).inserted_primary_key
            until = f"until {expires_at:%Y-%m-%d}" if expires_at else "without end"
            audit.note(connection, "token created", f"{name} of {username}, {role}, {until}")
            return int(key[0]) if key is not None else 0

        return self._database.write(work)

    def find(self, secret: str, time: dt.datetime) -> ApiToken | None:
        """Return a valid token of an active user, with the effective role, or None."""
        columns = [table.c[name] for name in ApiToken.__dataclass_fields__]
        query = (
            select(*columns, user_account.c.role.label("user_role"))
            .join(user_account, user_account.c.username == table.c.username)
            .where(
                table.c.digest == digest_of(secret),
                user_account.c.is_active.is_(True),
                or_(table.c.expires_at.is_(None), table.c.expires_at > time),
            )
        )
        row = self._database.query(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        fields = dict(row._mapping)
        role = min(Role(row.role), Role(fields.pop("user_role")), key=lambda one: one.rank)
        return ApiToken(**{**fields, "role": role})

    def touch(self, token_id: int, time: dt.datetime) -> None:
        """Record that a token was used."""
        change = update(table).where(table.c.id == token_id).values(used_at=time)
        self._database.write(lambda connection, _: connection.execute(change).close())

    def revoke(self, token_id: int, username: str | None = None) -> None:
        """Delete a token of this user, or of any user.

        Raises:
            UnknownRowError: There is no such token.
        """
        wanted = table.c.id == token_id
        wanted = wanted if username is None else wanted & (table.c.username == username)

        def work(connection: Connection, again: bool) -> None:
            found = connection.execute(select(table.c.name, table.c.username).where(wanted)).one_or_none()
            if found is None:
                if again:
                    return
                raise UnknownRowError("token", str(token_id), "`elastic tokens list` lists them")
            connection.execute(delete(table).where(wanted))
            audit.note(connection, "token revoked", f"{found.name} of {found.username}")

        self._database.write(work)


def _token(row: Any) -> ApiToken:
    return ApiToken(**{**row._mapping, "role": Role(row.role)})
