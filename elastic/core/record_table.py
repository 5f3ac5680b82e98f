"""Tables of records for people: on a terminal, and as HTML in a notebook."""

import dataclasses
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from elastic.core.frames import ENTRY
from elastic.core.text import one_line

#: Maximum width of a cell, in terminal columns.
_CELL_WIDTH = 40
#: Elements of a collection, and levels of nested collections, that a cell shows.
_MAX_ELEMENTS, _MAX_LEVELS = 10, 3
#: Columns of an HTML table.
_MAX_HTML_COLUMNS = 30
_GAP = "   "
_CUT = "\u2026"
#: Character of the line below the names of the columns.
LINE = "\u2500"

#: Brackets of the collections whose elements a cell shows.
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), frozenset: ("{", "}")}


def fields_of(record: Any) -> Mapping[Any, Any]:
    """Return the fields of a record: a mapping's by key, an object's by name, a tuple's by index, others as `entry`."""
    if isinstance(record, Mapping):
        return record
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {field.name: getattr(record, field.name, None) for field in dataclasses.fields(record)}
    if isinstance(record, tuple):
        names = getattr(record, "_fields", None) or range(len(record))
        return dict(zip(names, record, strict=True))
    return {ENTRY: record}


def shown(value: Any, width: int = _CELL_WIDTH) -> str:
    """Return a value as one line of at most `width` terminal columns, without control characters.

    A long value is cut, however large it is, and a value without a representation names its class.
    """
    # A string of this length is cut in any case, so the rest of it needs no escaping.
    text = value[: width + 1] if isinstance(value, str) else _repr(value, width + 1, _MAX_LEVELS)
    return cut(one_line(text[: width + 1]), width)


def cut(text: str, width: int) -> str:
    """Return a line of at most `width` terminal columns; the end of a longer one becomes an ellipsis."""
    if len(text) <= width and text.isascii():
        return text
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + _CUT


def _repr(value: Any, width: int, levels: int) -> str:
    """Return a representation whose cost does not grow with the value; it may be longer than `width`."""
    kind = type(value)
    if kind in (str, bytes, bytearray):
        return repr(value[:width])
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 4 * width:
        return f"an integer of {value.bit_length():,} bits"  # Python refuses to convert the largest ones
    if isinstance(value, dict) or kind in _BRACKETS:
        return _collection(value, width, levels)
    try:
        return repr(value)
    except Exception as error:
        return f"<{kind.__qualname__} ({type(error).__name__})>"


def _collection(value: Any, width: int, levels: int) -> str:
    first, last = _BRACKETS.get(type(value), ("{", "}"))
    if not levels:
        return f"{first}{_CUT}{last}"
    elements: list[str] = []
    left = width
    for element in islice(value.items() if isinstance(value, dict) else value, _MAX_ELEMENTS):
        if isinstance(value, dict):
            key, item = element
            elements.append(f"{_repr(key, width, levels - 1)}: {_repr(item, width, levels - 1)}")
        else:
            elements.append(_repr(element, width, levels - 1))
        left -= len(elements[-1])
        if left < 0:
            break
    more = [_CUT] if len(value) > len(elements) else []
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{first}{', '.join([*elements, *more])}{comma}{last}"


@dataclass(frozen=True, slots=True)
class RecordTable:
    """Records as rows of strings; a column for each field that one of them has."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    #: Columns of numbers, aligned to the right.
    numbers: frozenset[int] = frozenset()

    @classmethod
    def of(cls, records: Iterable[Any]) -> "RecordTable":
        """Return a table of records as `fields_of` splits them; fields that a record does not have are blank."""
        fields = [fields_of(record) for record in records]
        names = list(dict.fromkeys(name for each in fields for name in each))
        rows = tuple(tuple(shown(each[name]) if name in each else "" for name in names) for each in fields)
        numbers = frozenset(
            index for index, name in enumerate(names) if all(_is_number(each[name]) for each in fields if name in each)
        )
        return cls(tuple(map(shown, names)), rows, numbers)

    def text(self, width: int) -> str:
        """Return the table as lines of at most `width` terminal columns; columns that do not fit are named below."""
        from rich.cells import cell_len

        if not self.columns:
            return "\n".join("(no fields)" for _ in self.rows)
        widths = [max(map(cell_len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        fitting = _fitting(widths, width)
        lines = [
            _GAP.join(_padded(row[index], widths[index], right=index in self.numbers) for index in range(fitting))
            for row in (self.columns, *self.rows)
        ]
        lines.insert(1, LINE * (sum(widths[:fitting]) + len(_GAP) * (fitting - 1)))
        if left_out := self.columns[fitting:]:
            lines.append(cut(f"and {_columns(left_out)}: {', '.join(left_out[:_MAX_ELEMENTS])}", width))
        return "\n".join(line.rstrip() for line in lines)

    def html(self) -> str:
        """Return the table as HTML, with escaped values."""
        names, left_out = self.columns[:_MAX_HTML_COLUMNS], self.columns[_MAX_HTML_COLUMNS:]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{''.join(self._html_cells(row[: len(names)]))}</tr>" for row in self.rows)
        more = f"<p>and {_columns(left_out)}</p>" if left_out else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def _html_cells(self, row: Sequence[str]) -> Iterable[str]:
        for index, cell in enumerate(row):
            align = "right" if index in self.numbers else "left"
            yield f'<td style="text-align: {align}">{html.escape(cell)}</td>'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fitting(widths: Sequence[int], width: int) -> int:
    """Return the number of columns that fit; at least one."""
    total = -len(_GAP)
    for index, each in enumerate(widths):
        total += each + len(_GAP)
        if total > width and index:
            return index
    return len(widths)


def _padded(cell: str, width: int, *, right: bool) -> str:
    from rich.cells import cell_len

    blank = " " * (width - cell_len(cell))
    return blank + cell if right else cell + blank


def _columns(names: Sequence[str]) -> str:
    return f"{len(names):,} more {'column' if len(names) == 1 else 'columns'}"
