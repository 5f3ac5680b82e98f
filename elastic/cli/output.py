"""How commands print: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"


#: Wider than any table.
_UNBROKEN = 10_000

Output = Annotated[Format, typer.Option("-o", "--output", help="How to print.")]


def print_json(value: Any) -> None:
    """Print one JSON document; values that JSON does not know are printed as text."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Iterable[str] = ()) -> None:
    """Print rows under their columns; those named in `numbers` are aligned to the right."""
    # Imported here because most commands print no table, and rich takes time to import.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    right = set(numbers)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    console = Console()
    for row in rows:
        # Text, so that brackets in the data are not taken for rich's own marks.
        table.add_row(*(Text(_shown(cell)) for cell in row))
    # Lines that go into a pipe or a file are not broken.
    console.print(table, width=None if console.is_terminal else _UNBROKEN, crop=False)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one pair a line."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {_shown(value)}")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
