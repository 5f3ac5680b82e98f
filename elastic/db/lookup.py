"""Lookup of connections and variables for hooks and templates, which import this module on first use."""

import os
import re

from elastic.config.secret_mask import hide_all, secrets_in
from elastic.config.settings import read_settings
from elastic.db.encryption import cipher_of
from elastic.db.open_database import open_database
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.variables import VariableStore
from elastic.hooks.connection import Connection


def connection(conn_id: str) -> Connection | None:
    """Return a connection with its decrypted password, which logs mask, or None if the id is unknown.

    Raises:
        DatabaseError: The database cannot be used, or the secret cannot be decrypted.
    """
    settings = read_settings()
    return ConnectionStore(open_database(settings), cipher_of(settings)).find(conn_id)


def variable_of_environment(key: str) -> str | None:
    """Return the value of ELASTIC_VAR_<KEY>, or None if it is not set. Logs mask it if its name suggests a secret."""
    found = os.environ.get("ELASTIC_VAR_" + re.sub(r"\W", "_", key, flags=re.ASCII).upper())
    hide_all(secrets_in(found, key))
    return found


def variable(key: str) -> str | None:
    """Return the value of a variable from the environment, else from the database, or None if it is not set.

    Raises:
        DatabaseError: The database cannot be used, or the value cannot be decrypted.
    """
    given = variable_of_environment(key)
    if given is not None:
        return given
    settings = read_settings()
    found = VariableStore(open_database(settings), cipher_of(settings)).find(key)
    return None if found is None else found.value
