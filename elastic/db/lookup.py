"""What hooks and templates ask the metadata database for. They look this module up when they need it."""

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
    """Return a connection with its password in clear, which logs will not show, or None if there is none of this id.

    Raises:
        DatabaseError: The database cannot be used, or the secret cannot be decrypted.
    """
    settings = read_settings()
    return ConnectionStore(open_database(settings), cipher_of(settings)).find(conn_id)


def variable_of_environment(key: str) -> str | None:
    """Return the value of ELASTIC_VAR_<KEY>, if it is set. Logs will not show what sounds like a secret."""
    found = os.environ.get("ELASTIC_VAR_" + re.sub(r"\W", "_", key, flags=re.ASCII).upper())
    hide_all(secrets_in(found, key))
    return found


def variable(key: str) -> str | None:
    """Return the value of a variable, of the environment or else of the database, or None if there is none.

    Raises:
        DatabaseError: The database cannot be used, or the value cannot be decrypted.
    """
    given = variable_of_environment(key)
    if given is not None:
        return given
    settings = read_settings()
    found = VariableStore(open_database(settings), cipher_of(settings)).find(key)
    return None if found is None else found.value
