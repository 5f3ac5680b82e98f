"""Messages about notifications: what happened, why, the end of the log, and a link, as plain text and as HTML."""

import datetime as dt
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from elastic.config.secret_mask import masked
from elastic.config.settings import Settings
from elastic.core.text import lines as visible
from elastic.core.text import one_line
from elastic.dag.ids import TaskKey
from elastic.dag.timetable.interval import zone_of
from elastic.db import queries
from elastic.db.stores.notifications import Notification
from elastic.notifiers.notifier import Message
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.log_location import log_path_at

#: Lines at the end of a log that a message shows, and the bytes among which they are looked for.
_LOG_LINES, _LOG_BYTES = 40, 16 * 1024
_MAX_LINE_LENGTH = 500

#: Notifications that a digest lists.
_MAX_LISTED = 100

_TRY_STARTS = " starting @"


def message_of(notifications: Sequence[Notification], deployment: Deployment, settings: Settings) -> Message:
    """Return the message about one notification, or the digest of several.

    Args:
        notifications: The notifications of the message.
        deployment: Database and folder of logs.
        settings: Settings of this installation, for the address of its pages.
    """
    base = settings.text("web.base_url").rstrip("/")
    first = notifications[0]
    shown = [(one, base and base + _path(one, deployment)) for one in notifications[:_MAX_LISTED]]
    notices = [{**_facts(one), "url": url} for one, url in shown]
    if len(notifications) == 1 and first.message_key == first.dedup_key:
        subject, url = first.subject, shown[0][1]
        paragraphs, log = _paragraphs(first), _log_tail(first, deployment)
    else:
        url = f"{base}/browse/notifications" if base else ""
        subject = f"[elastic] {len(notifications)} notifications"
        left = len(notifications) - len(shown)
        more = f" The first {len(shown)} are listed." if left else ""
        paragraphs = [f"{len(notifications)} notifications to you were collected, to send fewer messages.{more}"]
        log = [_plain(one.subject.removeprefix("[elastic] ")) + (f"  {link}" if link else "") for one, link in shown]
    return Message(
        key=first.message_key,
        subject=one_line(masked(subject)),
        text=_text(paragraphs, log, url),
        html=_html(paragraphs, log, url),
        url=url,
        created_at=first.created_at,
        notices=notices,
    )


def _facts(one: Notification) -> dict[str, Any]:
    names = ("event", "dag_id", "run_id", "task_id", "subject")
    return {**{name: getattr(one, name) for name in names}, **one.facts, "key": one.dedup_key}


def _paragraphs(one: Notification) -> list[str]:
    facts = one.facts
    date = _when(facts["logical_date"], facts["timezone"])
    if one.event == "deadline":
        what = f"Task {facts['late_task']} of DAG" if facts["late_task"] else "The run of DAG"
        due = _when(facts["due_at"], facts["timezone"])
        return [f"{what} {one.dag_id} for {date} is late: it had to succeed by {due}.", f"Run: {one.run_id}."]
    if not one.task_id:
        outcome = "failed" if one.event == "run_failed" else "succeeded"
        found = [f"The run of DAG {one.dag_id} for {date} {outcome}."]
        if one.event == "run_failed" and facts.get("failed_tasks"):
            found.append(f"Failed tasks: {', '.join(facts['failed_tasks'])}.")
        return [*found, f"Run: {one.run_id}."]
    which = f"in try {facts['try_number']} of {facts['max_tries']}" if facts.get("attempt_uuid") else "without a try"
    found = [f"Task {one.task_name} of DAG {one.dag_id} for {date} failed {which}."]
    if facts.get("reason"):
        found.append(f"Reason: {_plain(facts['reason'])}")
    if facts.get("next_retry_at"):
        found.append(f"It will be tried again at {_when(facts['next_retry_at'], facts['timezone'])}.")
    place = f", on {_plain(facts['host'])}" if facts.get("host") else ""
    return [*found, f"Run: {one.run_id}{place}."]


def _text(paragraphs: Sequence[str], log: Sequence[str], url: str) -> str:
    parts = list(paragraphs)
    if url:
        parts.append(url)
    if log:
        parts.append("\n".join(f"    {line}" for line in log))
    return "\n\n".join(parts) + "\n"


def _html(paragraphs: Sequence[str], log: Sequence[str], url: str) -> str:
    parts = [f"<p>{escape(one)}</p>" for one in paragraphs]
    if url:
        parts.append(f'<p><a href="{escape(url)}">{escape(url)}</a></p>')
    if log:
        parts.append(f"<pre>{escape(chr(10).join(log))}</pre>")
    return f"<!doctype html><html><body>{''.join(parts)}</body></html>\n"


def _path(one: Notification, deployment: Deployment) -> str:
    """Return the path of the page of the failed try, or of the run."""
    run = f"/dags/{quote(one.dag_id)}/runs/{quote(one.run_id)}"
    if not one.task_id or one.map_index is None:
        return run
    task = f"{run}/tasks/{quote(one.task_id)}" + (f"/{one.map_index}" if one.map_index >= 0 else "")
    attempts = queries.attempts(deployment.database, TaskKey(one.dag_id, one.run_id, one.task_id, one.map_index))
    # Pages count the attempts that started, over all clears.
    started = [attempt.attempt_uuid for attempt in attempts if attempt.started_at is not None]
    uuid = one.facts.get("attempt_uuid")
    return f"{task}?try={started.index(uuid) + 1}" if uuid in started else task


def _log_tail(one: Notification, deployment: Deployment) -> list[str]:
    """Return the last lines of the log of an attempt; if there is no log here, those of its error."""
    uuid = one.facts.get("attempt_uuid")
    if not one.task_id or one.map_index is None or uuid is None:
        return []
    key = TaskKey(one.dag_id, one.run_id, one.task_id, one.map_index)
    date = dt.datetime.fromisoformat(one.facts["logical_date"])
    path = log_path_at(deployment.logs, key, date, zone_of(one.facts["timezone"]))
    found = _last_lines(path)
    if not found:
        attempt = queries.attempt(deployment.database, uuid)
        found = (attempt.error or "").splitlines() if attempt is not None else []
    return [_plain(line)[:_MAX_LINE_LENGTH] for line in found[-_LOG_LINES:]]


def _last_lines(path: Path) -> list[str]:
    """Return lines at the end of a log, from the start of the last try on; none if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return []
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(0, size - _LOG_BYTES))
        found = file.read(_LOG_BYTES).decode("utf-8", "replace").splitlines()
    starts = [number for number, line in enumerate(found) if _TRY_STARTS in line]
    # The header of a try ends with a rule below the line with its start.
    first = starts[-1] + 2 if starts else int(size > _LOG_BYTES)
    return found[first:]


def _plain(text: str) -> str:
    return one_line(visible(masked(text)))


def _when(instant: str, timezone: str) -> str:
    local = dt.datetime.fromisoformat(instant).astimezone(zone_of(timezone))
    return f"{local:%Y-%m-%d}" if local.time() == dt.time() else f"{local:%Y-%m-%d %H:%M:%S %Z}"
