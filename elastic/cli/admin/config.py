"""`elastic config`: settings and their sources."""

from typing import Annotated, Any

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, print_list
from elastic.cli.printing.output import print_value, say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and check settings and their sources.")


@app.callback()
def config_commands() -> None:
    """Show and check settings.

    Later sources override earlier ones: defaults, $ELASTIC_HOME/elastic.toml, ./elastic.toml, ELASTIC__SECTION__KEY.
    """


@app.command("list", epilog="For example: elastic config list --sources")
def list_settings(
    sources: Annotated[bool, typer.Option("--sources", help="Show the source of each value.")] = False,
    output: ListOutput = ListFormat.TABLE,
) -> None:
    """List all settings with their values; secrets are masked."""
    from elastic.config.settings import read_settings

    settings = read_settings()
    rows: list[dict[str, Any]] = [
        {
            "name": option.name,
            "value": settings.shown(option.name),
            "source": settings.source(option.name),
            "variable": option.variable,
            "meaning": option.doc,
        }
        for option in settings.options
    ]
    print_list(("name", "value", "source", "variable") if sources else ("name", "value", "meaning"), rows, output)


@app.command("get-value", epilog="For example: elastic config get-value core.parallelism")
def get_value(
    name: Annotated[str, typer.Argument(help="section.key, or only the section.")],
    key: Annotated[str, typer.Argument(help="The key, if NAME is a section.")] = "",
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print a secret in plain text.")] = False,
) -> None:
    """Print one setting."""
    from elastic.config.settings import read_settings

    settings = read_settings()
    full = f"{name}.{key}" if key else name
    value = settings.get(full) if show_secrets else settings.shown(full)
    print_value(str(value).lower() if isinstance(value, bool) else str(value))


@app.command("lint", epilog="For example: elastic config lint")
def lint() -> None:
    """Print every problem of the settings; exit with 1 if there is one."""
    from elastic.config.settings import problems, read_settings
    from elastic.core.errors import UsageError
    from elastic.db.encryption import cipher_of
    from elastic.db.open_database import database_of

    found = problems()
    if not found:
        settings = read_settings()
        for check in (database_of, cipher_of):
            try:
                check(settings)
            except UsageError as error:
                found.append(str(error))
    for text in found:
        say(text)
    if found:
        raise typer.Exit(1)
    say("all settings are valid")
