"""Process that tests a stored connection for the web server: `python -m elastic.service.connection_check ID`.

It prints a JSON object with `ok` and `message`. The web server has no hooks, and a driver that hangs must not hang it.
"""

import json
import sys

from elastic.config.secret_mask import masked
from elastic.config.settings import Settings, read_settings
from elastic.core.errors import ElasticError
from elastic.core.text import error_text, one_line
from elastic.db.encryption import cipher_of
from elastic.db.open_database import open_database
from elastic.db.stores.connections import ConnectionStore
from elastic.hooks.connection import Connection
from elastic.hooks.hook import ConnectionTest
from elastic.hooks.registry import hook_of

#: Kinds whose clients connect to the host of the connection and to no other.
_KINDS = ("postgresql", "mysql", "smtp", "smtps")
#: Extra settings that name no other host, file or service.
_EXTRA = frozenset(("sslmode", "connect_timeout", "charset", "application_name", "starttls", "timeout"))
#: Longest message (characters).
_MAX_MESSAGE = 500


def refusal(found: Connection, allowed: str) -> str:
    """Return why a connection must not be tested from a page, as one sentence; empty if it may.

    A page must not make the server connect to any host that a user types. Hosts are compared as they are written, so
    another form of the same address is another host.

    Args:
        found: The connection.
        allowed: The setting `web.test_connections`: hosts separated by commas, with a port for one port only.
    """
    host = (found.host or "").lower()
    hosts = {one.strip().lower() for one in allowed.split(",") if one.strip()}
    others = sorted(set(found.extra) - _EXTRA)
    advice = f"use `elastic connections test {found.conn_id}`"
    if found.backend not in _KINDS:
        return f"pages test connections of the kinds {', '.join(_KINDS)}, not {found.kind}; {advice}."
    if not host or not hosts & {host, f"{host}:{found.port}"}:
        return f"the host {found.host or ''!r} is not in the setting web.test_connections; {advice}."
    if others or "=" in (found.schema or "") or "/" in (found.schema or ""):
        what = f"extra setting {others[0]!r}" if others else "database name"
        return f"its {what} may lead to another host or file; {advice}."
    return ""


def answer_of(settings: Settings, conn_id: str) -> ConnectionTest:
    """Test a stored connection, or say why not. Connections of environment variables are not used."""
    try:
        found = ConnectionStore(open_database(settings), cipher_of(settings)).get(conn_id)
        refused = refusal(found, settings.text("web.test_connections"))
        result = ConnectionTest(False, refused) if refused else hook_of(found).test_connection()
    except ElasticError as error:
        result = ConnectionTest(False, error_text(error))
    return ConnectionTest(result.ok, one_line(masked(result.message))[:_MAX_MESSAGE])


if __name__ == "__main__":
    print(json.dumps(answer_of(read_settings(), sys.argv[1])._asdict()))  # noqa: T201 - the result
