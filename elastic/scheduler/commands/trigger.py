"""Trigger: queue a run of a DAG on request."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.db import queries, transitions
from elastic.db.records import DagRun, RunType
from elastic.scheduler.catalog.dag_catalog import store
from elastic.scheduler.commands.planning import build_tracker, make_instances, new_run
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.deployment import Deployment


def trigger_run(
    deployment: Deployment,
    dag: DAG,
    date: dt.datetime | None,
    run_id: str | None,
    conf: Mapping[str, Any],
    *,
    is_served: bool = True,
) -> DagRun:
    """Queue a run of a DAG and insert its task instances.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        date: Logical date; None for now.
        run_id: Id of the run; None for an id made from the date.
        conf: Parameters for the tasks.
        is_served: True if a master of the scheduler service runs it; False if the caller does.

    Raises:
        UsageError: A run for the date exists.
    """
    moment = date or dt.datetime.now(dt.UTC)
    if queries.run_at(deployment.database, dag.dag_id, moment) is not None:
        raise UsageError(
            f"DAG {dag.dag_id!r} has a run for {moment:%Y-%m-%d %H:%M:%S} already; clear it, or give another date."
        )
    made = store(deployment, dag).set_in(new_run(dag.dag_id, dag, dag.schedule.interval_of(moment), RunType.MANUAL))
    run = transitions.ensure_run(
        deployment.database, replace(made, conf=conf, run_id=run_id or made.run_id, is_served=is_served)
    )
    tasks = list(dag.topological())
    make_instances(deployment.database, tasks, [run], build_tracker(deployment.database, tasks, [run], Overrides()))
    return run
