"""Errors of hooks.

    HookError (ElasticError)
    ├── ConnectionNotDefinedError (LookupError)  no connection has this id
    ├── UnknownKindError (LookupError)           no hook is for the kind of a connection
    ├── UnreachableError (ConnectionError)       the system does not answer, or refuses the login
    ├── RefusedError (PermissionError)           the system refuses access to something
    ├── NotFoundError (LookupError)              the system does not have what was asked for
    ├── StatementError                           the database refused a statement; nothing of it was kept
    ├── FileAccessError (OSError)                a file cannot be read or written
    ├── RowError (ValueError)                    a line of a file is not a row of the table
    └── MissingPackageError (ImportError)        an optional package is not installed

Messages never show a password: URLs are masked.
"""

from elastic.core.errors import ElasticError
from elastic.core.optional import missing_package


class HookError(ElasticError):
    """Base of all errors of hooks."""


class ConnectionNotDefinedError(HookError, LookupError):
    """No connection has this id."""

    def __init__(self, conn_id: str, variable: str) -> None:
        super().__init__(conn_id, variable)
        self.conn_id, self.variable = conn_id, variable

    def __str__(self) -> str:
        return (
            f"connection {self.conn_id!r} isn't defined; set {self.variable} to its URL, "
            f"or add it with `elastic connections add {self.conn_id}`."
        )


class UnknownKindError(HookError, LookupError):
    """No hook is for the kind of a connection."""

    def __init__(self, conn_id: str, kind: str, known: str) -> None:
        super().__init__(conn_id, kind, known)
        #: `known` lists the kinds that have a hook
        self.conn_id, self.kind, self.known = conn_id, kind, known

    def __str__(self) -> str:
        return (
            f"there is no hook for connection {self.conn_id!r} of the kind {self.kind!r}; "
            f"use one of {self.known}, or install a plug-in."
        )


class UnreachableError(HookError, ConnectionError):
    """The system does not answer, or refuses the login."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target, self.reason = target, reason

    def __str__(self) -> str:
        return f"{self.target} cannot be reached ({self.reason}); check the connection and whether the server runs."


class RefusedError(HookError, PermissionError):
    """The system refuses access. Whether the thing is there is unknown."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target, self.reason = target, reason

    def __str__(self) -> str:
        return f"access to {self.target} was refused ({self.reason}); check the credentials and their rights."


class NotFoundError(HookError, LookupError):
    """The system does not have what was asked for."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target, self.reason = target, reason

    def __str__(self) -> str:
        return f"{self.target} was not found ({self.reason}); check its name."


class StatementError(HookError):
    """The database refused a statement. Its transaction was rolled back."""

    def __init__(self, target: str, doing: str, reason: str) -> None:
        super().__init__(target, doing, reason)
        self.target, self.doing, self.reason = target, doing, reason

    def __str__(self) -> str:
        return f"{self.doing} on {self.target} failed ({self.reason}); nothing of it was kept."


class FileAccessError(HookError, OSError):
    """A file cannot be read or written. Nothing was changed."""

    def __init__(self, path: str, doing: str, reason: str) -> None:
        super().__init__(path, doing, reason)
        self.path, self.doing, self.reason = path, doing, reason

    def __str__(self) -> str:
        return f"the file {self.path!r} cannot be {self.doing} ({self.reason}); check its path and who may use it."


class RowError(HookError, ValueError):
    """A line of a file is not a row of the table. Nothing of the file was loaded."""

    def __init__(self, path: str, line: int, problem: str) -> None:
        super().__init__(path, line, problem)
        self.path, self.line, self.problem = path, line, problem

    def __str__(self) -> str:
        return f"{self.path!r}, line {self.line}: {self.problem}; no row of the file was kept."


class MissingPackageError(HookError, ImportError):
    """An optional package is not installed."""

    def __init__(self, user: str, package: str, extra: str) -> None:
        super().__init__(user, package, extra)
        self.user, self.package, self.extra = user, package, extra

    def __str__(self) -> str:
        return missing_package(self.user, self.package, self.extra)
