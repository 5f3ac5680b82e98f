"""`elastic standalone` and `elastic health`: all parts of the service in one command, and how they are."""

from contextlib import closing
from typing import Annotated

import typer

from elastic.cli.printing.output import Output, OutputFormat, print_json, say
from elastic.core.errors import UsageError

EXAMPLE = "For example: elastic standalone --no-web"
HEALTH_EXAMPLE = "For example: elastic health"

#: Seconds beyond the grace time of tasks until a part is killed.
_MARGIN = 15.0


def standalone(
    no_web: Annotated[bool, typer.Option("--no-web", help="Start no web pages; there are none yet.")] = False,
) -> None:
    """Migrate the database and run all parts of the service, until Ctrl-C.

    A part that dies is started again. Ctrl-C ends all parts and their tasks.
    """
    from elastic.config.settings import read_settings
    from elastic.db.migration.upgrade import migrate
    from elastic.db.open_database import database_of
    from elastic.persistence.durable_file import make_folder
    from elastic.scheduler.deployment import Deployment
    from elastic.service.standalone import Standalone

    if not no_web:
        raise UsageError("Elastic has no web pages yet; start the other parts with `elastic standalone --no-web`.")
    settings = read_settings()
    with closing(database_of(settings)) as database:
        migrate(database)
    deployment = Deployment.of(settings)
    if not deployment.dags_folder.exists():
        make_folder(deployment.dags_folder, is_durable=False)
        say(f"the DAG folder {deployment.dags_folder} is empty; `elastic dags init` copies examples into it")
    grace = float(settings.get("scheduler.grace_timeout")) + _MARGIN
    Standalone({"scheduler": ("master",)}, grace, say).run()


def health(output: Output = OutputFormat.TABLE) -> None:
    """Check the database, the masters and the DAG files; the exit code is 1 if a part is missing."""
    from elastic.scheduler.deployment import Deployment
    from elastic.service.health import health_of

    deployment = Deployment.of()
    checks = health_of(deployment.database, deployment.heartbeat)
    if output is OutputFormat.JSON:
        print_json([{"part": one.part, "healthy": one.is_healthy, "detail": one.detail} for one in checks])
    else:
        for one in checks:
            say(f"{one.part:<10} {'ok  ' if one.is_healthy else 'FAIL'}  {one.detail}")
    if not all(one.is_healthy for one in checks):
        raise typer.Exit(1)
