"""Contract of all hooks."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.connection_lookup import connection, hide_secrets


class ConnectionTest(NamedTuple):
    """Result of a connection test; true if the system answered."""

    ok: bool
    #: one sentence, without a password
    message: str

    def __bool__(self) -> bool:
        return self.ok


class Hook(ABC):
    """Client of one system.

    Creating a hook is cheap and opens nothing, so DAG files may create hooks. The hook looks up its connection at first
    use, in the process that uses it. Copies and pickles leave out open connections and looked-up values, so a hook
    made from an id carries no password to another process.
    """

    def __init__(self, target: str | Connection) -> None:
        if not isinstance(target, Connection) and (not isinstance(target, str) or not target):
            raise UsageError(f"a hook needs the id of a connection, not {target!r}.")
        self._target = target
        self._found = target if isinstance(target, Connection) else None
        if self._found is not None:
            hide_secrets(self._found)

    @property
    def connection(self) -> Connection:
        """The connection, with its password in plain text.

        Raises:
            ConnectionNotDefinedError: No connection has the id of the hook.
        """
        if self._found is None:
            self._found = connection(str(self._target))
        return self._found

    @abstractmethod
    def test_connection(self) -> ConnectionTest:
        """Test whether the system answers. Must not raise if it does not, and must change nothing."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._found or self._target}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_found": self._target if isinstance(self._target, Connection) else None}
