"""Store of waits: what attempts wait for without a process."""

import datetime as dt
import json
from typing import Any

from sqlalchemy import Connection, func, select

from elastic.dag.execution.wait import Answer, Wait, WaitProgress, WaitSettings
from elastic.dag.execution.xcom import decode_xcom
from elastic.db.database import Database
from elastic.db.schema import task_trigger
from elastic.db.sql_clock import now

_wait = task_trigger.c


def wait_of(database: Database, attempt_uuid: str) -> tuple[Wait | None, dt.datetime]:
    """Return the wait of an attempt, if it has one, and the time by the clock of the database."""
    query = select(task_trigger).where(_wait.attempt_uuid == attempt_uuid)

    def work(connection: Connection) -> tuple[Wait | None, dt.datetime]:
        row = connection.execute(query).one_or_none()
        return None if row is None else _of_row(row), connection.execute(select(now())).scalar_one()

    return database.query(work)


def checked_waits(database: Database) -> tuple[int, dt.datetime | None]:
    """Return the number of waits that triggerers check, and when the next check is due."""
    query = select(func.count(), func.min(_wait.next_check_at)).where(_wait.next_check_at.is_not(None))
    row = database.query(lambda connection: connection.execute(query).one())
    return int(row[0]), row[1]


def _of_row(row: Any) -> Wait:
    answer = None
    if row.answer is not None:
        found = json.loads(row.answer)
        answer = Answer(done=True, value=decode_xcom(found["value"], task_id=row.task_id), reason=found["reason"])
    return Wait(
        attempt_uuid=row.attempt_uuid,
        kind=row.kind,
        started_at=row.started_at,
        deadline=row.deadline,
        next_check_at=row.next_check_at,
        settings=WaitSettings.of_json(row.settings),
        progress=WaitProgress(checks=row.checks, errors=row.errors, reason=row.reason or ""),
        slice=row.slices,
        last_checked_at=row.last_checked_at,
        answer=answer,
    )
