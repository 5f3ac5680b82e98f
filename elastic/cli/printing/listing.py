"""Lists on the command line: a table for people, a document for programs, plain lines for the shell."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, TextIO

import typer

from elastic.cli.printing.output import print_table
from elastic.core.text import json_text, lines, one_line


class ListFormat(StrEnum):
    """Values of `-o` of commands that list something."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    PLAIN = "plain"


#: The original standard output, while other output is redirected to stderr; empty without a redirection.
_list_streams: list[TextIO] = []


def _redirect_other_output(value: ListFormat) -> ListFormat:
    """Reserve standard output for a list that programs read: send the output of DAG files to stderr."""
    if value is not ListFormat.TABLE:
        _list_streams[:] = [sys.stdout]
        sys.stdout = sys.stderr
    return value


ListOutput = Annotated[
    ListFormat,
    typer.Option(
        "-o",
        "--output",
        callback=_redirect_other_output,
        help="Format; plain has a line per row, columns split by tabs.",
    ),
]

Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")]


def print_list(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    output: ListFormat,
    *,
    empty: str = "nothing",
    numbers: Iterable[str] = (),
) -> None:
    """Print rows in the format of `-o`. Missing columns of a row are empty.

    Args:
        columns: Names of the printed columns, in order.
        rows: The rows, by column name.
        output: The format.
        empty: Text to print instead of a table without rows.
        numbers: Columns to align to the right in a table.
    """
    listed = [{column: row.get(column) for column in columns} for row in rows]
    if output is ListFormat.TABLE:
        if listed:
            print_table(columns, [list(row.values()) for row in listed], numbers=numbers)
        else:
            typer.echo(empty)
        return
    stream = _list_streams[0] if _list_streams else sys.stdout
    typer.echo(_format(listed, output), file=stream, nl=output is not ListFormat.YAML)


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation before a destructive action, unless `yes` is given.

    Raises:
        Abort: The answer is no, or standard input is closed.
    """
    if not yes:
        typer.confirm(question, abort=True)


def _format(rows: list[dict[str, Any]], output: ListFormat) -> str:
    if output is ListFormat.JSON:
        return json_text(json.dumps(rows, default=str, indent=2))
    if output is ListFormat.YAML:
        import yaml

        plain = json.loads(json.dumps(rows, default=str))
        # Without allow_unicode, YAML escapes all control characters of a terminal.
        text = str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        return text if lines(text) == text else str(yaml.safe_dump(plain, sort_keys=False))
    return "\n".join("\t".join(_cell(value) for value in row.values()) for row in rows)


def _cell(value: Any) -> str:
    """Return a value as one line without tabs, which separate the columns."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = (
        value if isinstance(value, str) else json.dumps(value, default=str) if isinstance(value, list | dict) else value
    )
    return one_line(" ".join(str(text).split()))
