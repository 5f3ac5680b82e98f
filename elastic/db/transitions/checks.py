"""Checks of triggerers: leases of waits, and the results of checks in one transaction."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Float, Integer, Select, String, and_, bindparam, func, insert, or_, select, update

from elastic.dag.execution.wait import WaitProgress, WaitSettings, WaitStep
from elastic.dag.ids import TaskKey
from elastic.db.database import Database
from elastic.db.records import AttemptResult, LogLine
from elastic.db.schema import log_line, task_attempt, task_trigger
from elastic.db.schema.types import Digest, Prose
from elastic.db.sql_clock import now
from elastic.db.transitions.attempts import finish_in
from elastic.db.transitions.waits import resume_in

_wait, _attempt = task_trigger.c, task_attempt.c

#: Attempts that one statement names.
_BATCH_SIZE = 500

#: Result of a check after which the wait goes on.
_UUID = bindparam("p_uuid", type_=Digest)
_CHECKED = (
    update(task_trigger)
    .where(
        _wait.attempt_uuid == _UUID,
        _wait.lease_owner == bindparam("p_owner", type_=String(64)),
    )
    .values(
        next_check_at=now(bindparam("p_check_in", type_=Float())),
        last_checked_at=now(),
        checks=bindparam("p_checks", type_=Integer()),
        errors=bindparam("p_errors", type_=Integer()),
        reason=bindparam("p_reason", type_=Prose),
        lease_owner=None,
        lease_expires_at=None,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWait:
    """Wait that a triggerer has leased, to check its condition."""

    key: TaskKey
    attempt_uuid: str
    kind: str
    #: JSON
    arguments: str
    #: digest of kind and arguments
    question: str
    #: connection of the trigger, or its kind: checks with the same one share a limit
    connection: str
    settings: WaitSettings
    progress: WaitProgress
    #: seconds until the deadline when the wait was leased; None without one
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Checked:
    """Wait with the consequence of its check."""

    wait: DueWait
    next: WaitStep
    #: result of the attempt; None if the wait goes on, or if the attempt continues in a process
    result: AttemptResult | None = None
    #: answer for the process in which the attempt continues (JSON)
    answer: str | None = None


def seconds_until_check(database: Database) -> float | None:
    """Return the seconds until a check is due that no triggerer does; 0 or less if one is. None without waits."""
    is_free = or_(_wait.lease_expires_at.is_(None), _wait.lease_expires_at < now())
    query = select(func.min(_wait.next_check_at), now()).where(_wait.next_check_at.is_not(None), is_free)
    first, at = database.query(lambda connection: connection.execute(query).one())
    return None if first is None else float((first - at).total_seconds())


def take_waits(
    database: Database, owner: str, lease: float, *, limit: int, full: Collection[str] = ()
) -> list[DueWait]:
    """Lease the waits whose next check is due, those that are due for the longest time first.

    Other waits with the same question come along if at least half of their delay has passed, so that one answer serves
    all of them, and from then on they are due together.

    Args:
        database: The database.
        owner: The triggerer.
        lease: Seconds after which another triggerer may check.
        limit: Maximum number of waits.
        full: Connections whose waits are left alone.
    """
    is_free = or_(_wait.lease_expires_at.is_(None), _wait.lease_expires_at < now())
    if full:
        is_free = and_(is_free, _wait.connection.not_in(sorted(full)))
    query = select(task_trigger, now().label("now")).where(is_free).order_by(_wait.next_check_at)
    query = query.with_for_update(skip_locked=True)

    def work(connection: Connection, _: bool) -> list[DueWait]:
        rows = connection.execute(query.where(_wait.next_check_at <= now()).limit(limit)).all()
        found = [_due(row) for row in rows]
        for questions in _batches({wait.question for wait in found}):
            found += _early_waits(connection, query.where(_wait.question.in_(questions)), found, limit - len(found))
        for uuids in _batches(wait.attempt_uuid for wait in found):
            change = update(task_trigger).where(_wait.attempt_uuid.in_(uuids))
            connection.execute(change.values(lease_owner=owner, lease_expires_at=now(lease)))
        return found

    return database.write(work)


def _early_waits(connection: Connection, query: Select[Any], due: Sequence[DueWait], limit: int) -> list[DueWait]:
    """Return the waits that may be checked together with those that are due."""
    horizon = max(map(_early_seconds, due))
    query = query.where(_wait.next_check_at > now(), _wait.next_check_at <= now(horizon)).limit(limit)
    rows = [(row, _due(row)) for row in connection.execute(query)]
    return [wait for row, wait in rows if (row.next_check_at - row.now).total_seconds() <= _early_seconds(wait)]


def _batches(things: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(things)
    return (ordered[at : at + _BATCH_SIZE] for at in range(0, len(ordered), _BATCH_SIZE))


def _early_seconds(wait: DueWait) -> float:
    """Return by how much a wait may be checked before it is due: half of its delay."""
    return wait.settings.delay_after(wait.progress.checks) / 2


def renew_waits(database: Database, owner: str, lease: float) -> None:
    """Renew the leases of a triggerer."""
    change = update(task_trigger).where(_wait.lease_owner == owner).values(lease_expires_at=now(lease))
    database.write(lambda connection, _: connection.execute(change))


def release_waits(database: Database, owner: str) -> None:
    """Give up the leases of a triggerer, so that others may check at once."""
    change = update(task_trigger).where(_wait.lease_owner == owner).values(lease_owner=None, lease_expires_at=None)
    database.write(lambda connection, _: connection.execute(change))


def record_checks(
    database: Database, owner: str, checked: Sequence[Checked], lines: Sequence[LogLine] = ()
) -> frozenset[str]:
    """Record the results of checks in one transaction.

    Args:
        database: The database.
        owner: The triggerer.
        checked: The waits and what follows.
        lines: Log lines to store.

    Returns:
        The attempts that ended by their results.
    """

    def work(connection: Connection, again: bool) -> frozenset[str]:
        going_on = [_checked(one, owner) for one in checked if one.next.check_in is not None]
        if going_on:
            connection.execute(_CHECKED, going_on)
        results = [one.result for one in checked if one.result is not None]
        ended = finish_in(connection, results, again=again) if results else frozenset[str]()
        for one in checked:
            if one.answer is not None:
                resume_in(connection, one.wait.key, one.wait.attempt_uuid, one.answer)
        if lines:
            connection.execute(insert(log_line), [asdict(line) for line in lines])
        return ended

    return database.write(work)


def _checked(one: Checked, owner: str) -> dict[str, Any]:
    progress = one.next.progress
    return {
        "p_uuid": one.wait.attempt_uuid,
        "p_owner": owner,
        "p_check_in": one.next.check_in,
        "p_checks": progress.checks,
        "p_errors": progress.errors,
        "p_reason": progress.reason,
    }


def _due(row: Any) -> DueWait:
    left = None if row.deadline is None else (row.deadline - row.now).total_seconds()
    return DueWait(
        key=TaskKey(row.dag_id, row.run_id, row.task_id, row.map_index),
        attempt_uuid=row.attempt_uuid,
        kind=row.kind,
        arguments=row.arguments,
        question=row.question,
        connection=row.connection,
        settings=WaitSettings.of_json(row.settings),
        progress=WaitProgress(checks=row.checks, errors=row.errors, reason=row.reason or ""),
        seconds_left=left,
    )
