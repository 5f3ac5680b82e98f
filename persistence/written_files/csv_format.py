"""CSV with a header. Format: https://www.rfc-editor.org/rfc/rfc4180, with line ends of one line feed."""

import csv
import datetime as dt
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

from elastic.core.errors import EncodingError, UsageError
from elastic.core.frames import is_frame
from elastic.persistence.written_files.file_format import EncodedRows, FileFormat, FileRows
from elastic.persistence.written_files.text_formats import TextRows, encode_text, shown

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Types of values that have one usual form as text.
_SCALARS = (str, int, float, bool, Decimal, dt.date, dt.time, UUID, type(None))


class CsvFileFormat(FileFormat):
    """CSV: each record is a dict from column to value, or a list of values in the order of `columns`.

    Args:
        columns: Names of the columns, in order; other values of a dict are left out. None: the keys of the records,
            which must be the same in all of them.

    Raises:
        UsageError: `columns` is invalid.
    """

    name, suffix = "csv", ".csv"

    def __init__(self, columns: Sequence[str] | None = None) -> None:
        if columns is not None:
            given = [] if isinstance(columns, str) or not isinstance(columns, Sequence) else list(columns)
            if not given or not all(isinstance(name, str) for name in given) or len(set(given)) < len(given):
                raise UsageError(f"columns={columns!r} must be a list of different names.")
            columns = tuple(given)
        self._columns = columns

    def without(self, names: Collection[str]) -> FileFormat:
        if self._columns is None or not set(names) & set(self._columns):
            return self
        kept = [name for name in self._columns if name not in names]
        if not kept:
            raise UsageError(f"columns={list(self._columns)!r} has no column beside those of the folders; add one.")
        return CsvFileFormat(kept)

    def describe(self) -> dict[str, Any]:
        return {"format": self.name, "columns": None if self._columns is None else list(self._columns)}

    def encode(self, records: Sequence[Any]) -> list[EncodedRows]:
        encoded: list[EncodedRows] = []
        for are_frames, group in groupby(records, is_frame):
            if are_frames:
                encoded += [self._of_frame(frame) for frame in group if frame.height]
            else:
                encoded.append(self._of_records(list(group)))
        return encoded

    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        return TextRows(write, columns.encode())

    def _of_records(self, records: list[Any]) -> EncodedRows:
        columns = self._columns or _columns_of(records[0])
        rows = [self._row(record, columns) for record in records]
        for row in rows:
            for name, value in zip(columns, row, strict=True):
                if not isinstance(value, _SCALARS):
                    raise EncodingError(
                        f"column {name!r} has {shown(value)}, which CSV does not hold; make it a string or a number, "
                        "or use write_jsonl."
                    )
        return _encoded(columns, rows)

    def _row(self, record: Any, columns: tuple[str, ...]) -> list[Any]:
        if isinstance(record, list | tuple) and self._columns is not None:
            if len(record) != len(columns):
                raise EncodingError(f"{shown(record)} has {len(record)} values, expected {len(columns)}.")
            return list(record)
        if not isinstance(record, Mapping):
            raise EncodingError(
                f"write_csv takes dicts, got {shown(record)}; map it to a dict, or give columns= for lists of values."
            )
        missing = next((name for name in columns if name not in record), None)
        if missing is not None:
            raise EncodingError(f"{shown(dict(record))} has no {missing!r}; give every record all columns.")
        if self._columns is None and len(record) > len(columns):
            other = next(name for name in record if name not in columns)
            raise EncodingError(f"{shown(dict(record))} has the column {other!r}, others do not; give columns=.")
        return [record[name] for name in columns]

    def _of_frame(self, frame: "Frame") -> EncodedRows:
        columns = self._columns or tuple(frame.columns)
        missing = next((name for name in columns if name not in frame.columns), None)
        if missing is not None:
            raise EncodingError(f"a frame has no column {missing!r}, only {', '.join(frame.columns)}.")
        selected = frame.select(columns)
        for name, kind in selected.schema.items():
            if kind.is_nested() or str(kind) in ("Binary", "Object"):
                raise EncodingError(
                    f"column {name!r} is {kind}, which CSV does not hold; cast it, or use write_parquet."
                )
        data = selected.write_csv(include_header=False).encode()
        return EncodedRows(frame.height, len(data), data, _header(columns))


def _columns_of(record: Any) -> tuple[str, ...]:
    if not isinstance(record, Mapping):
        raise EncodingError(
            f"write_csv takes dicts, got {shown(record)}; map it to a dict, or give columns= for lists of values."
        )
    if not record or not all(isinstance(name, str) for name in record):
        raise EncodingError(f"{shown(dict(record))} has keys that are not names of columns; use strings.")
    return tuple(record)


def _encoded(columns: tuple[str, ...], rows: list[list[Any]]) -> EncodedRows:
    data = encode_text(_csv(rows))
    return EncodedRows(len(rows), len(data), data, _header(columns))


def _header(columns: tuple[str, ...]) -> str:
    return encode_text(_csv([columns])).decode()


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    minimal = csv.writer(text, lineterminator="\n")
    # Python quotes a carriage return only if it is part of the line end.
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    try:
        for row in rows:
            has_return = any(isinstance(value, str) and "\r" in value for value in row)
            (quoted if has_return else minimal).writerow(row)
    except csv.Error as error:
        raise EncodingError(f"a row cannot be written as CSV ({error}).") from error
    return text.getvalue()
