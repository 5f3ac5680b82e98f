"""How commands print lists: a table for people, a document for programs, plain lines for the shell."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, TextIO

import typer

from elastic.cli.printing.output import print_table
from elastic.core.text import json_text, lines, one_line


class ListFormat(StrEnum):
    """What `-o` takes where a command lists something."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    PLAIN = "plain"


#: Where what is listed goes, while everything else that is printed goes to the error output.
_lists: list[TextIO] = []


def _alone(value: ListFormat) -> ListFormat:
    """Let a list for programs stand alone: what DAG files print meanwhile goes to the error output."""
    if value is not ListFormat.TABLE:
        _lists[:] = [sys.stdout]
        sys.stdout = sys.stderr
    return value


ListOutput = Annotated[
    ListFormat,
    typer.Option("-o", "--output", callback=_alone, help="How to print; plain is a line each, columns apart by tabs."),
]

Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]


def print_list(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    output: ListFormat,
    *,
    empty: str = "nothing",
    numbers: Iterable[str] = (),
) -> None:
    """Print rows as `-o` says: columns that a row does not have are empty.

    Args:
        columns: What is shown, in its order.
        rows: What there is.
        output: How.
        empty: What a table says that has no rows.
        numbers: The columns of a table that are aligned to the right.
    """
    listed = [{column: row.get(column) for column in columns} for row in rows]
    if output is ListFormat.TABLE:
        if listed:
            print_table(columns, [list(row.values()) for row in listed], numbers=numbers)
        else:
            typer.echo(empty)
        return
    stream = _lists[0] if _lists else sys.stdout
    typer.echo(_written(listed, output), file=stream, nl=output is not ListFormat.YAML)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, unless it was said already.

    Raises:
        Abort: The answer is no, or there is nobody to ask.
    """
    if not yes:
        typer.confirm(question, abort=True)


def _written(rows: list[dict[str, Any]], output: ListFormat) -> str:
    if output is ListFormat.JSON:
        return json_text(json.dumps(rows, default=str, indent=2))
    if output is ListFormat.YAML:
        import yaml

        plain = json.loads(json.dumps(rows, default=str))
        # YAML escapes in ASCII whatever a terminal would obey.
        text = str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        return text if lines(text) == text else str(yaml.safe_dump(plain, sort_keys=False))
    return "\n".join("\t".join(_cell(value) for value in row.values()) for row in rows)


def _cell(value: Any) -> str:
    """Return a value on one line and without tabs, which stand between columns."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = (
        value if isinstance(value, str) else json.dumps(value, default=str) if isinstance(value, list | dict) else value
    )
    return one_line(" ".join(str(text).split()))
