"""Context of an attempt: the values that user code receives, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from elastic.dag.errors import LookupFailedError
from elastic.dag.execution.xcom import InMemoryXCom, XComStore

#: Values by name. A plain dict: later code of the same attempt sees the values that user code adds.
Context = dict[str, Any]


def _no_variable(name: str) -> Any:
    raise LookupFailedError(f"variable {name!r} is not available: this attempt has no database.")


def _no_connection(conn_id: str) -> Any:
    raise LookupFailedError(f"connection {conn_id!r} is not available: this attempt has no database.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextServices:
    """Services that an attempt uses: XComs, variables, connections and settings."""

    #: passes values between the tasks of a run
    xcoms: XComStore = field(default_factory=InMemoryXCom)
    #: returns the value of a variable; raises LookupError if it does not exist
    get_variable: Callable[[str], str] = _no_variable
    #: returns a connection; raises LookupError if it does not exist
    get_connection: Callable[[str], Any] = _no_connection
    #: settings of the installation that tasks and actions may read; credentials are resolved on demand, not stored
    settings: Mapping[str, Any] = field(default_factory=dict)


class Variables:
    """Lazy mapping of variables: `var["name"]` looks the variable up."""

    def __init__(self, get_variable: Callable[[str], str]) -> None:
        self._get_variable = get_variable

    def __getitem__(self, name: str) -> str:
        return self._get_variable(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a variable, or `default` if it does not exist."""
        try:
            return self._get_variable(name)
        except LookupError:
            return default


class Connections:
    """Lazy mapping of connections: `conn["id"]` looks the connection up."""

    def __init__(self, get_connection: Callable[[str], Any]) -> None:
        self._get_connection = get_connection

    def __getitem__(self, conn_id: str) -> Any:
        return self._get_connection(conn_id)
