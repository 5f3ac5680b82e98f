"""Identity of the user of a request, from a session cookie or an API token."""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.requests import Request

from elastic.db.database import Database
from elastic.db.errors import DatabaseError
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.sessions import SessionStore
from elastic.db.stores.users import Role
from elastic.web.security.csrf import token_of
from elastic.web.security.rights import LEAST_ROLE, Right
from elastic.web.security.sessions import session_id_of
from elastic.web.security.tokens import token_in

#: Minimum interval between updates of the last use of a session or a token.
_TOUCH_AFTER = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """User of a request."""

    username: str
    role: Role
    zone: str | None = None
    is_password_initial: bool = False
    #: id of the session; empty for an API token
    session_id: str = field(default="", repr=False)
    #: id of the API token; None for a session
    token_id: int | None = None
    #: when the API token of the request expires; None for a session, and for a token without expiry
    expires_at: dt.datetime | None = None

    @property
    def csrf_token(self) -> str:
        """CSRF token of the forms of this session; empty for an API token, which needs none."""
        return token_of(self.session_id) if self.session_id else ""

    def may(self, right: Right, dag_id: str | None = None) -> bool:
        """Return whether the user has a right.

        Args:
            right: The right.
            dag_id: The DAG on which the right is used. Rights do not depend on it yet.
        """
        return self.role.covers(LEAST_ROLE[right])


class Authenticator(ABC):
    """Identifies the user of a request."""

    @abstractmethod
    def identify(self, request: Request) -> Identity | None:
        """Return the user of a request, or None.

        The server calls it in a thread, once for each request, before it checks the right of the route.
        """


class SessionAuthenticator(Authenticator):
    """Authenticator of sessions and API tokens. A request with a token never uses the cookie.

    Args:
        database: The database.
        sessions: Store of sessions.
        clock: Returns the time.
    """

    def __init__(self, database: Database, sessions: SessionStore, clock: Callable[[], dt.datetime]) -> None:
        self._sessions, self._tokens, self._clock = sessions, ApiTokenStore(database), clock

    def identify(self, request: Request) -> Identity | None:
        if "authorization" in request.headers:
            return self._of_token(token_in(request.headers["authorization"]))
        session_id = session_id_of(request)
        return self._of_session(session_id) if session_id else None

    def _of_session(self, session_id: str) -> Identity | None:
        time = self._clock()
        found = self._sessions.find(session_id, time)
        if found is None:
            return None
        if time - found.seen_at > _TOUCH_AFTER:
            # A page must not fail because the time of the last use cannot be written.
            with suppress(DatabaseError):
                self._sessions.touch(session_id, time)
        return Identity(
            username=found.username,
            role=found.role,
            zone=found.zone,
            is_password_initial=found.is_password_initial,
            session_id=session_id,
        )

    def _of_token(self, secret: str | None) -> Identity | None:
        if secret is None:
            return None
        time = self._clock()
        found = self._tokens.find(secret, time)
        if found is None:
            return None
        if found.used_at is None or time - found.used_at > _TOUCH_AFTER:
            with suppress(DatabaseError):
                self._tokens.touch(found.id, time)
        return Identity(username=found.username, role=found.role, token_id=found.id, expires_at=found.expires_at)
