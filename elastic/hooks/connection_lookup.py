"""Lookup of connections by id: first in the environment, then in the metadata database."""

import os
import re
from importlib import import_module
from typing import Protocol, cast
from urllib.parse import unquote, unquote_plus, urlsplit

from elastic.config.secret_mask import hide_all
from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.errors import ConnectionNotDefinedError

#: Imported at first use, so that hooks work without the metadata database.
_PORT = "elastic.db.lookup"


class ConnectionPort(Protocol):
    """Interface of the metadata database."""

    def connection(self, conn_id: str) -> Connection | None:
        """Return the connection with its decrypted password, or None if the id is unknown."""


def variable_of(conn_id: str) -> str:
    """Return the environment variable that may hold a connection's URL."""
    return "ELASTIC_CONN_" + re.sub(r"\W", "_", conn_id, flags=re.ASCII).upper()


def connection(conn_id: str) -> Connection:
    """Return a connection by its id.

    Raises:
        ConnectionNotDefinedError: Neither the environment nor the metadata database knows it.
        UsageError: Its URL cannot be read.
    """
    variable = variable_of(conn_id)
    url = os.environ.get(variable)
    if url:
        found = Connection.of_url(url, conn_id)
        hide_secrets(found)
        return found
    port = _port()
    kept = port.connection(conn_id) if port else None
    if kept is None:
        raise ConnectionNotDefinedError(conn_id, variable)
    hide_secrets(kept)
    return kept


def hide_secrets(found: Connection) -> None:
    """Mask the secrets of a connection in all logs of this process from now on."""
    hide_all(found.secrets)


def secrets_of_url(url: str) -> list[str]:
    """Return the secrets in the URL of a connection; for an invalid URL, the part before its last @."""
    try:
        found = Connection.of_url(url).secrets
    except UsageError:
        login = url.partition("://")[2].rpartition("@")[0]
        return [url, login, login.partition(":")[2]]
    parts = urlsplit(url)
    # As this URL writes them: %2f or %61, where others write %2F or a.
    raw = [parts.password or "", *(setting.partition("=")[2] for setting in parts.query.split("&"))]
    return [*found, *(one for one in raw if unquote(one) in found or unquote_plus(one) in found)]


def _port() -> ConnectionPort | None:
    try:
        return cast("ConnectionPort", import_module(_PORT))
    except ModuleNotFoundError as error:
        if error.name in (_PORT, _PORT.rpartition(".")[0]):
            return None
        raise
