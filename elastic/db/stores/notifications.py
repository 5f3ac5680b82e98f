"""Store of notifications: the outbox, as senders and users see it."""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.matching import same
from elastic.db.schema import notification as table
from elastic.db.sql_clock import Seconds, now

WAITING, SENT, FAILED = "waiting", "sent", "failed"
STATES = (WAITING, SENT, FAILED)

#: Seconds during which only the sender that took a message may work on it.
LEASE_SECONDS = 300.0

_HOUR_SECONDS = 3600.0
#: Seconds during which notifications above the limit are collected for a digest, and between two digests.
_COLLECT_SECONDS, _DIGEST_SECONDS = 60.0, 600.0

_columns = table.c
_IS_DUE = and_(_columns.state == WAITING, _columns.next_try_at <= now())


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Notification: a row of the outbox."""

    id: int
    dedup_key: str
    message_key: str
    event: str
    recipient: str
    dag_id: str
    run_id: str
    task_id: str | None
    map_index: int | None
    subject: str
    facts: Mapping[str, Any]
    state: str
    created_at: dt.datetime
    next_try_at: dt.datetime
    sent_at: dt.datetime | None
    tries: int
    last_error: str | None

    @property
    def task_name(self) -> str:
        """Task with the number of its copy; empty for a notification about a run."""
        copy = f"[{self.map_index}]" if self.map_index is not None and self.map_index >= 0 else ""
        return f"{self.task_id}{copy}" if self.task_id else ""


def is_due(database: Database) -> bool:
    """Return whether a notification may be sent now."""
    query = select(_columns.id).where(_IS_DUE).limit(1)
    return database.query(lambda connection: connection.execute(query).first()) is not None


def count_waiting(database: Database) -> int:
    """Return the number of notifications that wait to be sent."""
    query = select(func.count()).select_from(table).where(_columns.state == WAITING)
    return int(database.query(lambda connection: connection.execute(query).scalar_one()))


def take_message(database: Database, max_per_hour: int) -> list[Notification]:
    """Take the notifications of the message that is due next, in one transaction; none if nothing is due.

    Above `max_per_hour` messages to one recipient within an hour, all waiting notifications to it become one digest,
    once they have been collected for a minute, and at most every ten minutes. A message keeps its key and its
    notifications in all later tries.

    Args:
        database: The database.
        max_per_hour: Messages to one recipient within an hour.
    """

    def work(connection: Connection, _: bool) -> list[Notification]:
        while True:
            query = select(table).where(_IS_DUE).order_by(_columns.next_try_at, _columns.id).limit(1)
            first = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
            if first is None:
                return []
            key = first.message_key
            if first.tries == 0 and key == first.dedup_key:
                key = _fold(connection, first, max_per_hour)
            if key is not None:
                return _take(connection, key)

    return database.write(work)


def record_sent(database: Database, message: Sequence[Notification], note: str) -> None:
    """Record that a message was sent; `note` says what people should know, such as refused recipients."""
    _record(database, message, {"state": SENT, "sent_at": now(), "last_error": note or None})


def record_failed(database: Database, message: Sequence[Notification], error: str) -> None:
    """Record that a message will not be sent, and why."""
    _record(database, message, {"state": FAILED, "last_error": error})


def postpone(database: Database, message: Sequence[Notification], seconds: float, error: str) -> None:
    """Record that a message was not taken, and why; it is due again after some seconds."""
    _record(database, message, {"next_try_at": now(seconds), "last_error": error})


def retry(database: Database, ids: Collection[int] = ()) -> int:
    """Let notifications be sent again now: those with the given ids, or all failed ones; return their number."""
    wanted = _columns.id.in_(list(ids)) if ids else _columns.state == FAILED
    values = {"state": WAITING, "next_try_at": now(), "created_at": now(), "tries": 0, "sent_at": None}

    def work(connection: Connection, again: bool) -> int:
        count = connection.execute(update(table).where(wanted, _columns.state != WAITING).values(**values)).rowcount
        if count:
            audit.note(connection, "notifications retried", str(count))
        return count

    return database.write(work)


def due_now(database: Database) -> int:
    """Let all waiting notifications be due at once, except those that a sender works on; return their number."""
    is_free = or_(_columns.tries == 0, _columns.last_error.is_not(None))
    change = update(table).where(_columns.state == WAITING, is_free, _columns.next_try_at > now())
    return database.write(lambda connection, _: connection.execute(change.values(next_try_at=now())).rowcount)


def notifications(
    database: Database, *, state: str = "", dag_id: str = "", before: int | None = None, limit: int = 100
) -> list[Notification]:
    """Return the latest notifications, those with a smaller id than `before`.

    Args:
        database: The database.
        state: Only those in this state; empty for all.
        dag_id: Only those of this DAG; empty for all.
        before: Only those before this id.
        limit: Maximum number.
    """
    conditions: list[ColumnElement[bool]] = []
    if state:
        conditions.append(same(_columns.state, state))
    if dag_id:
        conditions.append(same(_columns.dag_id, dag_id))
    if before is not None:
        conditions.append(_columns.id < before)
    query = select(table).where(*conditions).order_by(_columns.id.desc()).limit(limit)
    return [_notification(row) for row in database.query(lambda connection: connection.execute(query).all())]


def _take(connection: Connection, key: str) -> list[Notification]:
    same_message = and_(_columns.message_key == key, _columns.state == WAITING)
    change = update(table).where(same_message)
    # Without an error, `due_now` knows that a sender works on it.
    connection.execute(change.values(tries=_columns.tries + 1, next_try_at=now(LEASE_SECONDS), last_error=None))
    rows = connection.execute(select(table).where(same_message).order_by(_columns.id)).all()
    return [_notification(row) for row in rows]


def _fold(connection: Connection, first: Any, max_per_hour: int) -> str | None:
    """Return the key of the message of a new notification; None if it has to wait for a digest."""
    of_recipient = _columns.recipient == first.recipient
    recent = and_(_columns.state == SENT, _columns.sent_at > now(-_HOUR_SECONDS), of_recipient)
    sent = connection.execute(select(func.count(_columns.message_key.distinct())).where(recent)).scalar_one()
    if sent < max_per_hour:
        return str(first.message_key)
    # Only notifications that no message contains yet; those of a failed try keep their message.
    fresh = and_(of_recipient, _columns.state == WAITING, _columns.tries == 0)
    oldest = select(func.max(Seconds(_columns.created_at, now()))).where(fresh)
    collected = float(connection.execute(oldest).scalar() or 0.0)
    digests = and_(recent, _columns.message_key != _columns.dedup_key)
    last = connection.execute(select(func.min(Seconds(_columns.sent_at, now()))).where(digests)).scalar()
    wait = max(_COLLECT_SECONDS - collected, 0.0 if last is None else _DIGEST_SECONDS - float(last))
    if wait > 0:
        connection.execute(update(table).where(fresh).values(next_try_at=now(wait)))
        return None
    key = hashlib.sha256(f"digest\0{first.dedup_key}".encode()).hexdigest()
    connection.execute(update(table).where(fresh).values(message_key=key))
    return key


def _record(database: Database, message: Sequence[Notification], values: Mapping[str, Any]) -> None:
    """Change the rows of a message, unless another sender has taken it meanwhile."""
    taken = [and_(_columns.id == one.id, _columns.tries == one.tries, _columns.state == WAITING) for one in message]

    def work(connection: Connection, _: bool) -> None:
        for one in taken:
            connection.execute(update(table).where(one).values(**values))

    database.write(work)


def _notification(row: Any) -> Notification:
    return Notification(**{**row._mapping, "facts": json.loads(row.facts)})
