"""Partitions: folders `key=value/`, as Hive, Spark, DuckDB and Polars read them; files do not repeat the keys."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.sink import NULL_PARTITION
from elastic.core.errors import EncodingError, UsageError
from elastic.core.frames import is_frame
from elastic.persistence.written_files.file_format import EncodedRows, FileFormat, FileRows
from elastic.persistence.written_files.text_formats import encode_text, shown

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Characters that Hive escapes in the name of a folder (FileUtils.java of Apache Hive).
_ESCAPED = re.compile(r"[\x00-\x1f\"#%'*/:=?\\\x7f{}\[\]^]")

#: Maximum bytes of the name of a folder.
_MAX_NAME_BYTES = 255

#: Types of values that have one usual form as text.
_KEY_TYPES = (str, bool, int, dt.date)

#: Types of which equal values have equal text. Subclasses need not: instants in two zones are equal.
_SAME_TEXT = frozenset({str, bool, int, dt.date, type(None)})

#: Folders by the types and the values of the columns in their names.
_Folders = dict[tuple[tuple[type, ...], tuple[Any, ...]], str]


class PartitionedFormat(FileFormat):
    """Another format, in a folder for each combination of values of some columns.

    Args:
        format: The other format.
        names: The columns.

    Raises:
        UsageError: The names are invalid.
    """

    def __init__(self, format: FileFormat, names: Sequence[str]) -> None:
        given = [names] if isinstance(names, str) else list(names) if isinstance(names, Sequence) else []
        if not given or not all(isinstance(name, str) and name for name in given):
            raise UsageError(f"partition_by={names!r} must be the name of a column, or a list of them.")
        if len({name.lower() for name in given}) < len(given):
            raise UsageError(f"partition_by={names!r} has names that differ only in case, or not at all.")
        hidden = next((name for name in given if name.startswith(".")), None)
        if hidden is not None:
            raise UsageError(
                f"partition_by has {hidden!r}, and folders whose names begin with a dot are hidden; rename the column."
            )
        self._format, self._names = format.without(given), tuple(given)
        self._folders = tuple(escape(name) for name in given)
        self.name, self.suffix = format.name, format.suffix

    def describe(self) -> dict[str, Any]:
        return {**self._format.describe(), "partition_by": list(self._names)}

    def encode(self, records: Sequence[Any]) -> list[EncodedRows]:
        encoded: list[EncodedRows] = []
        known: _Folders = {}
        for are_frames, group in groupby(records, is_frame):
            by_folder: dict[str, list[Any]] = {}
            for record in group:
                divided = self._divide(record) if are_frames else [self._split(record, known)]
                for folder, rest in divided:
                    by_folder.setdefault(folder, []).append(rest)
            for folder, several in by_folder.items():
                encoded += [replace(rows, folder=folder) for rows in self._format.encode(several)]
        return encoded

    def gather(self, rows: Sequence[EncodedRows], before: EncodedRows | None) -> list[EncodedRows]:
        return [replace(each, folder=rows[0].folder) for each in self._format.gather(rows, before)]

    def row_groups(self, rows: list[EncodedRows]) -> list[list[EncodedRows]]:
        return self._format.row_groups(rows)

    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        return self._format.open(write, columns)

    def _split(self, record: Any, known: _Folders) -> tuple[str, dict[Any, Any]]:
        """Return the folder of a record, and the record without the columns in it; note the folder in `known`."""
        if not isinstance(record, Mapping):
            raise EncodingError(f"partition_by takes dicts, got {shown(record)}; map it to a dict.")
        rest = dict(record)
        try:
            values = [rest.pop(name) for name in self._names]
        except KeyError as error:
            raise EncodingError(f"{shown(dict(record))} has no {error.args[0]!r}, the column of its folder.") from error
        return self._known_folder(values, known), self._checked(rest, record)

    def _divide(self, frame: "Frame") -> "list[tuple[str, Frame]]":
        missing = next((name for name in self._names if name not in frame.columns), None)
        if missing is not None:
            raise EncodingError(f"a frame has no column {missing!r}, the column of its folder.")
        self._checked(set(frame.columns) - set(self._names), frame.columns)
        parts = frame.partition_by(self._names, include_key=False, as_dict=True, maintain_order=True)
        return [(self._folder(values), part) for values, part in parts.items()]

    def _checked(self, rest: Any, record: Any) -> Any:
        if not rest:
            raise EncodingError(f"{shown(record)} has no column beside those of its folder.")
        return rest

    def _known_folder(self, values: Sequence[Any], known: _Folders) -> str:
        kinds = tuple(map(type, values))
        if not _SAME_TEXT.issuperset(kinds):
            return self._folder(values)
        # With the types, because 1 and True are equal and have two folders.
        key = (kinds, tuple(values))
        folder = known.get(key)
        if folder is None:
            folder = known[key] = self._folder(values)
        return folder

    def _folder(self, values: Sequence[Any]) -> str:
        parts = [f"{name}={_value(value, name)}/" for name, value in zip(self._folders, values, strict=True)]
        for part in parts:
            if len(encode_text(part)) > _MAX_NAME_BYTES:
                raise EncodingError(f"the folder {part[:80]}... has a name of more than {_MAX_NAME_BYTES} bytes.")
        return "".join(parts)


def _value(value: Any, name: str) -> str:
    if value is None:
        return NULL_PARTITION
    if not isinstance(value, _KEY_TYPES):
        raise EncodingError(
            f"column {name!r} has {shown(value)}, which names no folder; use strings, whole numbers or dates."
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text in ("", NULL_PARTITION):
        raise EncodingError(f"column {name!r} has {value!r}, which programs would read as a missing value; replace it.")
    return escape(text)


def escape(text: str) -> str:
    """Return a name or a value for a folder, with `%2F` for `/` and so on, as Hive writes it."""
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", text)
