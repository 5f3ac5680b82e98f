"""The contract of all hooks."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.connection_lookup import connection, hide_secrets


class ConnectionTest(NamedTuple):
    """What a system said to a trial; true if it answered."""

    ok: bool
    #: one sentence, without a password
    message: str

    def __bool__(self) -> bool:
        return self.ok


class Hook(ABC):
    """Talks to one system.

    It is cheap to make and opens nothing: a DAG file may make one while it is parsed. The connection is looked up
    when it is first used, in the process that uses it. A hook may be copied and pickled; what it has open and what it
    looked up stay behind, so that a hook by id carries no password to another process.
    """

    def __init__(self, target: str | Connection) -> None:
        if not isinstance(target, Connection) and (not isinstance(target, str) or not target):
            raise UsageError(f"a hook wants the id of a connection, not {target!r}.")
        self._target = target
        self._found = target if isinstance(target, Connection) else None
        if self._found is not None:
            hide_secrets(self._found)

    @property
    def connection(self) -> Connection:
        """How the system is reached, with its password in clear.

        Raises:
            ConnectionNotDefinedError: No connection has the id that the hook was given.
        """
        if self._found is None:
            self._found = connection(str(self._target))
        return self._found

    @abstractmethod
    def test_connection(self) -> ConnectionTest:
        """Ask the system for a sign of life; must not raise because it is away, and must change nothing."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._found or self._target}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_found": self._target if isinstance(self._target, Connection) else None}
