"""Audit log: one row for each change, written in the transaction of the change.

A row names the user of the process, or the user of the web server for whom the process acts.
"""

import getpass
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, bindparam, insert, select

from elastic.dag.ids import TaskKey
from elastic.db.database import Database
from elastic.db.matching import key_bind, key_match
from elastic.db.schema import log, task_instance
from elastic.db.schema.types import Label, Prose, Word
from elastic.db.sql_clock import now

_ti = task_instance.c

_INSERT_FOR_INSTANCE = insert(log).from_select(
    [
        "at",
        "event",
        "dag_id",
        "run_id",
        "task_id",
        "map_index",
        "try_number",
        "attempt_uuid",
        "owner",
        "address",
        "detail",
    ],
    select(
        now(),
        bindparam("event", type_=Word),
        _ti.dag_id,
        _ti.run_id,
        _ti.task_id,
        _ti.map_index,
        _ti.try_number,
        _ti.attempt_uuid,
        bindparam("owner", type_=Label),
        bindparam("address", type_=Label),
        bindparam("detail", type_=Prose),
    ).where(key_match(_ti)),
)
_INSERT = insert(log).values(at=now())


@dataclass(frozen=True, slots=True)
class Actor:
    """User of the web server on whose behalf the process acts."""

    username: str
    #: client address of the request
    address: str


_actor: ContextVar[Actor | None] = ContextVar("elastic_actor", default=None)


@contextmanager
def acting_for(actor: Actor) -> Iterator[None]:
    """Log changes in this context under the name of a user of the web server."""
    before = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(before)


def owner() -> str:
    """Return the name of the user on whose behalf this process acts, by default of the user of the process."""
    actor = _actor.get()
    return _process_owner() if actor is None else actor.username


def _by() -> dict[str, str | None]:
    actor = _actor.get()
    return {"owner": owner(), "address": None if actor is None else actor.address}


@cache
def _process_owner() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def note_instances(connection: Connection, event: str, keys: Iterable[TaskKey], detail: str | None = None) -> None:
    """Log an event of task instances, with their present values."""
    by = _by()
    rows = [{**key_bind(key), **by, "event": event, "detail": detail} for key in keys]
    if rows:
        connection.execute(_INSERT_FOR_INSTANCE, rows if len(rows) > 1 else rows[0])


def note_run(connection: Connection, event: str, dag_id: str, run_id: str, detail: str | None = None) -> None:
    """Log an event of a DAG run."""
    connection.execute(_INSERT, {"event": event, "dag_id": dag_id, "run_id": run_id, "detail": detail, **_by()})


def note(connection: Connection, event: str, detail: str, dag_id: str | None = None) -> None:
    """Log an action of a user; `detail` names its object and must not contain secrets."""
    connection.execute(_INSERT, {"event": event, "dag_id": dag_id, "detail": detail, **_by()})


def record(database: Database, event: str, detail: str, *, dag_id: str | None = None) -> None:
    """Log an action of a user in a transaction of its own."""
    database.write(lambda connection, _: note(connection, event, detail, dag_id))
