"""Output of commands: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from shutil import get_terminal_size
from typing import Annotated, Any, TextIO

import typer

from elastic.core.text import json_text, lines, one_line


class OutputFormat(StrEnum):
    """Values of `-o`."""

    TABLE = "table"
    JSON = "json"


#: Console width, in columns, that folds no line.
_UNLIMITED_WIDTH = 10_000

#: Spaces between columns.
_GAP = 3

#: Columns that are never wrapped, because users copy their values.
_UNWRAPPED = {"run_id", "receipt"}

#: The original standard output, while other output is redirected to stderr; empty without a redirection.
_json_streams: list[TextIO] = []


def _redirect_other_output(value: OutputFormat) -> OutputFormat:
    """Reserve standard output for a JSON document: send the output of user code and Ray to stderr."""
    if value is OutputFormat.JSON:
        _json_streams[:] = [sys.stdout]
        sys.stdout = sys.stderr
    return value


Output = Annotated[OutputFormat, typer.Option("-o", "--output", callback=_redirect_other_output, help="Output format.")]


def print_json(value: Any) -> None:
    """Print one JSON document. Values of other types are printed as strings."""
    document = _json_streams[0] if _json_streams else sys.stdout
    text = json_text(json.dumps(value, ensure_ascii=False, default=str, indent=2))
    try:
        text.encode(document.encoding or "utf-8")
    except UnicodeEncodeError:
        # JSON can escape the characters that the output encoding lacks.
        text = json.dumps(value, default=str, indent=2)
    typer.echo(text, file=document)


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text for people, with terminal control characters escaped."""
    typer.echo(lines(str(text)), err=err, nl=nl)


def print_value(text: str) -> None:
    """Print a value: unchanged into a pipe or file, with control characters escaped on a terminal."""
    # Without `color`, click strips control sequences from output that is not a terminal.
    typer.echo(lines(text) if sys.stdout.isatty() else text, color=True)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Iterable[str] = (), ids: Iterable[str] = ()
) -> None:
    """Print rows as a table.

    Long lines are folded on a terminal, but not in a pipe or a file.

    Args:
        columns: The names of the columns.
        rows: The cells of each row.
        numbers: Columns of amounts: aligned to the right, with thousands separators.
        ids: Columns of numeric ids, such as chunk ids: aligned to the right, without separators.
    """
    amounts = set(numbers)
    shown = [[_shown(cell, name in amounts) for name, cell in zip(columns, row, strict=True)] for row in rows]
    right = amounts.union(ids)
    if not _print_lines(columns, shown, right):
        _print_folded(columns, shown, right)


def _print_lines(columns: Sequence[str], rows: list[list[str]], right: set[str]) -> bool:
    """Print a table if each row fits on a line; return False, and print nothing, if one does not.

    This avoids rich, which takes a millisecond for each row.
    """
    from rich.cells import cell_len

    table = [list(columns), *rows]
    if not (_is_utf() and all(cell.isprintable() for row in table for cell in row)):
        return False
    widths = [max(map(cell_len, cells)) for cells in zip(*table, strict=True)]
    total = sum(widths) + _GAP * (len(widths) - 1)
    if sys.stdout.isatty() and total > get_terminal_size().columns:
        return False
    lines = []
    for row in table:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = zip(columns, row, blanks, strict=True)
        lines.append((" " * _GAP).join(blank + cell if name in right else cell + blank for name, cell, blank in cells))
    typer.secho(lines[0], bold=True)
    typer.echo("\n".join(["\u2500" * total, *lines[1:]]))
    return True


def _is_utf() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")


def _print_folded(columns: Sequence[str], rows: list[list[str]], right: set[str]) -> None:
    # Imported here because rich imports slowly and few commands need it.
    from rich import box
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column in _UNWRAPPED)
    for row in rows:
        # Text, so that rich does not read brackets in the data as markup.
        table.add_row(*map(Text, row))
    console = Console()
    (console if console.is_terminal else Console(width=_UNLIMITED_WIDTH)).print(table, crop=False)


def print_facts(facts: Mapping[str, Any], *, amounts: Collection[str] = ()) -> None:
    """Print names and values, one pair per line. Values named in `amounts` get thousands separators."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {_shown(value, name in amounts)}")


def _shown(value: Any, is_amount: bool = False) -> str:
    """Return a value as a string. Only amounts get thousands separators, not ports, ids or seeds."""
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{one_line(str(name))}={_shown(item, is_amount)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item, is_amount) for item in value)
    return (
        f"{value:,}" if is_amount and isinstance(value, int) and not isinstance(value, bool) else one_line(str(value))
    )
