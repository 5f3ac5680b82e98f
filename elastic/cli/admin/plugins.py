"""`elastic plugins`: plug-ins of other packages and of files in the home folder."""

import typer

from elastic.cli.printing.listing import ListFormat, ListOutput, print_list

EXAMPLE = "For example: elastic plugins -o json"

_COLUMNS = ("name", "group", "distribution", "version", "error")


def plugins(output: ListOutput = ListFormat.TABLE) -> None:
    """List the plug-ins, and load each of them to check it; exit with 1 if one cannot be used."""
    from elastic.plugins.plugin import plugins as found_plugins
    from elastic.plugins.plugin import problem_of

    rows = [
        {**{name: getattr(one, name) for name in _COLUMNS[:-1]}, "error": problem_of(one)} for one in found_plugins()
    ]
    print_list(_COLUMNS, rows, output, empty="no plug-ins")
    if any(row["error"] for row in rows):
        raise typer.Exit(1)
