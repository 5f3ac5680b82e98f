"""The contract of all hooks."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.lookup import connection


class Answer(NamedTuple):
    """What a system said to a trial; true if it answered."""

    ok: bool
    #: one sentence, without a password
    message: str

    def __bool__(self) -> bool:
        return self.ok


class Hook(ABC):
    """Talks to one system.

    It is cheap to make and opens nothing: a DAG file may make one while it is parsed. The connection is looked up
    when it is first used, in the process that uses it. A hook may be copied and pickled; what it has open stays behind.
    """

    def __init__(self, target: str | Connection) -> None:
        if not isinstance(target, Connection) and (not isinstance(target, str) or not target):
            raise UsageError(f"a hook wants the id of a connection, not {target!r}.")
        self._target = target

    @property
    def connection(self) -> Connection:
        """How the system is reached, with its password in clear.

        Raises:
            ConnectionNotDefinedError: No connection has the id that the hook was given.
        """
        if not isinstance(self._target, Connection):
            self._target = connection(self._target)
        return self._target

    @abstractmethod
    def test_connection(self) -> Answer:
        """Ask the system for a sign of life; must not raise because it is away, and must change nothing."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._target}>"
