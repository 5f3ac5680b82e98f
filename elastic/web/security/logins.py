"""Logins: verification of passwords, and delays after failures."""

import datetime as dt
from collections.abc import Callable

from elastic.core.errors import ElasticError
from elastic.db.database import Database
from elastic.db.stores.sessions import FailedLogins, LoginTries, SessionStore
from elastic.db.stores.users import User, UserStore
from elastic.web.security.passwords import absent_hash, is_password
from elastic.web.security.sessions import new_session_id

#: Failed logins in five minutes without a delay: of one account from an address, and of the address.
_FREE_OF_ACCOUNT, _FREE_OF_ADDRESS = 5, 20

_LONGEST_DELAY = 60

#: Owner, in the audit log, of logins with unknown names. Such a name may be a password in the wrong field.
_UNKNOWN = "unknown"


class LoginRefusedError(ElasticError):
    """The name or the password is wrong; the message does not reveal which."""

    def __str__(self) -> str:
        return "The name or the password is wrong; try again."


class LoginDelayedError(ElasticError):
    """Too many logins failed; the next login must wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"Too many logins failed; wait {self.seconds} s and try again."


class Logins:
    """Logs users in by name and password.

    Args:
        database: The database.
        sessions: Store of sessions.
        clock: Returns the time.
    """

    def __init__(self, database: Database, sessions: SessionStore, clock: Callable[[], dt.datetime]) -> None:
        self._users, self._tries, self._sessions, self._clock = (
            UserStore(database),
            LoginTries(database),
            sessions,
            clock,
        )

    def open(self, username: str, password: str, address: str) -> str:
        """Open a session of a user and return its id.

        Raises:
            LoginRefusedError: The name or the password is wrong, or the user is disabled.
            LoginDelayedError: Too many logins from the address failed.
        """
        user = self.verify(username, password, address)
        return self.begin(user.username, user.password_hash, address)

    def verify(self, username: str, password: str, address: str, *, event: str = "login failed") -> User:
        """Return the user with a name and a password.

        An unknown name takes as long as a wrong password, and gives the same error.

        Args:
            username: The given name.
            password: The given password.
            address: The address from which the user asks.
            event: Name of a failure in the audit log.

        Raises:
            LoginRefusedError: The name or the password is wrong, or the user is disabled.
            LoginDelayedError: Too many logins from the address failed.
        """
        time = self._clock()
        try_id = self._tries.begin(username, address, time)
        seconds = _delay(self._tries.failed(username, address, time, besides=try_id), time)
        if seconds > 0:
            self._tries.drop(try_id)
            raise LoginDelayedError(seconds)
        user = self._users.find(username)
        is_right = is_password(password, absent_hash() if user is None else user.password_hash)
        if user is None or not is_right or not user.is_active:
            self._tries.note(event, _UNKNOWN if user is None else user.username, address)
            raise LoginRefusedError
        self._tries.forget(username, address)
        return user

    def begin(self, username: str, password_hash: str, address: str) -> str:
        """Open a session of a user whose password was verified, and return its id.

        Raises:
            LoginRefusedError: The password was changed meanwhile, or the user is disabled.
        """
        session_id = new_session_id()
        if not self._sessions.open(session_id, username, address, self._clock(), password_hash=password_hash):
            raise LoginRefusedError
        return session_id


def _delay(failed: FailedLogins, time: dt.datetime) -> int:
    """Return the delay of the next login in seconds, which doubles with each failure."""
    beyond = max(failed.of_account - _FREE_OF_ACCOUNT, failed.of_address - _FREE_OF_ADDRESS)
    if beyond < 0 or failed.last_at is None:
        return 0
    delay = min(2 ** min(beyond + 1, 10), _LONGEST_DELAY)
    left = failed.last_at + dt.timedelta(seconds=delay) - time
    return max(0, -(-left // dt.timedelta(seconds=1)))
