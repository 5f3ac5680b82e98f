"""Outbox: notifications about failed attempts and ended runs, stored in the transactions that end them.

The recipients are those of the stored structure of the DAG, because the process that ends an attempt may not have
loaded the DAG file. A sender sends the notifications later.
"""

import datetime as dt
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from elastic.config.secret_mask import masked
from elastic.core.text import one_line, writable
from elastic.dag.ids import TaskKey
from elastic.dag.recipients import mail_recipient
from elastic.dag.states.state import RunState, TaskState
from elastic.dag.timetable.interval import LogicalDate, zone_of
from elastic.db.matching import insert_if_absent, key_bind, key_match
from elastic.db.schema import dag_run, dag_structure, notification, task_instance
from elastic.db.sql_clock import now

_run, _ti = dag_run.c, task_instance.c

#: Events by the state that an attempt leaves, and by that of a run.
_TASK_EVENTS = {TaskState.FAILED: "failed", TaskState.UP_FOR_RETRY: "retry"}
_RUN_EVENTS = {RunState.FAILED: "run_failed", RunState.SUCCESS: "run_success"}

#: Characters of an error that a notification keeps.
_MAX_REASON_LENGTH = 1000

_INSTANCE = (
    select(_ti.try_number, _ti.max_tries, _ti.version, _ti.host, _ti.started_at, _ti.ended_at, _ti.next_retry_at)
    .add_columns(_run.logical_date, _run.attempt, _run.structure_digest)
    .join_from(task_instance, dag_run, (_run.dag_id == _ti.dag_id) & (_run.run_id == _ti.run_id))
    .where(key_match(_ti))
)


@dataclass(frozen=True, slots=True)
class _Recipients:
    """Recipients of the notifications of a DAG, from its stored structure."""

    timezone: str
    #: recipients by event of a run
    of_run: Mapping[str, tuple[str, ...]]
    #: recipients by task and event
    of_task: Mapping[tuple[str, str], tuple[str, ...]]


#: Recipients of a DAG that is not stored.
_NO_RECIPIENTS = _Recipients("UTC", {}, {})


@dataclass(frozen=True, slots=True)
class _Ending:
    """Facts about an ending."""

    event: str
    #: identifies the ending among all of its kind
    key: Sequence[object]
    ids: Mapping[str, Any]
    subject: str
    facts: Mapping[str, Any]


#: Recipients by digest of the structure, whose content never changes; the latest ones last.
_known: OrderedDict[str, _Recipients] = OrderedDict()
_MAX_KNOWN = 256


