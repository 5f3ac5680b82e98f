"""Store of the users of the web server. It contains hashes of passwords, never passwords."""

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from elastic.core.errors import UsageError
from elastic.dag.ids import check_key
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import RowExistsError, UnknownRowError
from elastic.db.matching import insert_if_absent
from elastic.db.schema import api_token, session
from elastic.db.schema import user_account as table
from elastic.db.sql_clock import now

_LIST_ADVICE = "`elastic users list` lists them"


class Role(StrEnum):
    """Role of a user, from the least rights to the most."""

    #: sees DAGs, runs, logs and flows
    VIEWER = "viewer"
    #: also runs, clears, pauses and redrives
    OPERATOR = "operator"
    #: also manages connections, variables, pools, users and settings
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Position in the order of the roles, from 0."""
        return list(Role).index(self)

    def covers(self, other: "Role") -> bool:
        """Return whether this role has all rights of another role."""
        return self.rank >= other.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """User of the web server."""

    username: str
    role: Role
    password_hash: str = field(repr=False)
    #: True while the user has the password that a command generated
    is_password_initial: bool
    is_active: bool
    #: time zone of times on pages; None for the zone of the browser
    zone: str | None
    created_at: dt.datetime
    logged_in_at: dt.datetime | None


class UserStore:
    """Store of the users of a metadata database.

    A change of password or role, and disabling, end the user's sessions in the same transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[User]:
        """Return all users by name."""
        query = select(table).order_by(table.c.username)
        return [_user(row) for row in self._database.query(lambda connection: connection.execute(query).all())]

    def find(self, username: str) -> User | None:
        """Return a user, or None. A name that is not a valid id is never sent to the database."""
        if not username.isascii() or not username.isprintable():
            return None
        query = select(table).where(table.c.username == username)
        row = self._database.query(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _user(row)

    def get(self, username: str) -> User:
        """Return a user.

        Raises:
            UnknownRowError: There is no such user.
        """
        found = self.find(username)
        if found is None:
            raise _unknown(username)
        return found

    def is_empty(self) -> bool:
        """Return whether there are no users."""
        query = select(func.count()).select_from(table)
        return self._database.query(lambda connection: connection.execute(query).scalar_one()) == 0

    def create(self, username: str, role: Role, password_hash: str, *, is_initial: bool = False) -> None:
        """Create a user.

        Args:
            username: The name, which is a valid id.
            role: The role.
            password_hash: The hash of the password.
            is_initial: Whether a command generated the password.

        Raises:
            RowExistsError: The name is taken.
            InvalidKeyError: The name has invalid characters.
        """
        row = {
            "username": check_key("username", username),
            "role": role,
            "password_hash": password_hash,
            "is_password_initial": is_initial,
        }

        def work(connection: Connection, again: bool) -> None:
            insertion = insert_if_absent(connection, table).values(created_at=now())
            if connection.execute(insertion, row).rowcount != 1 and not again:
                raise RowExistsError("user", username, "choose another name, or set its password")
            audit.note(connection, "user created", f"{username}, {role}")

        self._database.write(work)

    def change(
        self,
        username: str,
        *,
        role: Role | None = None,
        password_hash: str | None = None,
        is_active: bool | None = None,
        instead_of: str | None = None,
    ) -> None:
        """Change a user, all or nothing. A change ends the sessions of the user; None keeps what is stored.

        The API tokens of a disabled user stop working.

        Args:
            username: The user.
            role: The role.
            password_hash: The hash of a password that the user chose.
            is_active: Whether the user may log in.
            instead_of: The hash that the user must still have; None for any.

        Raises:
            UnknownRowError: There is no such user.
            UsageError: No active admin would be left, or the user has another hash than `instead_of`. Nothing was
                changed.
        """

        def work(connection: Connection, _: bool) -> None:
            before = _locked(connection, username)
            if before is None:
                raise _unknown(username)
            if instead_of is not None and before.password_hash not in (instead_of, password_hash):
                raise UsageError(f"the password of user {username!r} was changed meanwhile; log in with the new one.")
            wanted = {"role": role, "is_active": is_active}
            values: dict[str, Any] = {
                name: value for name, value in wanted.items() if value not in (None, getattr(before, name))
            }
            if values:
                _check_admin_left(connection, before)
            if "role" in values:
                audit.note(connection, "role set", f"{username}: {before.role} -> {role}")
            if "is_active" in values:
                audit.note(connection, "user enabled" if is_active else "user disabled", username)
            if password_hash is not None:
                values |= {"password_hash": password_hash, "is_password_initial": False}
                audit.note(connection, "password set", username)
            if values:
                connection.execute(update(table).where(table.c.username == username).values(**values))
                connection.execute(delete(session).where(session.c.username == username))

        self._database.write(work)

    def set_zone(self, username: str, zone: str | None) -> None:
        """Set the time zone of times on pages; None for the zone of the browser."""
        change = update(table).where(table.c.username == username).values(zone=zone)

        def work(connection: Connection, _: bool) -> None:
            connection.execute(change)
            audit.note(connection, "time zone set", f"{username}: {zone or 'the zone of the browser'}")

        self._database.write(work)

    def delete(self, username: str) -> None:
        """Delete a user with all sessions and API tokens.

        Raises:
            UnknownRowError: There is no such user.
            UsageError: The user is the last active admin.
        """

        def work(connection: Connection, again: bool) -> None:
            before = _locked(connection, username)
            if before is None:
                if again:
                    return
                raise _unknown(username)
            _check_admin_left(connection, before)
            for owned in (session, api_token):
                connection.execute(delete(owned).where(owned.c.username == username))
            connection.execute(delete(table).where(table.c.username == username))
            audit.note(connection, "user deleted", username)

        self._database.write(work)


def _locked(connection: Connection, username: str) -> Any:
    query = select(table).where(table.c.username == username).with_for_update()
    return connection.execute(query).one_or_none()


def _check_admin_left(connection: Connection, before: Any) -> None:
    """Raise UsageError if a user is the last active admin, because users could not be managed without one."""
    if before.role != Role.ADMIN or not before.is_active:
        return
    admins = select(table.c.username).where(table.c.role == Role.ADMIN, table.c.is_active.is_(True))
    others = connection.execute(admins.where(table.c.username != before.username).with_for_update()).all()
    if not others:
        raise UsageError(f"user {before.username!r} is the last active admin; give another user the role admin first.")


def _unknown(username: str) -> UnknownRowError:
    return UnknownRowError("user", username, _LIST_ADVICE)


def _user(row: Any) -> User:
    fields = dict(row._mapping)
    flags = {name: bool(fields[name]) for name in ("is_password_initial", "is_active")}
    return User(**{**fields, **flags, "role": Role(row.role)})
