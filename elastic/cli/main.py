"""The command `elastic`: its options, its exit codes, and the printing of errors."""

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
from elastic.core.interrupts import ignore_repeats
from elastic.core.text import error_text, lines, message, traceback_text
from elastic.version import __version__

#: Errors that a different command line avoids: exit code 2. All others: 1.
_USAGE = (UsageError, SourceNotFoundError, UnknownRunError)

_INTERRUPTED = 130
_DEBUG = "--debug"


class Commands(TyperGroup):
    """Command group that prints an error as one sentence, and its traceback with `--debug`."""

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
            _report(error, debug=debug)
            raise typer.Exit(_exit_code(error)) from error
        except KeyboardInterrupt as error:
            ignore_repeats()
            _say("; ".join(["interrupted", *getattr(error, "__notes__", [])]))
            raise typer.Exit(_INTERRUPTED) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help: importing rich takes longer than everything else together
    help="Run Python functions over more data than one process can handle, and count every entry exactly once.",
    epilog="Try: elastic example word-count",
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"elastic {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks of errors; valid anywhere on the line.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Accept the options of all commands."""


def main() -> None:
    """Run the command line. This is the entry point of the distribution."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if _DEBUG in arguments[:end]:
        # Users write --debug behind the subcommand, where click does not accept it.
        others = [argument for argument in arguments[:end] if argument != _DEBUG]
        arguments = [_DEBUG, *others, *arguments[end:]]
    for stream in (sys.stdout, sys.stderr):
        # Print characters that the terminal's encoding lacks as escapes instead of failing.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(arguments, prog_name="elastic")


def _exit_code(error: ElasticError) -> int:
    if isinstance(error, StepSuspendedError):
        return EXIT_SUSPENDED
    return 2 if isinstance(error, _USAGE) else 1


def _report(error: ElasticError, *, debug: bool) -> None:
    _say(message(f"error: {error_text(error)}"))
    if debug:
        if isinstance(error, StepFailedError) and error.traceback:
            _say(error.traceback.rstrip())
        _say(traceback_text(error).rstrip())


def _say(text: str) -> None:
    from elastic.config.secret_mask import masked

    typer.echo(lines(masked(text)), err=True)
