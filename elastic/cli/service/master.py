"""`elastic master`: a master of the scheduler service."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli.printing.output import say
from elastic.core.errors import UsageError

EXAMPLE = "For example: elastic master"


def master(
    dag_ids: Annotated[
        list[str] | None,
        typer.Option("-d", "--dag-id", "--dag_id", metavar="DAG", help="Serve only this DAG; repeatable."),
    ] = None,
    subdir: Annotated[
        Path | None, typer.Option("-sd", "--subdir", help="Folder of DAG files; default: core.dags_folder.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stop as soon as nothing is due and all runs have ended.")
    ] = False,
    num_runs: Annotated[
        int | None,
        typer.Option("-n", "--num-runs", "--num_runs", min=1, help="Stop after this number of runs has ended."),
    ] = None,
    no_parse: Annotated[bool, typer.Option("--no-parse", help="Load no DAG files; another master must do so.")] = False,
    executor: Annotated[str | None, typer.Option("--executor", help="local, sequential, ray, or module:Class.")] = None,
) -> None:
    """Run the due and the queued runs of all DAGs, until Ctrl-C or SIGTERM.

    Several masters may share a database: each run has one master, and another one takes over if that dies.
    """
    from elastic.config.settings import read_settings
    from elastic.scheduler.deployment import Deployment
    from elastic.service.master import MasterOptions, SchedulerMaster

    settings = read_settings()
    deployment = Deployment.of(settings)
    folder = subdir or deployment.dags_folder
    if not folder.is_dir():
        raise UsageError(f"the DAG folder {str(folder)!r} does not exist; create it, set core.dags_folder, or use -sd.")
    options = MasterOptions(
        home=settings.home,
        folder=folder,
        dag_ids=tuple(dag_ids or ()),
        parses=not no_parse,
        once=once,
        num_runs=num_runs,
        executor=executor,
    )
    SchedulerMaster(deployment, options, say).run()
