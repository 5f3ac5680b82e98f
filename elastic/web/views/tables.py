"""Tables and forms of pages, with a few kinds of cells and fields."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """Cell of a table."""

    text: str = ""
    #: text, mono, sub, number, state, or when
    kind: str = "text"
    url: str = ""
    title: str = ""
    #: of the kind `when`
    moment: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAction:
    """Button of a row, which sends a form by POST."""

    text: str
    url: str
    #: question before the action; empty for none
    question: str = ""
    fields: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """Row of a table."""

    key: str
    cells: Sequence[TableCell]
    actions: Sequence[RowAction] = ()
    #: text below the row, such as a traceback
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """Field of a form or of a filter."""

    name: str
    label: str
    value: str = ""
    #: text, password, number, select, textarea, or checkbox
    kind: str = "text"
    #: values of a select with their labels
    options: Sequence[tuple[str, str]] = ()
    help: str = ""
    is_required: bool = False
    is_fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """Page with a table."""

    title: str
    #: URL of the page without its query
    url: str
    columns: Sequence[str]
    rows: Sequence[ListRow]
    #: title and sentence in place of an empty table
    empty: tuple[str, str]
    filters: Sequence[FormField] = ()
    is_filtered: bool = False
    next_url: str = ""
    first_url: str = ""
    #: button that opens a form: text and URL
    add: tuple[str, str] | None = None
    note: str = ""
    topics: str = "dags"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """Page with a form."""

    title: str
    #: URL that receives the form
    url: str
    fields: Sequence[FormField]
    button: str = "Save"
    #: list that the page belongs to: text and URL
    parent: tuple[str, str]
    problem: str = ""
    note: str = ""
    actions: Sequence[RowAction] = field(default=())


def text(value: object, *, kind: str = "text", url: str = "") -> TableCell:
    """Return a cell of text; None is a dash."""
    return TableCell(text="-" if value is None or value == "" else str(value), kind=kind, url=url)


def when(moment: dt.datetime | None) -> TableCell:
    """Return a cell with a time."""
    return TableCell(kind="when", moment=moment)


def state(name: str | None) -> TableCell:
    """Return a cell with a state."""
    return TableCell(kind="state", text=str(name) if name else "none")


def number(value: float) -> TableCell:
    """Return a cell with a number."""
    return TableCell(kind="number", text=f"{value:,}")
