"""Stores of sessions and of failed logins. Both store digests, so that a copy of the database opens no session."""

import datetime as dt
import hashlib
import ipaddress
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.schema import login_try, user_account
from elastic.db.schema import session as table
from elastic.db.stores.users import Role

#: Period for which failed logins count.
TRY_PERIOD = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """Session with the current rights of its user."""

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
    """Store of sessions by session id.

    Args:
        database: The database.
        idle: Time without a request after which a session ends.
        absolute: Time from the login after which a session ends in any case.
    """

    def __init__(self, database: Database, *, idle: dt.timedelta, absolute: dt.timedelta) -> None:
        self._database, self._idle, self._absolute = database, idle, absolute

    def open(self, session_id: str, username: str, address: str, time: dt.datetime, *, password_hash: str) -> bool:
        """Store a session of a user with a verified password, and remove the sessions that have ended.

        Args:
            session_id: A new id.
            username: The user.
            address: The client address.
            time: The time.
            password_hash: The hash of the verified password.

        Returns:
            Whether the session is open: False if the user was disabled, deleted or given another password meanwhile.
        """
        row = {
            "digest": digest_of(session_id),
            "username": username,
            "address": address,
            "created_at": time,
            "seen_at": time,
        }
        same_user = user_account.c.username == username
        user = select(user_account.c.is_active, user_account.c.password_hash).where(same_user).with_for_update()
        ended = or_(table.c.seen_at < time - self._idle, table.c.created_at < time - self._absolute)

        def work(connection: Connection, _: bool) -> bool:
            # Lock the row: a concurrent change of the user either ends this session or prevents it.
            found = connection.execute(user).one_or_none()
            if found is None or not found.is_active or found.password_hash != password_hash:
                return False
            connection.execute(delete(table).where(ended))
            connection.execute(delete(table).where(table.c.digest == row["digest"]))
            connection.execute(insert(table), row)
            connection.execute(update(user_account).where(same_user).values(logged_in_at=time))
            with audit.acting_for(audit.Actor(username, address)):
                audit.note(connection, "logged in", username)
            return True

        return self._database.write(work)

    def find(self, session_id: str, time: dt.datetime) -> OpenSession | None:
        """Return a session that has not ended and belongs to an active user, or None."""
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

    def close(self, session_id: str, address: str) -> None:
        """End a session, if there is one with this id. The audit log has the name of its user."""
        same = table.c.digest == digest_of(session_id)

        def work(connection: Connection, _: bool) -> None:
            username = connection.execute(select(table.c.username).where(same)).scalar_one_or_none()
            if username is None:
                return
            connection.execute(delete(table).where(same))
            with audit.acting_for(audit.Actor(username, address)):
                audit.note(connection, "logged out", username)

        self._database.write(work)


class LoginTries:
    """Store of failed logins by account and address. An IPv6 network counts as one address.

    Record a login before verifying its password, so that parallel logins count each other.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, username: str, address: str, time: dt.datetime) -> int:
        """Record a login as failed, delete old records, and return the id of the new one."""
        row = {"account": digest_of(username), "address": _digest_of_address(address), "at": time}

        def work(connection: Connection, _: bool) -> int:
            connection.execute(delete(login_try).where(login_try.c.at < time - TRY_PERIOD))
            key = connection.execute(insert(login_try), row).inserted_primary_key
            assert key is not None  # noqa: S101 - one row has a key
            return int(key[0])

        return self._database.write(work)

    def failed(self, username: str, address: str, time: dt.datetime, *, besides: int) -> FailedLogins:
        """Return the failed logins of an address in the last minutes, except the one with this id."""
        of_address = login_try.c.address == _digest_of_address(address)
        query = (
            select(login_try.c.account, func.count().label("tries"), func.max(login_try.c.at).label("last_at"))
            .where(of_address, login_try.c.at >= time - TRY_PERIOD, login_try.c.id != besides)
            .group_by(login_try.c.account)
        )
        rows = self._database.query(lambda connection: connection.execute(query).all())
        account = digest_of(username)
        return FailedLogins(
            of_account=sum(row.tries for row in rows if row.account == account),
            of_address=sum(row.tries for row in rows),
            last_at=max((row.last_at for row in rows), default=None),
        )

    def drop(self, try_id: int) -> None:
        """Delete a login whose password was not verified."""
        same = login_try.c.id == try_id
        self._database.write(lambda connection, _: connection.execute(delete(login_try).where(same)).close())

    def note(self, event: str, username: str, address: str) -> None:
        """Log a wrong password. `username` must be a known name, because the given name may be a password."""
        with audit.acting_for(audit.Actor(username, address)):
            audit.record(self._database, event, f"from {address}")

    def forget(self, username: str, address: str) -> None:
        """Delete the failed logins of an account from an address, after a successful login."""
        same = (login_try.c.account == digest_of(username)) & (login_try.c.address == _digest_of_address(address))
        self._database.write(lambda connection, _: connection.execute(delete(login_try).where(same)).close())


def digest_of(text: str) -> str:
    """Return the SHA-256 of a string in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest_of_address(address: str) -> str:
    """Return the digest of an address; for IPv6, of its /64 network, which usually belongs to one user."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return digest_of(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return digest_of(str(found.ipv4_mapped))
        return digest_of(f"{int(found) >> 64:x}/64")
    return digest_of(str(found))
