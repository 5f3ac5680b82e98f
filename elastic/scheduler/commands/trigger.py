"""Trigger: queue a run of a DAG on request."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.timetable.schedule import Schedule
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType
from elastic.scheduler.catalog.dag_catalog import Digests, store
from elastic.scheduler.commands.planning import build_tracker, check_logical_date, make_instances, new_run
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.deployment import Deployment

#: Maximum levels of nesting in the parameters of a run, far below what JSON parsers and pages can read.
_MAX_CONF_DEPTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Request of a user to run a DAG."""

    #: logical date; None for now
    date: dt.datetime | None = None
    #: None for an id made from the date
    run_id: str | None = None
    #: parameters for the tasks
    conf: Mapping[str, Any] = field(default_factory=dict)
    #: True if a master of the scheduler service runs it; False if the caller does
    is_served: bool = True


def trigger_run(
    deployment: Deployment,
    dag: DAG,
    date: dt.datetime | None,
    run_id: str | None,
    conf: Mapping[str, Any],
    *,
    is_served: bool = True,
) -> DagRun:
    """Queue a run of a loaded DAG and insert its task instances.

    Args:
        deployment: Database, folders and limits.
        dag: The DAG.
        date: Logical date; None for now.
        run_id: Id of the run; None for an id made from the date.
        conf: Parameters for the tasks.
        is_served: True if a master of the scheduler service runs it; False if the caller does.

    Raises:
        UsageError: A run for the date exists, or the date is outside of the years in which runs can be.
    """
    moment = check_logical_date(date or dt.datetime.now(dt.UTC))
    _check_date(deployment.database, dag.dag_id, moment)
    request = RunRequest(date=moment, run_id=run_id, conf=conf, is_served=is_served)
    return queue_run(deployment.database, DagSpec.of(dag), dag.schedule, store(deployment, dag), request)


def queue_run(database: Database, dag: DagSpec, schedule: Schedule, digests: Digests, request: RunRequest) -> DagRun:
    """Queue a run of a stored DAG and insert its task instances.

    Args:
        database: The database.
        dag: The DAG.
        schedule: Its schedule, which sets the data interval.
        digests: Source and structure that the run has.
        request: Date, id and parameters of the run.

    Raises:
        UsageError: A run for the date exists, the date is outside of the years in which runs can be, the parameters are
            nested too deeply, or the id belongs to another run.
        InvalidKeyError: The id of the run contains invalid characters.
    """
    interval = schedule.interval_of(check_logical_date(request.date or dt.datetime.now(dt.UTC)))
    _check_date(database, dag.dag_id, interval.start)
    check_conf(request.conf)
    made = digests.set_in(new_run(dag.dag_id, schedule, interval, RunType.MANUAL))
    wanted = replace(made, conf=request.conf, run_id=request.run_id or made.run_id, is_served=request.is_served)
    run = transitions.ensure_run(database, wanted)
    tasks = list(dag.tasks.values())
    make_instances(database, tasks, [run], build_tracker(database, tasks, [run], Overrides()))
    return run


def check_conf(conf: Mapping[str, Any]) -> None:
    """Check the nesting of the parameters of a run.

    Raises:
        UsageError: It is too deep.
    """
    level: list[Any] = [conf]
    for _ in range(_MAX_CONF_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(inner, Mapping | list | tuple)
        ]
        if not level:
            return
    raise UsageError(f"the conf of the run is nested more than {_MAX_CONF_DEPTH} levels deep; make it flatter.")


def _check_date(database: Database, dag_id: str, date: dt.datetime) -> None:
    if queries.run_at(database, dag_id, date) is not None:
        raise UsageError(
            f"DAG {dag_id!r} has a run for {date:%Y-%m-%d %H:%M:%S} already; clear it, or give another date."
        )
