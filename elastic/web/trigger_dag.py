"""Trigger of a DAG by the page and by the API."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from elastic.db.records import DagRun
from elastic.scheduler.commands.trigger_stored import trigger_stored
from elastic.web.context import context_of
from elastic.web.errors import Conflict
from elastic.web.structures import Structure


def trigger_dag(
    request: Request,
    dag_id: str,
    found: Structure | None,
    *,
    date: dt.datetime | None,
    run_id: str | None,
    conf: Mapping[str, Any],
) -> DagRun:
    """Queue a run of a stored DAG.

    Args:
        request: The request.
        dag_id: The DAG.
        found: Its present structure; None if it has none.
        date: Logical date; None for now.
        run_id: Id of the run; None or an empty string for an id made from the date.
        conf: Parameters for the tasks.

    Raises:
        Conflict: The DAG can only be triggered from its file.
        UsageError: As in `trigger_stored`.
        InvalidKeyError: The id of the run contains invalid characters.
    """
    if found is not None and found.stored.obstacle:
        raise Conflict(
            f"DAG {dag_id!r} cannot be started here: {found.stored.obstacle}.",
            f"Start it with: elastic dags trigger {dag_id}",
        )
    context = context_of(request)
    return trigger_stored(context.database, dag_id, date or context.clock(), run_id, conf)
