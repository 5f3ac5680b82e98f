"""How commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from shutil import get_terminal_size
from typing import Annotated, Any, TextIO

import typer

from elastic.core.text import json_text, lines, one_line


class OutputFormat(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"


#: Wider than any table.
_UNBROKEN = 10_000

#: Blanks between columns.
_GAP = 3

#: Columns of texts that people copy, and which are not broken even where the terminal is narrow.
_WHOLE = {"run_id", "receipt"}


#: Where the one document goes that a command prints for programs.
_documents: list[TextIO] = []


def _alone(value: OutputFormat) -> OutputFormat:
    """Let a document for programs stand alone: what user code and Ray print meanwhile goes to the error output."""
    if value is OutputFormat.JSON:
        _documents[:] = [sys.stdout]
        sys.stdout = sys.stderr
    return value


Output = Annotated[OutputFormat, typer.Option("-o", "--output", callback=_alone, help="How to print.")]


def print_json(value: Any) -> None:
    """Print one JSON document; values that JSON does not know are printed as text."""
    document = _documents[0] if _documents else sys.stdout
    text = json_text(json.dumps(value, ensure_ascii=False, default=str, indent=2))
    try:
        text.encode(document.encoding or "utf-8")
    except UnicodeEncodeError:
        # JSON itself can escape what the output has no character for.
        text = json.dumps(value, default=str, indent=2)
    typer.echo(text, file=document)


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print lines of text for people; what came from data commands no terminal."""
    typer.echo(lines(str(text)), err=err, nl=nl)


def print_value(text: str) -> None:
    """Print a value: as it is for a program that reads it, and without what a terminal would obey for people."""
    # Without `color`, click takes the control sequences out of what goes to a program.
    typer.echo(lines(text) if sys.stdout.isatty() else text, color=True)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Iterable[str] = (), ids: Iterable[str] = ()
) -> None:
    """Print rows under their columns.

    Lines that are too long for a terminal are folded; those that go into a pipe or a file are not.

    Args:
        columns: The names of the columns.
        rows: Their cells.
        numbers: Columns of amounts: aligned to the right, with separators between thousands.
        ids: Columns of numbers that name something, such as a chunk: aligned to the right, as people type them.
    """
    amounts = set(numbers)
    shown = [[_shown(cell, name in amounts) for name, cell in zip(columns, row, strict=True)] for row in rows]
    right = amounts.union(ids)
    if not _print_lines(columns, shown, right):
        _print_folded(columns, shown, right)


def _print_lines(columns: Sequence[str], rows: list[list[str]], right: set[str]) -> bool:
    """Print a table of which each row is a line; say whether it is one.

    Rich would take a millisecond for each row, because it is ready for much more than that.
    """
    from rich.cells import cell_len

    table = [list(columns), *rows]
    if not (_speaks_utf() and all(cell.isprintable() for row in table for cell in row)):
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


def _speaks_utf() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")


def _print_folded(columns: Sequence[str], rows: list[list[str]], right: set[str]) -> None:
    # Imported here because few commands come to this, and rich takes time to import.
    from rich import box
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        # Text, so that brackets in the data are not taken for rich's own marks.
        table.add_row(*map(Text, row))
    console = Console()
    (console if console.is_terminal else Console(width=_UNBROKEN)).print(table, crop=False)


def print_facts(facts: Mapping[str, Any], *, amounts: Collection[str] = ()) -> None:
    """Print names and values, one pair a line; those named in `amounts` get separators between thousands."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {_shown(value, name in amounts)}")


def _shown(value: Any, is_amount: bool = False) -> str:
    """Return a value as text. A number that is no amount stays as people type it: a port, an id, a seed."""
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{one_line(str(name))}={_shown(item, is_amount)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item, is_amount) for item in value)
    return (
        f"{value:,}" if is_amount and isinstance(value, int) and not isinstance(value, bool) else one_line(str(value))
    )
