"""Rows of delimited text, one dict per entry."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any, Literal, Protocol

from elastic.core.csv_field_limit import long_fields
from elastic.core.errors import DecodingError, UsageError
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.format import RecordFormat, raw_lines, split_lines, stream_lines
from elastic.stages.sources.files.text_encoding import EncodedFormat, check_encoding, decode_block, needs_recoding


class _Rows(Protocol):
    """Type of `csv.reader`."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> "_Rows": ...
    def __next__(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class CsvRecordFormat(EncodedFormat):
    """CSV files; an entry is a dict from field name to string, and an empty field is an empty string.

    The first row of every file names the fields, unless `fields` does. Quotes inside quoted values are doubled (RFC
    4180). Blank lines are skipped. A row with more or fewer values than fields is an error.

    Attributes:
        fields: Field names of files without a header row.
        delimiter: One ASCII character.
        quotechar: One ASCII character, or None if no value is quoted.
        newlines_in_values: Quoted values may contain line ends. Then the master reads the files, because they cannot
            be cut at every line end. Without it, such a value is an error.
        encoding: Any text encoding; see `EncodedFormat`.
        errors: `strict`, or `replace` to read invalid bytes as U+FFFD.

    Raises:
        UsageError: A parameter is invalid.
    """

    fields: Sequence[str] | None = None
    delimiter: str = ","
    quotechar: str | None = '"'
    newlines_in_values: bool = False
    encoding: str = "utf-8"
    errors: str = "strict"
    #: Field names; None until a header has been read.
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", check_encoding(self.encoding, self.errors))
        _check_character("delimiter", self.delimiter)
        if self.quotechar is not None:
            _check_character("quotechar", self.quotechar)
        if self.delimiter == self.quotechar:
            raise UsageError(f"delimiter and quotechar must differ, both are {self.delimiter!r}.")
        if self.fields is not None:
            object.__setattr__(self, "fields", _check_fields(self.fields))
            object.__setattr__(self, "names", self.fields)

    @property
    def headed(self) -> bool:
        return self.fields is None

    @property
    def sequential(self) -> bool:
        return self.newlines_in_values or needs_recoding(self.encoding)

    def parse(self, block: FileBlock) -> list[Any]:
        with long_fields():
            return self._parse(block)

    def _parse(self, block: FileBlock) -> list[Any]:
        lines = self._lines(decode_block(block, self.encoding, self.errors))
        reader, names = self._reader(lines), self.names or ()
        try:
            if self.headed and block.at == 0 and tuple(next(reader, names)) != names:
                raise ValueError("the header differs")
            # One pass: rows that become dicts at once cost half as much as rows kept in a list.
            entries = [dict(zip(names, row, strict=True)) for row in reader if row]
            if isinstance(lines, list) and self._count(block, lines) != len(entries):
                raise ValueError("a row spans several lines")
        except (csv.Error, ValueError):
            return self._parse_slowly(block)
        return entries

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        with long_fields():
            for at, line, row in self._scan(block):
                if row and not (self.headed and block.at + at == 0):
                    yield at, line

    def describe(self) -> dict[str, Any]:
        return {
            "format": "csv",
            "fields": None if self.fields is None else list(self.fields),
            "delimiter": self.delimiter,
            "quotechar": self.quotechar,
            "newlines_in_values": self.newlines_in_values,
            "encoding": self.encoding,
            "errors": self.errors,
        }

    def records(self, path: str, at: int, plain: Iterable[bytes], chunk_bytes: int) -> Iterator[bytes]:
        if not self.newlines_in_values:
            yield from RecordFormat.records(self, path, at, plain, chunk_bytes)
            return
        begin = row_at = position = at
        lines_of_block: list[bytes] = []

        def feed() -> Iterator[str]:
            nonlocal position
            for line in stream_lines(plain):
                text = decode_block(FileBlock(path, position, line), self.encoding, self.errors)
                lines_of_block.append(line)
                position += len(line)
                yield text

        try:
            # The csv module reads no more lines than the requested row needs.
            with long_fields():
                for _ in self._reader(feed()):
                    row_at = position
                    if position - begin >= chunk_bytes:
                        yield b"".join(lines_of_block)
                        lines_of_block.clear()
                        begin = position
        except csv.Error as error:
            raise self._failure(FileBlock(path, row_at, b""), 0, error) from error
        if lines_of_block:
            yield b"".join(lines_of_block)

    def fields_of(self, head: FileBlock) -> tuple[str, ...]:
        text = decode_block(head, self.encoding, self.errors)
        try:
            with long_fields():
                names: list[str] = next(self._reader(self._lines(text)), [])
        except csv.Error as error:
            raise self._failure(head, 0, error) from error
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated or (text and not names):
            problem = (
                f"the header names {', '.join(map(repr, repeated))} twice" if repeated else "the header row is empty"
            )
            raise head.error(0, problem, "correct the header, or pass fields= if the files have none")
        return tuple(names)

    def with_fields(self, fields: tuple[str, ...]) -> "CsvRecordFormat":
        return replace(self, names=fields)

    def _count(self, block: FileBlock, lines: list[str]) -> int:
        """Return the number of entries if each entry is one line."""
        header = self.headed and block.at == 0 and bool(lines)
        return len(lines) - lines.count("") - lines.count("\r") - header

    def _parse_slowly(self, block: FileBlock) -> list[Any]:
        """Parse row by row, to name the first invalid row."""
        expected, entries = self.names or (), []
        for at, _, row in self._scan(block):
            if self.headed and block.at + at == 0:
                if tuple(row) != expected:
                    raise block.error(
                        0,
                        f"the header is {', '.join(row)} where that of the first file is {', '.join(expected)}",
                        "read files with different fields by flows of their own",
                    )
            elif row:
                if len(row) != len(expected):
                    raise block.error(
                        at,
                        f"the row that begins here has {len(row)} values for {len(expected)} fields",
                        "correct the row, or name the right delimiter= and fields=",
                    )
                entries.append(dict(zip(expected, row, strict=True)))
        return entries

    def _scan(self, block: FileBlock) -> Iterator[tuple[int, int, list[str]]]:
        """Yield each row with its offset and the number of line ends before it; slow, for messages."""
        starts = [at for at, _ in raw_lines(block.data)]
        reader = self._reader(self._lines(decode_block(block, self.encoding, self.errors)))
        line = 0
        try:
            for row in reader:
                if reader.line_num - line > 1 and not self.newlines_in_values:
                    raise csv.Error("a quoted value contains a line end")
                yield starts[line], line, row
                line = reader.line_num
        except csv.Error as error:
            raise self._failure(block, starts[line], error) from error

    def _lines(self, text: str) -> Iterable[str]:
        """Return the lines for the csv module, with their line ends if these may be data."""
        return StringIO(text, newline="\n") if self.newlines_in_values else split_lines(text)

    def _reader(self, lines: Iterable[str]) -> "_Rows":
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quotechar else csv.QUOTE_NONE
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quotechar, quoting=quoting, strict=True)

    def _failure(self, block: FileBlock, offset: int, error: csv.Error) -> DecodingError:
        advice = "correct the file"
        if not self.newlines_in_values:
            advice += ", or pass newlines_in_values=True if quoted values contain line ends"
        return block.error(offset, f"the row that begins here is not CSV ({error})", advice)


def _check_character(name: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise UsageError(f"{name} must be one ASCII character that is not a line end, not {value!r}.")


def _check_fields(fields: Any) -> tuple[str, ...]:
    if isinstance(fields, str) or not isinstance(fields, Sequence) or not fields:
        raise UsageError(f"fields must be a list of names, not {fields!r}.")
    for name in fields:
        if not isinstance(name, str):
            raise UsageError(f"fields must be names, not {name!r}.")
        if fields.count(name) > 1:
            raise UsageError(f"fields names {name!r} twice.")
    return tuple(fields)
