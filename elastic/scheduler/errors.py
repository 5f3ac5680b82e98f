"""Errors of requests to run a DAG."""

from elastic.core.errors import UsageError


class LogicalDateError(UsageError):
    """A run cannot have this logical date."""


class ConfError(UsageError):
    """The parameters of a run are not JSON, or nested too deeply."""
