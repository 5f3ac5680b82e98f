"""Connections in the files of `elastic connections export` and `airflow connections export`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from elastic.cli.printing.output import say
from elastic.config.connection_kinds import KINDS
from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection

#: Kinds by the types of Airflow that have other names.
_AIRFLOW_KINDS = {
    "postgres": "postgresql",
    "aws": "s3",
    "google_cloud_platform": "gs",
    "wasb": "abfs",
    "hiveserver2": "hive",
    "email": "smtp",
}

_TEXTS = ("host", "login", "password", "schema")


def imported_connection(conn_id: str, value: Any, path: Path) -> Connection:
    """Return a connection of a file: a URL, or fields, of which `conn_type` and `description` are those of Airflow.

    Prints a warning if Elastic has nothing that uses the kind of a connection of Airflow.

    Raises:
        UsageError: A field is unknown or invalid. The message shows no value.
    """
    if isinstance(value, str):
        return Connection.of_url(value, conn_id)
    if not isinstance(value, Mapping):
        raise UsageError(f"{path}: connection {conn_id!r} must be a URL, or a mapping of fields.")
    if "conn_type" not in value:
        return _of_fields(conn_id, value, "kind", path)
    given = {name: one for name, one in value.items() if name != "description"}
    found = _of_fields(conn_id, given, "conn_type", path)
    found = replace(found, kind=_AIRFLOW_KINDS.get(found.kind, found.kind))
    if found.kind == "http":
        found = _http_of_airflow(found, path)
    if found.kind.partition("+")[0] not in KINDS:
        say(f"warning: nothing in Elastic uses the kind {found.kind!r} of connection {conn_id!r}", err=True)
    return found


def _http_of_airflow(found: Connection, path: Path) -> Connection:
    """Return a connection whose schema was the protocol, and whose host may have been a URL."""
    host = found.host or ""
    try:
        parts = urlsplit(host if "://" in host else f"{found.schema or 'http'}://{host}")
        port = found.port or parts.port
    except ValueError:
        raise UsageError(f"{path}: the field 'host' of connection {found.conn_id!r} is invalid; correct it.") from None
    return replace(found, kind=parts.scheme, host=parts.hostname, port=port, schema=parts.path.strip("/") or None)


def _of_fields(conn_id: str, given: Mapping[str, Any], kind_field: str, path: Path) -> Connection:
    known = (kind_field, *_TEXTS, "port", "extra")
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise UsageError(f"{path}: connection {conn_id!r} has the unknown field {unknown[0]!r}; remove it.")
    kind, port = given.get(kind_field), given.get("port") or None
    texts = {name: given.get(name) or None for name in _TEXTS}
    wrong = [name for name, one in texts.items() if not isinstance(one, str | None)]
    if not isinstance(kind, str) or not kind:
        wrong.append(kind_field)
    if port is not None and (type(port) is not int or not 0 < port < 65536):
        wrong.append("port")
    if wrong:
        raise UsageError(f"{path}: the field {wrong[0]!r} of connection {conn_id!r} is missing or invalid; correct it.")
    extra = _extra(conn_id, given.get("extra"), path)
    return Connection(conn_id=conn_id, kind=str(kind), port=port, extra=extra, **texts)


def _extra(conn_id: str, given: Any, path: Path) -> Mapping[str, Any]:
    """Return extra settings, which Airflow writes as a JSON object in a string."""
    try:
        read = json.loads(given) if isinstance(given, str) and given.strip() else given or {}
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise UsageError(f"{path}: the field 'extra' of connection {conn_id!r} must be a JSON object.")
    return read
