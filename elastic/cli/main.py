"""The command `elastic`: groups of commands, and how errors are told."""

import sys
from io import TextIOWrapper
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from elastic.cli.command_index import INDEX, CommandGroup
from elastic.cli.printing.plain_values import lighten
from elastic.core.errors import (
    EXIT_SUSPENDED,
    ElasticError,
    SourceNotFoundError,
    StepFailedError,
    StepSuspendedError,
    UnknownRunError,
    UsageError,
)
from elastic.core.text import error_text, lines, message, traceback_text
from elastic.version import __version__

#: Errors that the user mends by writing the command differently: exit code 2; all others: 1.
_USAGE = (UsageError, SourceNotFoundError, UnknownRunError)

_INTERRUPTED = 130
_DEBUG = "--debug"


class Commands(TyperGroup):
    """Tells errors in one sentence, with a traceback only when asked. Its commands are those of the index."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast("Any", CommandGroup())
        lighten(self)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(INDEX)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in INDEX.items()])

    def invoke(self, ctx: Any) -> Any:
        debug = ctx.params.get("debug", False)
        try:
            return super().invoke(ctx)
        except ElasticError as error:
            _tell(error, debug=debug)
            raise typer.Exit(_exit_code(error)) from error
        except KeyboardInterrupt as error:
            _say("; ".join(["interrupted", *getattr(error, "__notes__", [])]))
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
    _say(message(f"error: {error_text(error)}"))
    if debug:
        if isinstance(error, StepFailedError) and error.traceback:
            _say(error.traceback.rstrip())
        _say(traceback_text(error).rstrip())


def _say(text: str) -> None:
    from elastic.config.secret_mask import masked

    typer.echo(lines(masked(text)), err=True)