def add_of_instance(
    connection: Connection, key: TaskKey, state: TaskState, error: str | None, attempt_uuid: str | None = None
) -> None:
    """Store the notifications about a failed attempt, or about an instance that failed without one.

    Args:
        connection: The transaction that ends it, in which the instance has its new state.
        key: The instance.
        state: State that the instance has now.
        error: A sentence or a traceback.
        attempt_uuid: The attempt; None if there was none.
    """
    event = _TASK_EVENTS.get(state)
    row = connection.execute(_INSTANCE, key_bind(key)).one_or_none() if event else None
    if event is None or row is None:
        return
    found = _recipients(connection, row.structure_digest)
    recipients = found.of_task.get((key.task_id, event), ())
    if not recipients:
        return
    date = _date(row.logical_date, found.timezone)
    which = f"try {row.try_number} of {row.max_tries}" if attempt_uuid else "without a try"
    facts = {
        "map_index": key.map_index,
        "attempt_uuid": attempt_uuid,
        "try_number": row.try_number,
        "max_tries": row.max_tries,
        "next_retry_at": _instant(row.next_retry_at if event == "retry" else None),
        "host": row.host,
        "started_at": _instant(row.started_at),
        "ended_at": _instant(row.ended_at),
        "reason": _reason(error),
        "logical_date": _instant(row.logical_date),
        "timezone": found.timezone,
        "run_attempt": row.attempt,
    }
    ending = (attempt_uuid,) if attempt_uuid else (*key_bind(key).values(), row.version)
    subject = f"{'failed' if event == 'failed' else 'will be retried'}: {key.dag_id}.{key.task_name} {date} ({which})"
    ids = {"dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "map_index": key.map_index}
    _insert(connection, _Ending(event, ending, ids, subject, facts), recipients)


def add_of_run(connection: Connection, dag_id: str, run_id: str, state: RunState) -> None:
    """Store the notifications about a run that ended.

    Args:
        connection: The transaction that ends it, in which the run has its final state.
        dag_id: The DAG.
        run_id: The run.
        state: Its final state.
    """
    event = _RUN_EVENTS.get(state)
    query = select(dag_run).where(_run.dag_id == dag_id, _run.run_id == run_id)
    row = connection.execute(query).one_or_none() if event else None
    if event is None or row is None:
        return
    found = _recipients(connection, row.structure_digest)
    recipients = found.of_run.get(event, ())
    if not recipients:
        return
    failed = select(_ti.task_id).where(_ti.dag_id == dag_id, _ti.run_id == run_id, _ti.state == TaskState.FAILED)
    tasks = connection.execute(failed.distinct().order_by(_ti.task_id).limit(20)).scalars().all()
    facts = {
        "failed_tasks": list(tasks),
        "started_at": _instant(row.started_at),
        "ended_at": _instant(row.ended_at),
        "logical_date": _instant(row.logical_date),
        "timezone": found.timezone,
        "run_attempt": row.attempt,
    }
    verb = "failed" if event == "run_failed" else "succeeded"
    subject = f"{verb}: run of {dag_id} {_date(row.logical_date, found.timezone)}"
    # A run whose tasks are cleared ends once more, with another version.
    ending = (dag_id, run_id, row.attempt, row.version)
    ids = {"dag_id": dag_id, "run_id": run_id, "task_id": None, "map_index": None}
    _insert(connection, _Ending(event, ending, ids, subject, facts), recipients)


def add_of_deadline(connection: Connection, row: Any, recipients: Sequence[str]) -> None:
    """Store the notifications about a missed deadline.

    Args:
        connection: The transaction that finds it missed.
        row: The deadline, with the logical date and the structure of its run.
        recipients: Recipients that the deadline names.
    """
    if not recipients:
        return
    timezone = _recipients(connection, row.structure_digest).timezone
    facts = {
        "late_task": row.task_id,
        "due_at": _instant(row.due_at),
        "logical_date": _instant(row.logical_date),
        "timezone": timezone,
    }
    what = f"{row.dag_id}.{row.task_id}" if row.task_id else f"run of {row.dag_id}"
    ids = {"dag_id": row.dag_id, "run_id": row.run_id, "task_id": None, "map_index": None}
    subject = f"late: {what} {_date(row.logical_date, timezone)}"
    _insert(connection, _Ending("deadline", (row.id,), ids, subject, facts), recipients)


def _insert(connection: Connection, ending: _Ending, recipients: Sequence[str]) -> None:
    rows = []
    for recipient in recipients:
        key = hashlib.sha256("\0".join(map(str, (ending.event, *ending.key, recipient))).encode()).hexdigest()
        rows.append(
            {
                **ending.ids,
                "dedup_key": key,
                "message_key": key,
                "event": ending.event,
                "recipient": recipient,
                "subject": f"[elastic] {ending.subject}",
                "facts": json.dumps(ending.facts),
                "state": "waiting",
                "tries": 0,
            }
        )
    statement = insert_if_absent(connection, notification).values(created_at=now(), next_try_at=now())
    connection.execute(statement, rows)


def _recipients(connection: Connection, digest: str | None) -> _Recipients:
    """Return the recipients of a stored DAG; none if it is not stored."""
    if digest is None:
        return _NO_RECIPIENTS
    if digest in _known:
        _known.move_to_end(digest)
        return _known[digest]
    query = select(dag_structure.c.structure).where(dag_structure.c.digest == digest)
    structure = connection.execute(query).scalar()
    if structure is None:
        return _NO_RECIPIENTS
    found = _known[digest] = _recipients_in(json.loads(structure))
    if len(_known) > _MAX_KNOWN:
        _known.popitem(last=False)
    return found


def _recipients_in(structure: Mapping[str, Any]) -> _Recipients:
    """Return the recipients in a stored structure; one of an earlier version names none."""
    of_task = {}
    for task in structure["tasks"]:
        if task.get("email"):
            recipient = (mail_recipient(task["email"]),)
            of_task[task["task_id"], "failed"] = recipient if task["email_on_failure"] else ()
            of_task[task["task_id"], "retry"] = recipient if task["email_on_retry"] else ()
    notify = tuple(structure.get("notify", ()))
    of_run = {"run_failed": notify, "run_success": notify if structure.get("notify_on_success") else ()}
    return _Recipients(structure["timezone"], of_run, of_task)


def _reason(error: str | None) -> str:
    """Return the last line of an error, which in a traceback names the error."""
    lines = (error or "").strip().splitlines()
    return one_line(writable(masked(lines[-1].strip()), _MAX_REASON_LENGTH)) if lines else ""


def _date(logical_date: dt.datetime, timezone: str) -> str:
    date = LogicalDate.of(logical_date, zone_of(timezone))
    return f"{date:%Y-%m-%d}" if (date.hour, date.minute, date.second) == (0, 0, 0) else f"{date:%Y-%m-%d %H:%M:%S}"


def _instant(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
