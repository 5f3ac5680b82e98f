"""`elastic worker`: a worker of the service, which runs the tasks of some queues."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli.printing.output import say
from elastic.core.errors import UsageError

EXAMPLE = "For example: elastic worker --queues heavy -c 4"


def worker(
    queues: Annotated[
        str,
        typer.Option(
            "-q", "--queues", metavar="NAMES", help="Queues, separated by commas; default: those of core.queues."
        ),
    ] = "",
    concurrency: Annotated[
        int | None,
        typer.Option("-c", "--concurrency", min=1, help="Tasks at the same time; default: core.parallelism."),
    ] = None,
    subdir: Annotated[
        Path | None, typer.Option("-sd", "--subdir", help="Folder of DAG files; default: core.dags_folder.")
    ] = None,
) -> None:
    """Run the tasks of some queues, until Ctrl-C or SIGTERM.

    The worker needs the database and the DAG files on its host, and no connection to a master. Masters leave it the
    tasks of the queues that core.queues gives to `worker`.
    """
    from elastic.config.settings import read_settings
    from elastic.scheduler.deployment import Deployment
    from elastic.service.worker import TaskWorker, WorkerOptions

    settings = read_settings()
    deployment = Deployment.of(settings)
    folder = (subdir or deployment.dags_folder).absolute()
    if not folder.is_dir():
        raise UsageError(f"the DAG folder {str(folder)!r} does not exist; create it, set core.dags_folder, or use -sd.")
    names = tuple(dict.fromkeys(filter(None, (one.strip() for one in queues.split(","))))) or deployment.worker_queues
    if not names:
        raise UsageError(
            "no queue is left to workers; name some with --queues, and let masters leave them to workers with "
            "core.queues, such as heavy=worker."
        )
    options = WorkerOptions(
        home=settings.home, folder=folder, queues=names, concurrency=concurrency or deployment.parallelism
    )
    TaskWorker(deployment, options, say).run()
