"""`elastic standalone` and `elastic health`: all parts of the service in one command, and how they are."""

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.printing.output import Output, OutputFormat, print_json, say
from elastic.core.errors import UsageError

if TYPE_CHECKING:
    from elastic.config.settings import Settings
    from elastic.db.database import Database
    from elastic.web.server import ServerOptions

EXAMPLE = "For example: elastic standalone"
HEALTH_EXAMPLE = "For example: elastic health"

#: Seconds beyond the grace time of tasks until a part is killed.
_MARGIN = 15.0


def standalone(
    port: Annotated[
        int | None, typer.Option("-p", "--port", min=0, max=65535, help="Port of the pages; default: web.port.")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address of the pages; default: web.host.")] = None,
    no_web: Annotated[bool, typer.Option("--no-web", help="Serve no web pages.")] = False,
) -> None:
    """Migrate the database and run all parts of the service until Ctrl-C.

    If there are no users, the command creates an admin and shows the password once. It restarts a part that dies.
    Ctrl-C ends all parts and their tasks.
    """
    from elastic.config.settings import read_settings
    from elastic.db.migration.upgrade import migrate
    from elastic.db.open_database import database_of
    from elastic.persistence.durable_file import make_folder
    from elastic.scheduler.deployment import Deployment
    from elastic.service.standalone import Standalone

    settings = read_settings()
    web = None if no_web else _web_options(settings, host, port)
    with closing(database_of(settings)) as database:
        migrate(database)
        if web is not None:
            _make_key(settings)
            _greet(database, settings, web)
    deployment = Deployment.of(settings)
    if not deployment.dags_folder.exists():
        make_folder(deployment.dags_folder, is_durable=False)
        say(f"the DAG folder {deployment.dags_folder} is empty; `elastic dags init` copies examples into it")
    commands: dict[str, Sequence[str]] = {"scheduler": ("master",), "triggerer": ("triggerer",)}
    if web is not None:
        commands["webserver"] = ("webserver", "--host", web.host, "-p", str(web.port))
    grace = float(settings.get("scheduler.grace_timeout")) + _MARGIN
    Standalone(commands, grace, say).run()


def _web_options(settings: "Settings", host: str | None, port: int | None) -> "ServerOptions":
    """Return the options of the web server.

    Raises:
        UsageError: The extra is not installed, the port is in use, or passwords would cross the network in plain text.
    """
    from elastic.web.server import ServerOptions, check_port, missing_package

    missing = missing_package()
    if missing:
        raise UsageError(
            f"the web pages need the package {missing!r}, which is not installed here; run "
            "`pip install 'elastic-dataflow[web]'`, or start without pages: `elastic standalone --no-web`."
        )
    options = ServerOptions(
        host=host or settings.text("web.host"), port=settings.get("web.port") if port is None else port
    )
    options.check()
    check_port(options)
    return options


def _make_key(settings: "Settings") -> None:
    """Create a Fernet key if there is none, so that connections and variables can be stored."""
    from importlib.util import find_spec

    from elastic.db.encryption import add_key, key_path, keys_of

    if find_spec("cryptography") is not None and not keys_of(settings):
        path = key_path(settings)
        add_key(path)
        say(f"created {path}, the key of stored passwords; keep a backup of it")


def _greet(database: "Database", settings: "Settings", web: "ServerOptions") -> None:
    """Print the URL and the login of the first admin; the password never goes to a log."""
    from elastic.version import __version__
    from elastic.web.first_admin import FIRST_ADMIN, make_first_admin, write_password

    address = f" on {web.address(web.port)}" if web.port else ""
    say(f"Elastic {__version__}{address}")
    password = make_first_admin(database)
    if password is None:
        return
    if sys.stdout.isatty():
        say(f"log in as {FIRST_ADMIN} / {password}  (shown once; `elastic users password {FIRST_ADMIN}` resets it)")
    else:
        path = write_password(settings.home, password)
        say(f"log in as {FIRST_ADMIN} with the password in {path}; delete the file after the first login")


def health(output: Output = OutputFormat.TABLE) -> None:
    """Check the database, masters, triggerers, workers and DAG files; the exit code is 1 if a part is missing."""
    from elastic.scheduler.deployment import Deployment
    from elastic.service.health import health_of

    deployment = Deployment.of()
    checks = health_of(deployment.database, deployment.heartbeat, deployment.worker_queues)
    if output is OutputFormat.JSON:
        print_json([{"part": one.part, "healthy": one.is_healthy, "detail": one.detail} for one in checks])
    else:
        for one in checks:
            say(f"{one.part:<10} {'ok  ' if one.is_healthy else 'FAIL'}  {one.detail}")
    if not all(one.is_healthy for one in checks):
        raise typer.Exit(1)
