"""Trigger: queue a run of a DAG on request."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from elastic.dag.dag import DAG
from elastic.dag.timetable.schedule import Schedule
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType
from elastic.scheduler.catalog.dag_catalog import Digests, store
from elastic.scheduler.commands.planning import build_tracker, check_logical_date, make_instances, new_run
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.errors import ConfError

#: Maximum nesting of the parameters of a run (levels), far below the limits of JSON parsers and pages.
_MAX_CONF_DEPTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Request of a user to run a DAG."""

    #: logical date; None for now
    date: dt.datetime | None = None
    #: None for an id derived from the date
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
        run_id: Id of the run; None for an id derived from the date.
        conf: Parameters for the tasks.
        is_served: True if a master of the scheduler service runs it; False if the caller does.

    Raises:
        UsageError: As in `queue_run`.
        InvalidKeyError: The id of the run contains invalid characters.
    """
    request = RunRequest(date=date, run_id=run_id, conf=conf, is_served=is_served)
    return queue_run(deployment.database, DagSpec.of(dag), dag.schedule, store(deployment, dag), request)


def queue_run(database: Database, dag: DagSpec, schedule: Schedule, digests: Digests, request: RunRequest) -> DagRun:
    """Queue a run of a stored DAG and insert its task instances.

    Args:
        database: The database.
        dag: The DAG.
        schedule: The schedule of the DAG, which determines the data interval.
        digests: Digests of source and structure for the run.
        request: Date, id and parameters of the run.

    Raises:
        RunExistsError: A run for the date exists.
        LogicalDateError: The date is outside of the years in which runs can be.
        ConfError: The parameters are not JSON, or nested too deeply.
        UsageError: The id belongs to another run.
        InvalidKeyError: The id of the run contains invalid characters.
    """
    interval = schedule.interval_of(check_logical_date(request.date or dt.datetime.now(dt.UTC)))
    check_conf(request.conf)
    made = digests.set_in(new_run(dag.dag_id, schedule, interval, RunType.MANUAL))
    wanted = replace(made, conf=request.conf, run_id=request.run_id or made.run_id, is_served=request.is_served)
    run = transitions.insert_run(database, wanted)
    tasks = list(dag.tasks.values())
    make_instances(database, tasks, [run], build_tracker(database, tasks, [run], Overrides()))
    return run


def check_conf(conf: Mapping[str, Any]) -> None:
    """Check that the parameters of a run are JSON that all readers can read.

    Raises:
        ConfError: A number is NaN or infinite, or the nesting is too deep.
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
            break
    else:
        raise ConfError(f"the conf of the run is nested more than {_MAX_CONF_DEPTH} levels deep; make it flatter.")
    try:
        # `insert_run` refuses objects that are no JSON values.
        json.dumps(dict(conf), allow_nan=False, default=str)
    except ValueError as error:
        raise ConfError("the conf of the run is not JSON: infinity or NaN is not a JSON number.") from error
