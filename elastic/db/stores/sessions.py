"""Stores of sessions and of failed logins. Both keep digests, so that a copy of the database opens no session."""

import datetime as dt
import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.schema import login_try, user_account
from elastic.db.schema import session as table
from elastic.db.stores.users import Role

#: Time for which failed logins count.
TRY_PERIOD = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """Session with the present rights of its user."""

    username: str
    role: Role
    zone: str | None
    is_password_initial: bool
    created_at: dt.datetime
    seen_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLogins:
    """Failed logins of the last minutes."""

    #: of the account from this address
    of_account: int
    #: from this address
    of_address: int
    last_at: dt.datetime | None


class SessionStore:
    """Store of sessions, by the ids that browsers send.

    Args:
        database: The database.
        idle: Time without a request after which a session ends.
        absolute: Time after which it ends anyway.
    """

    def __init__(self, database: Database, *, idle: dt.timedelta, absolute: dt.timedelta) -> None:
        self._database, self._idle, self._absolute = database, idle, absolute

    def open(self, session_id: str, username: str, address: str, time: dt.datetime) -> None:
        """Store a session of a user who has just logged in, and remove the sessions that have ended."""
        row = {
            "digest": digest_of(session_id),
            "username": username,
            "address": address,
            "created_at": time,
            "seen_at": time,
        }
        ended = or_(table.c.seen_at < time - self._idle, table.c.created_at < time - self._absolute)
        login = update(user_account).where(user_account.c.username == username).values(logged_in_at=time)

        def work(connection: Connection, _: bool) -> None:
            connection.execute(delete(table).where(ended))
            connection.execute(delete(table).where(table.c.digest == row["digest"]))
            connection.execute(insert(table), row)
            connection.execute(login)
            audit.note(connection, "logged in", username)

        self._database.write(work)

    def find(self, session_id: str, time: dt.datetime) -> OpenSession | None:
        """Return a session that has not ended and whose user is active, or None."""
        query = (
            select(
                table.c.username,
                table.c.created_at,
                table.c.seen_at,
                user_account.c.role,
                user_account.c.zone,
                user_account.c.is_password_initial,
            )
            .join(user_account, user_account.c.username == table.c.username)
            .where(
                table.c.digest == digest_of(session_id),
                user_account.c.is_active.is_(True),
                table.c.seen_at >= time - self._idle,
                table.c.created_at >= time - self._absolute,
            )
        )
        row = self._database.query(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        return OpenSession(
            **{**row._mapping, "role": Role(row.role), "is_password_initial": bool(row.is_password_initial)}
        )

    def touch(self, session_id: str, time: dt.datetime) -> None:
        """Record that the session was used."""
        change = update(table).where(table.c.digest == digest_of(session_id)).values(seen_at=time)
        self._database.write(lambda connection, _: connection.execute(change).close())

    def close(self, session_id: str, username: str) -> None:
        """End a session."""

        def work(connection: Connection, _: bool) -> None:
            connection.execute(delete(table).where(table.c.digest == digest_of(session_id)))
            audit.note(connection, "logged out", username)

        self._database.write(work)


class LoginTries:
    """Store of failed logins by account and address."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def failed(self, username: str, address: str, time: dt.datetime) -> FailedLogins:
        """Return the failed logins of an address in the last minutes."""
        of_address = login_try.c.address == digest_of(address)
        query = (
            select(login_try.c.account, func.count().label("tries"), func.max(login_try.c.at).label("last_at"))
            .where(of_address, login_try.c.at >= time - TRY_PERIOD)
            .group_by(login_try.c.account)
        )
        rows = self._database.query(lambda connection: connection.execute(query).all())
        account = digest_of(username)
        return FailedLogins(
            of_account=sum(row.tries for row in rows if row.account == account),
            of_address=sum(row.tries for row in rows),
            last_at=max((row.last_at for row in rows), default=None),
        )

    def add(self, username: str, address: str, time: dt.datetime) -> None:
        """Record a failed login, and forget the old ones."""
        row = {"account": digest_of(username), "address": digest_of(address), "at": time}

        def work(connection: Connection, _: bool) -> None:
            connection.execute(delete(login_try).where(login_try.c.at < time - TRY_PERIOD))
            connection.execute(insert(login_try), row)
            audit.note(connection, "login failed", f"from {address}")

        self._database.write(work)

    def forget(self, username: str, address: str) -> None:
        """Forget the failed logins of an account from an address, after a login that worked."""
        same = (login_try.c.account == digest_of(username)) & (login_try.c.address == digest_of(address))
        self._database.write(lambda connection, _: connection.execute(delete(login_try).where(same)).close())


def digest_of(text: str) -> str:
    """Return the SHA-256 of a string in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
