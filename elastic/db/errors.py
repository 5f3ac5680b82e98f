"""Errors of the metadata database.

    DatabaseError (ElasticError)
    ├── DatabaseUnavailableError (ConnectionError)  the server does not answer, or refuses the login
    ├── DatabaseBusyError (TimeoutError)            other processes held a lock for too long
    ├── DatabaseVersionError                        the tables belong to another version of Elastic
    └── SecretError (ValueError)                    a secret cannot be read or written
        ├── MissingKeyError                         there is no Fernet key
        └── WrongKeyError                           the secret was encrypted with another Fernet key
    UnknownRowError (UsageError, LookupError)       no DAG run, connection, variable or pool has this name
    RowExistsError (UsageError)                     the name is taken
    RunExistsError (UsageError)                     the DAG has a run for this logical date

No message contains a password: URLs are shown in masked form.
"""

import datetime as dt

from elastic.core.errors import ElasticError, UsageError


class DatabaseError(ElasticError):
    """The metadata database cannot be used."""


class DatabaseUnavailableError(DatabaseError, ConnectionError):
    """The database does not answer, or refuses the login."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        #: the URL without its password
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"the database {self.url} cannot be reached ({self.reason}); check `database.url` and the server."


class DatabaseBusyError(DatabaseError, TimeoutError):
    """Other processes kept the database locked for too long. Nothing was written."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(url, seconds)
        self.url, self.seconds = url, seconds

    def __str__(self) -> str:
        return (
            f"the database {self.url} was locked by other processes for {self.seconds:g} s; "
            "stop the process that holds the lock, or increase database.timeout."
        )


class DatabaseVersionError(DatabaseError):
    """The tables of the database belong to another version of Elastic."""

    def __init__(self, url: str, found: str, wanted: str, advice: str) -> None:
        super().__init__(url, found, wanted, advice)
        self.url, self.found, self.wanted, self.advice = url, found, wanted, advice

    def __str__(self) -> str:
        return f"the database {self.url} {self.found}, and this program works with {self.wanted}; {self.advice}."


class SecretError(DatabaseError, ValueError):
    """A secret cannot be read or written."""


class MissingKeyError(SecretError):
    """There is no Fernet key, so secrets can be neither stored nor read."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return (
            f"there is no Fernet key for {self.what}; make one with `elastic db make-key`, "
            "or give it in ELASTIC__SECRETS__FERNET_KEY."
        )


class WrongKeyError(SecretError):
    """The secret was encrypted with another Fernet key."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return (
            f"{self.what} was encrypted with another Fernet key; put the old key after the new one "
            "in secrets.fernet_key, or set the value again."
        )


class UnknownRowError(UsageError, LookupError):
    """No row in the database has this name."""

    def __init__(self, kind: str, name: str, advice: str) -> None:
        super().__init__(kind, name, advice)
        self.kind, self.name, self.advice = kind, name, advice

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} isn't defined; {self.advice}."


class RowExistsError(UsageError):
    """A row in the database has this name already."""

    def __init__(self, kind: str, name: str, advice: str) -> None:
        super().__init__(kind, name, advice)
        self.kind, self.name, self.advice = kind, name, advice

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} exists already; {self.advice}."


class RunExistsError(UsageError):
    """A DAG has a run for this logical date already."""

    def __init__(self, dag_id: str, logical_date: dt.datetime) -> None:
        super().__init__(dag_id, logical_date)
        self.dag_id, self.logical_date = dag_id, logical_date

    def __str__(self) -> str:
        date = f"{self.logical_date.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"DAG {self.dag_id!r} has a run for {date} already; clear it, or give another date."
