"""Panel beside the grid: details of a run, of a task instance or of a mapped task."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import ElasticError
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import ATTENTION_ORDER, RunState, TaskState, state_of_copies
from elastic.db import queries
from elastic.db.page_queries import instances
from elastic.db.page_queries.instances import InstanceFilter
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.web.context import context_of
from elastic.web.log_file import MissingLogError, ShownLine, open_log
from elastic.web.pages.grid import numbers_of
from elastic.web.pages.log import log_path_of
from elastic.web.pages.lookups import dag_url, instance_of, instance_url, run_of, run_url
from elastic.web.pages.why import first_obstacle
from elastic.web.rendering import render
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.views.failure import failure_of

router = Router()

#: Maximum number of failed instances in the panel of a run, and of log lines.
_MAX_FAILED = 8
_LOG_LINES = 6
_LOG_BYTES = 8 * 1024


@router.get("/dags/{dag_id}/runs/{run_id}/panel", requires=Right.READ)
def run_panel(request: Request, dag_id: str, run_id: str) -> Response:
    """Return the details of a run as a fragment."""
    return render(request, "panel.html", panel=panel_of_run(request, run_of(request, dag_id, run_id)))


@router.get("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/panel", requires=Right.READ)
def task_panel(request: Request, dag_id: str, run_id: str, task_id: str) -> Response:
    """Return the details of a task in a run as a fragment."""
    return render(request, "panel.html", panel=panel_of_task(request, TaskKey(dag_id, run_id, task_id)))


def panel_of_run(request: Request, run: DagRun) -> dict[str, Any]:
    """Return the panel of a run."""
    database = context_of(request).database
    counts = instances.state_counts(database, run.dag_id, run.run_id)
    failed: list[TaskInstanceRow] = []
    if run.state is RunState.FAILED or counts.get(TaskState.FAILED):
        failed, _ = instances.instances_page(
            database, run.dag_id, run.run_id, InstanceFilter(states=[TaskState.FAILED]), limit=_MAX_FAILED
        )
    errors = instances.errors_of(database, [one.attempt_uuid for one in failed if one.attempt_uuid])
    seconds = (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else None
    return {
        "kind": "run",
        "run": run,
        "url": run_url(run.dag_id, run.run_id),
        "clear_url": f"{dag_url(run.dag_id)}/clear",
        "counts": ordered(counts),
        "version": numbers_of(request, run.dag_id).get(run.structure_digest or ""),
        "seconds": seconds,
        "failed": [
            {
                "name": one.key.task_name,
                "url": instance_url(one.key),
                "state": one.state,
                "error": errors.get(one.attempt_uuid or "", one.note or ""),
            }
            for one in failed
        ],
    }


def panel_of_task(request: Request, key: TaskKey) -> dict[str, Any]:
    """Return the panel of a task instance, or of a whole mapped task."""
    run, row = instance_of(request, key)
    common = {
        "kind": "task",
        "run": run,
        "run_url": run_url(run.dag_id, run.run_id),
        "clear_url": f"{dag_url(run.dag_id)}/clear",
        "task_id": key.task_id,
        "url": instance_url(key),
        "name": key.task_name,
        "version": numbers_of(request, run.dag_id).get(run.structure_digest or ""),
    }
    if row is None:
        return {**common, **_of_copies(request, key)}
    database = context_of(request).database
    attempt = queries.attempt(database, row.attempt_uuid) if row.attempt_uuid else None
    failure = failure_of((attempt.error if attempt else None) or row.note)
    is_bad = row.state in (TaskState.FAILED, TaskState.UP_FOR_RETRY, TaskState.UPSTREAM_FAILED)
    return {
        **common,
        "state": row.state,
        "tries": tries_of(row),
        "error": failure if is_bad else None,
        "counts": [],
        "facts": _facts(row),
        "started_at": row.started_at,
        "seconds": row.duration,
        "why": first_obstacle(request, run, row),
        "log": _tail(request, run, key) if row.started_at else [],
    }


def ordered(counts: dict[TaskState | None, int]) -> list[tuple[TaskState | None, int]]:
    """Return counts of states, those that need attention first."""
    rank = {state: at for at, state in enumerate(ATTENTION_ORDER)}
    return sorted(counts.items(), key=lambda pair: rank.get(pair[0], len(rank)))


def tries_of(row: TaskInstanceRow) -> str:
    """Return the number of the try in words; an empty string before the first one."""
    return f"try {row.try_number} of {row.max_tries}" if row.try_number else ""


def _facts(row: TaskInstanceRow) -> list[tuple[str, str]]:
    facts = [("operator", row.operator or "-")]
    if row.host:
        facts.append(("ran on", row.host + (f", pid {row.pid}" if row.pid else "")))
    if row.pool != "default" or row.pool_slots != 1:
        facts.append(("pool", f"{row.pool} ({row.pool_slots} slot{'s' * (row.pool_slots != 1)})"))
    return facts


def _of_copies(request: Request, key: TaskKey) -> dict[str, Any]:
    """Return the panel of a mapped task: counts of its copies, and the first failure."""
    database = context_of(request).database
    counts = instances.task_counts(database, key)
    failed, _ = instances.instances_page(
        database, key.dag_id, key.run_id, InstanceFilter(states=[TaskState.FAILED], task_id=key.task_id), limit=1
    )
    error = None
    if failed:
        attempt = queries.attempt(database, failed[0].attempt_uuid) if failed[0].attempt_uuid else None
        found = failure_of((attempt.error if attempt else None) or failed[0].note)
        error = replace(found, line=f"{failed[0].key.task_name}: {found.line}") if found else None
    return {
        "state": state_of_copies(counts),
        "tries": "",
        "error": error,
        "counts": ordered(counts),
        "facts": [],
        "started_at": None,
        "seconds": None,
        "why": "",
        "log": [],
    }


def _tail(request: Request, run: DagRun, key: TaskKey) -> list[ShownLine]:
    """Return the last lines of the log; none if there is no file. The page of the instance gives the reason."""
    try:
        path = log_path_of(request, run, key)
        with open_log(context_of(request).deployment.logs, path) as log:
            piece = log.last_piece(_LOG_BYTES)
            lines = [line for line in piece.lines if line.text.strip()]
            return lines[-_LOG_LINES:]
    except (MissingLogError, ElasticError):
        return []
