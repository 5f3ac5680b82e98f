"""Secrets that a process can access. All of them are masked before user code runs, including those never used."""

import os
import re
from functools import lru_cache
from pathlib import Path

from elastic.config.options import BY_NAME
from elastic.config.secret_mask import hide_all, secrets_in
from elastic.config.settings import Settings, read_settings
from elastic.core.errors import ElasticError
from elastic.db.encryption import Cipher, keys_of
from elastic.db.open_database import open_database
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.variables import VariableStore
from elastic.hooks.connection_lookup import secrets_of_url

_CONNECTION, _VARIABLE = "ELASTIC_CONN_", "ELASTIC_VAR_"

#: Names of environment variables of other programs that certainly hold secrets. `auth` or `key` alone would also match
#: variables that hold paths and words.
_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE)$|(^|_)(SECRET|TOKEN|CREDENTIALS?|(API|ACCESS|SECRET|PRIVATE)_?KEY)$", re.IGNORECASE
)
#: Values of such variables that are not secrets.
_PLAIN_VALUES = frozenset(("true", "false", "none", "null", "token", "password"))


def hide_known_secrets(*, again: bool = False) -> None:
    """Mask all secrets that this process can access: from the environment, the key file and the database.

    The work is done once per environment, and forked processes inherit it. Unreadable secrets are left out, because
    no other code in the process can read them either.

    Args:
        again: Read the secrets again. A process that runs for days needs this for secrets stored meanwhile.
    """
    if again:
        _hide.cache_clear()
    _hide(frozenset(os.environ.items()))


@lru_cache(maxsize=1)
def _hide(environment: frozenset[tuple[str, str]]) -> None:
    found = [secret for name, value in environment for secret in _of_variable(name, value)]
    hide_all(found)
    try:
        settings = read_settings()
        keys = keys_of(settings)
        hide_all(_lines_of(Path(settings.text("bundle.signing_key_path"))))
        hide_all(secrets_of_url(settings.text("database.url")))
        if keys:
            _hide_stored(settings, Cipher(keys))
    except ElasticError:
        return


def _hide_stored(settings: Settings, cipher: Cipher) -> None:
    database = open_database(settings)
    hide_all([secret for one in ConnectionStore(database, cipher).readable() for secret in one.secrets])
    hide_all(
        [secret for one in VariableStore(database, cipher).readable() for secret in secrets_in(one.value, one.key)]
    )


def _of_variable(name: str, value: str) -> list[str]:
    upper = name.upper()
    if upper.startswith(_CONNECTION):
        return secrets_of_url(value)
    if upper.startswith(_VARIABLE):
        return secrets_in(value, name[len(_VARIABLE) :])
    setting = BY_NAME.get(upper.removeprefix("ELASTIC__").lower().replace("__", ".", 1))
    if setting is not None and setting.name == "database.url":
        return secrets_of_url(value)
    if setting is not None:
        return value.split(",") if setting.is_secret else []
    if _SECRET_NAME.search(name) and value.lower() not in _PLAIN_VALUES and not _is_path(value):
        return [value]
    return secrets_in(value, "")


def _is_path(value: str) -> bool:
    try:
        return Path(value).exists()
    except OSError:
        return False


def _lines_of(path: Path) -> list[str]:
    try:
        return path.expanduser().read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
