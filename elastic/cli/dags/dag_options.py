"""Dates as people write them on the command line.

Options that commands of DAGs share, and the way from them to a DAG.
"""

import datetime as dt
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.core.errors import UsageError

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.scheduler.deployment import Deployment


def read_date(text: str) -> dt.datetime:
    """Return an aware time from `2016-02-22`, `2016-02-22T14:00` or a full ISO 8601 time; without a zone it is UTC.

    Raises:
        UsageError: It is none.
    """
    try:
        read = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no date; write it as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS.") from None
    return read if read.tzinfo else read.replace(tzinfo=dt.UTC)


DagId = Annotated[str, typer.Argument(metavar="DAG", help="The id of the DAG.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The id of the task.")]
Date = Annotated[
    str, typer.Argument(metavar="DATE", help="The logical date, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, or a run's id.")
]
Timeperiod = Annotated[str, typer.Argument(metavar="TIMEPERIOD", help="Such as 201602, 20160222 or 2016022214.")]
Subdir = Annotated[
    Path | None,
    typer.Option("-sd", "--subdir", help="The file or folder that defines the DAG; by default the folder of DAGs."),
]
StartDate = Annotated[
    str | None, typer.Option("-s", "--start-date", "--start_date", help="The first logical date, YYYY-MM-DD.")
]
EndDate = Annotated[
    str | None, typer.Option("-e", "--end-date", "--end_date", help="The last logical date, which is included.")
]
TaskRegex = Annotated[
    str | None, typer.Option("-t", "--task-regex", "--task_regex", help="Only tasks whose ids match it somewhere.")
]
MapIndex = Annotated[int, typer.Option("--map-index", min=-1, help="Which copy of a mapped task, from 0.")]


def deployment_and_dag(dag_id: str, subdir: Path | None, root: Path | None = None) -> "tuple[Deployment, DAG]":
    """Return the site of this process, and a DAG from its file.

    Args:
        dag_id: The id of the DAG.
        subdir: A file or folder to look in; None for the folder of DAGs.
        root: The folder of all DAGs, where helper modules are looked for too; None where the place itself says it.

    Raises:
        UnknownDagError: There is no such DAG.
        BrokenDagError: Its file cannot be loaded.
    """
    from elastic.scheduler.catalog.dag_catalog import find
    from elastic.scheduler.deployment import Deployment

    deployment = Deployment.of()
    return deployment, find(deployment, dag_id, subdir, root)


def date_of(deployment: "Deployment", dag: "DAG", text: str) -> datetime:
    """Return the logical date that a text names: that of the run with this id, or else the date itself.

    Raises:
        UsageError: It is neither.
    """
    from elastic.db import queries

    # An id of a run may look like anything, also like a date.
    found = queries.run_of_id(deployment.database, dag.dag_id, text)
    return found.logical_date if found else dag.instant(text)
