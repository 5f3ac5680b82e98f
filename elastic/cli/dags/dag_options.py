"""Arguments and options that DAG commands share, and the lookup of the DAG they name."""

import datetime as dt
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.printing.output import say
from elastic.core.errors import UsageError

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.scheduler.deployment import Deployment


def read_date(text: str) -> dt.datetime:
    """Return an aware instant from `2016-02-22`, `2016-02-22T14:00` or any ISO 8601 time; the default zone is UTC.

    Raises:
        UsageError: The string is not a date.
    """
    try:
        read = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is not a date; write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS.") from None
    return read if read.tzinfo else read.replace(tzinfo=dt.UTC)


DagId = Annotated[str, typer.Argument(metavar="DAG", help="The id of the DAG.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The id of the task.")]
Date = Annotated[
    str, typer.Argument(metavar="DATE", help="Logical date, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, or a run id.")
]
Timeperiod = Annotated[
    str,
    typer.Argument(metavar="TIMEPERIOD", help="Such as 201602, 20160222 or 2016022214."),
]
Subdir = Annotated[
    Path | None,
    typer.Option("-sd", "--subdir", help="File or folder that defines the DAG; default: the DAG folder."),
]
StartDate = Annotated[
    str | None, typer.Option("-s", "--start-date", "--start_date", help="First logical date, YYYY-MM-DD.")
]
EndDate = Annotated[str | None, typer.Option("-e", "--end-date", "--end_date", help="Last logical date, inclusive.")]
TaskRegex = Annotated[
    str | None,
    typer.Option("-t", "--task-regex", "--task_regex", help="Only tasks whose ids match this pattern anywhere."),
]
MapIndex = Annotated[int, typer.Option("--map-index", min=-1, help="Index of one copy of a mapped task, from 0.")]


def deployment_and_dag(dag_id: str, subdir: Path | None, root: Path | None = None) -> "tuple[Deployment, DAG]":
    """Return the deployment of this process, and a DAG loaded from its file.

    Args:
        dag_id: The id of the DAG.
        subdir: File or folder to search; None for the DAG folder.
        root: Folder of all DAGs, which is also searched for helper modules; None to derive it from `subdir`.

    Raises:
        UnknownDagError: No file defines the DAG.
        BrokenDagError: The file of the DAG cannot be loaded.
    """
    from elastic.scheduler.catalog.dag_catalog import find
    from elastic.scheduler.deployment import Deployment

    deployment = Deployment.of()
    return deployment, find(deployment, dag_id, subdir, root)


def say_what_waits(deployment: "Deployment") -> None:
    """Print a line if notifications wait and no service sends them."""
    from elastic.service.run_waits import notification_advice

    advice = notification_advice(deployment.database, deployment.heartbeat)
    if advice:
        say(advice)


def date_of(deployment: "Deployment", dag: "DAG", text: str) -> datetime:
    """Return the logical date of the run with this id, or else parse the string as a date.

    Raises:
        UsageError: The string is neither a run id nor a date.
    """
    from elastic.db import queries

    # A run id may look like a date, so it comes first.
    found = queries.run_of_id(deployment.database, dag.dag_id, text)
    return found.logical_date if found else dag.instant(text)
