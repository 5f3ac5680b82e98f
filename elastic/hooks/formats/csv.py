"""CSV files that distinguish NULL from empty strings.

As in PostgreSQL's COPY, an unquoted field that equals `null` is NULL, and a quoted field never is. So empty strings and
NULL survive a round trip.
"""

import codecs
import csv
import datetime as dt
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TextIO

from elastic.core.csv_field_limit import long_fields
from elastic.core.errors import ElasticError, UsageError
from elastic.core.local_path import local_path
from elastic.hooks.errors import FileAccessError, RowError
from elastic.persistence.durable_file import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat:
    """Format of a CSV file. Quotes are doubled within quotes; a field may contain newlines."""

    delimiter: str = ","
    #: unquoted string for NULL
    null: str = ""
    #: whether the first line has the column names
    header: bool = True
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if not isinstance(self.delimiter, str) or len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise UsageError(f"the delimiter of a CSV file is one character and no quote, not {self.delimiter!r}.")
        try:
            codecs.lookup(self.encoding)
        except (LookupError, TypeError):
            raise UsageError(f"{self.encoding!r} is not a known text encoding; use for example 'utf-8'.") from None
        if not isinstance(self.null, str) or set(self.null) & {self.delimiter, '"', "\r", "\n"}:
            raise UsageError(f"null must be a string without delimiter, quote and newline, not {self.null!r}.")


#: With commas, a header, and an empty field for NULL.
COMMAS = CsvFormat()


class CsvWriter:
    """Writer of rows into the file that `replaced` yields."""

    def __init__(self, file: TextIO, form: CsvFormat) -> None:
        self._file, self._form = file, form
        self._special = re.compile(f'[{re.escape(form.delimiter)}"\r\n]')

    def write(self, rows: Iterable[Sequence[Any]]) -> int:
        """Write rows and return their number."""
        count = 0
        field, delimiter, write = self._field, self._form.delimiter, self._file.write
        for count, row in enumerate(rows, 1):  # noqa: B007 - the number of the last one is the result
            write(delimiter.join(map(field, row)) + "\n")
        return count

    def _field(self, value: Any) -> str:
        if value is None:
            return self._form.null
        text = value if isinstance(value, str) else text_of(value)
        if text in ("", self._form.null) or self._special.search(text) or text[0].isspace() or text[-1].isspace():
            return '"' + text.replace('"', '""') + '"'
        return text


class CsvReader:
    """Iterator over rows of strings and None."""

    def __init__(self, file: Iterable[str], path: str, form: CsvFormat) -> None:
        self._path, self._form = path, form
        self._lines = iter(file)
        #: lines of the current record
        self._taken: list[str] = []
        #: lines read so far
        self.line = 0
        self._records = csv.reader(self._tap(), delimiter=form.delimiter, strict=True)
        delimiter = re.escape(form.delimiter)
        self._field = re.compile(f'(?:"((?:[^"]|"")*+)"|((?!")[^{delimiter}\r\n]*+))(?:{delimiter}|[\r\n]*\\Z)')

    def header(self) -> tuple[str, ...]:
        """Return the names in the first line.

        Raises:
            RowError: The file is empty.
        """
        first = next(self, None)
        if first is None:
            raise RowError(self._path, 1, "the file has no header")
        return tuple("" if name is None else name for name in first)

    def rows(self, width: int) -> Iterator[list[str | None]]:
        """Yield rows of `width` fields. An empty line is a row only if `width` is 1.

        Raises:
            RowError: A row has more or fewer fields.
        """
        for row in self:
            if len(row) != width:
                if not self._taken[0].strip("\r\n"):
                    continue
                raise RowError(self._path, self.line, f"{len(row)} fields where {width} were expected")
            yield row

    def __iter__(self) -> Iterator[list[str | None]]:
        return self

    def __next__(self) -> list[str | None]:
        self._taken.clear()
        try:
            # The csv module returns no field for an empty line, which is one empty field.
            record = next(self._records) or [""]
        except csv.Error as error:
            raise RowError(self._path, self.line, f"no CSV ({error})") from None
        except UnicodeDecodeError as error:
            raise RowError(self._path, self.line + 1, f"not {self._form.encoding} ({error.reason})") from None
        null = self._form.null
        if null not in record:
            return record  # type: ignore[return-value]
        text = "".join(self._taken)
        if '"' not in text:
            return [None if field == null else field for field in record]
        return self._parsed(text, len(record))

    def _parsed(self, text: str, width: int) -> list[str | None]:
        """Parse a record again to find its quoted fields, which the csv module does not report."""
        fields: list[str | None] = []
        position = 0
        while len(fields) < width:
            match = self._field.match(text, position)
            if match is None:
                raise RowError(self._path, self.line, "text after the closing quote of a field")
            quoted, plain = match[1], match[2]
            if quoted is not None:
                fields.append(quoted.replace('""', '"'))
            else:
                fields.append(None if plain == self._form.null else plain)
            position = match.end()
        return fields

    def _tap(self) -> Iterator[str]:
        for line in self._lines:
            self.line += 1
            self._taken.append(line)
            yield line


@contextmanager
def replaced(path: str | os.PathLike[str], encoding: str) -> Iterator[TextIO]:
    """Yield a new text file that replaces `path` if the block succeeds, and is deleted if it fails."""
    target = local_path("the path of a CSV file", path)
    if target.is_dir():
        raise FileAccessError(os.fspath(path), "written", "it is a folder")
    try:
        # The usual mode of user files: CSV files are not secrets of Elastic.
        with replacing(target, mode=0o666) as file:
            text = io.TextIOWrapper(file, encoding, newline="")
            yield text
            text.flush()
    except UnicodeEncodeError as error:
        reason = f"{encoding} has no {error.object[error.start]!r}"
        raise FileAccessError(os.fspath(path), "written", reason) from error
    except OSError as error:
        if isinstance(error, ElasticError):
            raise
        raise FileAccessError(os.fspath(path), "written", error.strerror or str(error)) from error


@contextmanager
def opened(path: str | os.PathLike[str], encoding: str) -> Iterator[TextIO]:
    """Open a file as text for reading, for example by `CsvReader`, without its byte order mark."""
    known = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    try:
        file = local_path("the path of a CSV file", path, doing="reading").open(encoding=known, newline="")
    except OSError as error:
        raise FileAccessError(os.fspath(path), "read", error.strerror or str(error)) from error
    with file, long_fields():
        yield file


def text_of(value: Any) -> str:
    """Return a value as a string that every database parses: ISO dates, `true`, plain decimals, hexadecimal bytes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    return str(value)
