"""Connections in the form of `airflow connections export`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elastic.cli.printing.output import say
from elastic.config.connection_kinds import KINDS
from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection

#: Kinds by the types of Airflow that have other names.
_KINDS = {
    "postgres": "postgresql",
    "aws": "s3",
    "google_cloud_platform": "gs",
    "wasb": "abfs",
    "hiveserver2": "hive",
    "email": "smtp",
}

_FIELDS = ("conn_type", "host", "login", "password", "schema", "port", "extra", "description")


def airflow_connection(conn_id: str, value: Mapping[str, Any], path: Path) -> Connection:
    """Return a connection of Airflow; print a warning if Elastic has nothing that uses its kind.

    Raises:
        UsageError: A field is unknown or invalid. The message shows no value.
    """
    unknown = sorted(set(value) - set(_FIELDS))
    if unknown:
        raise UsageError(f"{path}: connection {conn_id!r} has the unknown field {unknown[0]!r}; remove it.")
    fields = {name: value.get(name) or None for name in ("host", "login", "password", "schema")}
    kind, port = value["conn_type"], value.get("port") or None
    wrong = [name for name, one in {**fields, "conn_type": kind}.items() if not isinstance(one, str | None)]
    if wrong or not kind or (port is not None and (type(port) is not int or not 0 < port < 65536)):
        name = wrong[0] if wrong else "conn_type" if not kind else "port"
        raise UsageError(f"{path}: the field {name!r} of connection {conn_id!r} is invalid; correct it.")
    found = _KINDS.get(kind, kind)
    if found.partition("+")[0] not in KINDS:
        say(f"warning: nothing in Elastic uses the kind {found!r} of connection {conn_id!r}", err=True)
    return Connection(conn_id=conn_id, kind=found, port=port, extra=_extra(conn_id, value.get("extra"), path), **fields)


def _extra(conn_id: str, given: Any, path: Path) -> Mapping[str, Any]:
    """Return extra settings, which Airflow writes as a JSON object in a string."""
    try:
        read = json.loads(given) if isinstance(given, str) and given.strip() else given or {}
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise UsageError(f"{path}: the field 'extra' of connection {conn_id!r} must be a JSON object.")
    return read
