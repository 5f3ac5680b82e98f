"""The command `elastic`: groups of commands, and how errors are told."""

import sys
import traceback
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from elastic.cli import (
    backfill,
    bundle,
    chaos,
    clear,
    config,
    connection,
    dag,
    database,
    dead_letter,
    example,
    flow,
    pool,
    receipt,
    recover,
    replay,
    resume,
    run,
    task,
    task_run,
    variable,
    verify,
)
from elastic.core.errors import (
    EXIT_SUSPENDED,
    ElasticError,
    SourceNotFoundError,
    StepFailedError,
    StepSuspendedError,
    UnknownRunError,
    UsageError,
)
from elastic.version import __version__

#: Errors that the user mends by writing the command differently: exit code 2; all others: 1.
_USAGE = (UsageError, SourceNotFoundError, UnknownRunError)

_INTERRUPTED = 130
_DEBUG = "--debug"


class Commands(TyperGroup):
    """Tells errors in one sentence, with a traceback only when asked."""

    def invoke(self, ctx: Any) -> Any:
        debug = ctx.params.get("debug", False)
        try:
            return super().invoke(ctx)
        except ElasticError as error:
            _tell(error, debug=debug)
            raise typer.Exit(_exit_code(error)) from error
        except KeyboardInterrupt as error:
            _say("interrupted")
            raise typer.Exit(_INTERRUPTED) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help: importing what draws it would take longer than all the rest
    help="Run Python functions over more data than one process can take, and count every entry exactly once.",
    epilog="Try: elastic example word-count",
)
app.add_typer(example.app, name="example")
app.add_typer(flow.app, name="flow")
app.add_typer(run.app, name="runs")
app.command("receipts")(receipt.receipts)
app.command("resume", epilog=resume.EXAMPLE)(resume.resume)
app.command("replay", epilog=replay.EXAMPLE)(replay.replay)
app.command("verify", epilog=verify.EXAMPLE)(verify.verify)
app.command("chaos", epilog=chaos.EXAMPLE)(chaos.chaos)
app.add_typer(dead_letter.app, name="dead-letters")
app.command("run", epilog=task_run.EXAMPLE)(task_run.run)
app.command("backfill", epilog=backfill.EXAMPLE)(backfill.backfill)
app.command("clear", epilog=clear.EXAMPLE)(clear.clear)
app.command("recover", epilog=recover.RECOVER_EXAMPLE)(recover.recover)
app.command("run-one", epilog=recover.RUN_ONE_EXAMPLE)(recover.run_one)
app.command("run-from", epilog=recover.RUN_FROM_EXAMPLE)(recover.run_from)
app.add_typer(dag.app, name="dags")
app.add_typer(task.app, name="tasks")
app.add_typer(bundle.app, name="bundle")
app.add_typer(connection.app, name="connections")
app.add_typer(variable.app, name="variables")
app.add_typer(pool.app, name="pools")
app.add_typer(database.app, name="db")
app.add_typer(config.app, name="config")
app.command("initdb", epilog=database.INITDB_EXAMPLE)(database.initdb)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"elastic {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks of errors; may stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of all commands."""


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if _DEBUG in arguments[:end]:
        # An option of the whole command is accepted behind a subcommand as well, where people write it.
        ours = [argument for argument in arguments[:end] if argument != _DEBUG]
        arguments = [_DEBUG, *ours, *arguments[end:]]
    for stream in (sys.stdout, sys.stderr):
        # Words of the data that a terminal cannot show are printed as escapes: better than an error at the end.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(arguments, prog_name="elastic")


def _exit_code(error: ElasticError) -> int:
    if isinstance(error, StepSuspendedError):
        return EXIT_SUSPENDED
    return 2 if isinstance(error, _USAGE) else 1


def _tell(error: ElasticError, *, debug: bool) -> None:
    _say(f"error: {error}")
    if debug:
        if isinstance(error, StepFailedError) and error.traceback:
            _say(error.traceback.rstrip())
        _say("".join(traceback.format_exception(error)).rstrip())


def _say(text: str) -> None:
    typer.echo(text, err=True)
