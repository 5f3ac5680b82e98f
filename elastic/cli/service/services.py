"""`elastic services`: the parts of the service in the background."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli.printing.output import say

if TYPE_CHECKING:
    from elastic.service.background import BackgroundPart

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run the service in the background.")

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SERVICE]...", help="scheduler, triggerer, worker, webserver; default: all that this machine can run."
    ),
]

#: Seconds beyond the grace time of a part until it is killed.
_MARGIN = 15.0


@app.callback()
def service_commands() -> None:
    """Start, stop and inspect the parts of the service that run in the background on this machine."""


@app.command("start", epilog="For example: elastic services start")
def start(names: Names = None) -> None:
    """Start parts in the background; they write to elastic-NAME.log in the home folder."""
    for part in _parts(names):
        pid = part.start()
        say(f"the {part.name} runs (pid {pid}); its log is {part.log_path}")


@app.command("stop", epilog="For example: elastic services stop scheduler")
def stop(names: Names = None) -> None:
    """Stop parts, and wait until they have ended; running tasks get scheduler.grace_timeout seconds."""
    for part in _parts(names):
        _stop(part)


@app.command("restart", epilog="For example: elastic services restart")
def restart(names: Names = None) -> None:
    """Stop parts if they run, and start them."""
    for part in _parts(names):
        _stop(part)
        pid = part.start()
        say(f"the {part.name} runs (pid {pid}); its log is {part.log_path}")


@app.command("status", epilog="For example: elastic services status")
def status(names: Names = None) -> None:
    """Show which parts run; the exit code is 1 if one of them does not."""
    found = {part.name: part.process() for part in _parts(names)}
    for name, process in found.items():
        say(f"{name:<10}  {f'running (pid {process.pid})' if process else 'stopped'}")
    if not all(found.values()):
        raise typer.Exit(1)


def _parts(names: Sequence[str] | None) -> "list[BackgroundPart]":
    from elastic.config.queues import queues_of, worker_queues_of
    from elastic.config.settings import read_settings
    from elastic.service.background import PARTS, BackgroundPart
    from elastic.web.server import missing_package

    settings = read_settings()
    home = settings.home
    is_left_out = {
        "webserver": bool(missing_package()),
        "worker": not worker_queues_of(settings.text("core.executor"), queues_of(settings.text("core.queues"))),
    }
    installed = [name for name in PARTS if not is_left_out.get(name)]
    return [BackgroundPart.of(name, home) for name in dict.fromkeys(names or installed)]


def _stop(part: "BackgroundPart") -> None:
    from elastic.config.settings import read_settings

    pid = part.stop(float(read_settings().get("scheduler.grace_timeout")) + _MARGIN)
    say(f"the {part.name} (pid {pid}) has stopped" if pid else f"the {part.name} does not run")
