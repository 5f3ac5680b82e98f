"""Formats of text: lines, and JSON lines."""

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from elastic.core.errors import EncodingError
from elastic.core.frames import is_frame
from elastic.persistence.result_files.column_types import check_json_keys
from elastic.persistence.written_files.file_format import EncodedRows, FileFormat, FileRows

if TYPE_CHECKING:
    from elastic.core.frames import Frame

_MARK = "\ufeff".encode()

#: First bytes by which a reader would drop a part of the first line, or take the file for another type.
_MISTAKEN = (_MARK, b"%PDF-", b"\x7fELF")

#: Maximum characters of a record in a message.
_MAX_SHOWN = 80


class TextRows(FileRows):
    """Text file that is being written."""

    def __init__(self, write: Callable[[bytes], None], header: bytes = b"") -> None:
        self._write = write
        if header:
            write(header)

    def write(self, rows: Sequence[EncodedRows]) -> None:
        for each in rows:
            self._write(each.data)

    def finish(self) -> None:
        """Do nothing: every line is written already."""


class LineRows(TextRows):
    """File of lines; a byte order mark comes first if the first line could be mistaken."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__(write)
        self._is_begun = False

    def write(self, rows: Sequence[EncodedRows]) -> None:
        if rows and not self._is_begun:
            self._is_begun = True
            if rows[0].data.startswith(_MISTAKEN):
                # Readers drop this mark, and then take the line as it is.
                self._write(_MARK)
        super().write(rows)


class TextFileFormat(FileFormat):
    """Base of formats in which a record is a line of UTF-8."""

    @abstractmethod
    def lines(self, records: Iterable[Any]) -> list[str]:
        """Return one line for each record, without its end. Raise as `encode` does."""

    @abstractmethod
    def lines_of_frame(self, frame: "Frame") -> list[str]:
        """Return one line for each row of a frame, without its end. Raise as `encode` does."""

    def encode(self, records: Sequence[Any]) -> list[EncodedRows]:
        encoded = []
        for are_frames, group in groupby(records, is_frame):
            if are_frames:
                lines = [line for frame in group for line in self.lines_of_frame(frame)]
            else:
                lines = self.lines(group)
            if lines:
                data = encode_lines(lines)
                encoded.append(EncodedRows(len(lines), len(data), data))
        return encoded

    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        return TextRows(write)


class LinesFormat(TextFileFormat):
    """Plain text: each record is a string, and becomes one line."""

    name, suffix = "text", ".txt"

    def open(self, write: Callable[[bytes], None], columns: str) -> FileRows:
        return LineRows(write)

    def lines(self, records: Iterable[Any]) -> list[str]:
        found = list(records)
        for record in found:
            if not isinstance(record, str):
                raise EncodingError(
                    f"write_text takes strings, got {shown(record)}; use map(str), or write_jsonl for other records."
                )
            if "\n" in record or "\r" in record:
                raise EncodingError(
                    f"write_text got a string with a line break, {shown(record)}, which would become several lines; "
                    "split it by flat_map(str.splitlines), or use write_jsonl."
                )
        return found

    def lines_of_frame(self, frame: "Frame") -> list[str]:
        if frame.width != 1:
            raise EncodingError(
                f"write_text takes frames of one column of strings, got {frame.width} columns; use write_csv."
            )
        return self.lines(frame.to_series().to_list())


class JsonLinesFormat(TextFileFormat):
    """JSON lines: each record is a value of JSON. Format: https://jsonlines.org."""

    name, suffix = "jsonl", ".jsonl"

    def lines(self, records: Iterable[Any]) -> list[str]:
        return [json_line(record) for record in records]

    def lines_of_frame(self, frame: "Frame") -> list[str]:
        return [json_line(row) for row in frame.iter_rows(named=True)]


#: Encoder that refuses NaN and infinity, which JSON has not.
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_line(record: Any) -> str:
    """Return a record as JSON.

    Raises:
        EncodingError: The record, or a value in it, is not a value of JSON.
    """
    try:
        check_json_keys(record)
        return _to_json(record)
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error).removeprefix("Object of type ").removesuffix(" is not JSON serializable")
        if reason != str(error):
            reason = f"a value of type {reason} is not JSON"
        raise EncodingError(
            f"{shown(record)} cannot be written as JSON ({reason}); convert its values to strings, numbers, lists and "
            "dicts."
        ) from error


def encode_lines(lines: list[str]) -> bytes:
    """Return lines as UTF-8, each with its end. Raise as `encode_text` does."""
    return encode_text("\n".join([*lines, ""]))


def encode_text(text: str) -> bytes:
    """Return a string as UTF-8.

    Raises:
        EncodingError: It contains half a surrogate pair.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise EncodingError(
            f"a string has the character {error.object[error.start]!a}, half of a surrogate pair, which UTF-8 does not "
            "encode; replace it."
        ) from error


def shown(record: Any) -> str:
    """Return a record for a message, shortened."""
    text = repr(record)
    return f"{type(record).__name__} {text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + '...'}"
