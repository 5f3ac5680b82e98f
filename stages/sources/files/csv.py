"""Rows of delimited text, one dict per entry."""

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from io import StringIO
from itertools import chain, islice, pairwise
from typing import Any, Literal, NamedTuple, Protocol

from elastic.core.csv_field_limit import long_fields
from elastic.core.errors import DecodingError, UsageError
from elastic.core.model.bad_record import BadRecord, RawRecord
from elastic.core.model.folder_column import FolderColumn
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.csv_columns import CsvColumns, UnconvertibleError
from elastic.stages.sources.files.format import RecordFormat, raw_lines, split_lines, stream_lines, valid
from elastic.stages.sources.files.text_encoding import (
    DecodedLine,
    EncodedFormat,
    check_encoding,
    decode_block,
    decoded_lines,
    decoded_or_error,
    needs_recoding,
)
from elastic.stages.sources.validation import distinct_names

#: Advice of the error about a file whose header is not that of the first file.
HEADER_ADVICE = (
    "pass union_by_name=True for records with the columns of all files, or read the files by flows of their own"
)


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
    4180). Blank lines are skipped. A row with more or fewer values than fields is a bad record.

    Attributes:
        fields: Field names of files without a header row.
        delimiter: One ASCII character.
        quotechar: One ASCII character, or None if no value is quoted.
        newlines_in_values: Quoted values may contain line ends. Then the master reads the files, because they cannot
            be cut at every line end. Without it, such a row is a bad record, and so is one with a quote within a value
            that is not quoted, which may be the end of one.
        escapechar: One ASCII character that removes the meaning of the next one, or None.
        comment: Lines that begin with this ASCII string are skipped.
        skip_rows: Number of lines to skip at the start of each file, before the header.
        selection: Columns to read, and the types of their values.
        encoding: Any text encoding; see `EncodedFormat`.
        errors: `strict`, or `replace` to read invalid bytes as U+FFFD.
        hive_partitioning: Folders `key=value/` below the given paths are columns.
        union_by_name: The headers of files may differ. A record has the columns of all files, in the order in which
            they are found, and None where its file has no such column.

    Raises:
        UsageError: A parameter is invalid.
    """

    fields: Sequence[str] | None = None
    delimiter: str = ","
    quotechar: str | None = '"'
    newlines_in_values: bool = False
    escapechar: str | None = None
    comment: str | None = None
    skip_rows: int = 0
    selection: CsvColumns = field(default_factory=CsvColumns)
    encoding: str = "utf-8"
    errors: str = "strict"
    hive_partitioning: bool = True
    union_by_name: bool = False
    #: Field names; None until a header has been read.
    names: tuple[str, ...] | None = None
    #: Columns to add to each row.
    columns_of_file: tuple[FolderColumn, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", check_encoding(self.encoding, self.errors))
        _check_character("delimiter", self.delimiter)
        if self.quotechar is not None:
            _check_character("quotechar", self.quotechar)
        if self.escapechar is not None:
            _check_character("escapechar", self.escapechar)
        if self.delimiter == self.quotechar:
            raise UsageError(f"delimiter and quotechar must differ, both are {self.delimiter!r}.")
        if self.escapechar in (self.delimiter, self.quotechar) and self.escapechar is not None:
            raise UsageError(f"escapechar must differ from delimiter and quotechar, and is {self.escapechar!r}.")
        self._check_skipped()
        if self.fields is not None:
            if self.union_by_name:
                raise UsageError("union_by_name=True joins files by their headers; leave out fields=.")
            object.__setattr__(self, "fields", distinct_names("fields", self.fields))
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
        text = decoded_or_error(self._body(block), self.encoding, self.errors)
        if isinstance(text, DecodingError):
            return valid(self._entries(block))
        lines = self._lines(text)
        reader, names = self._reader(lines), self.names or ()
        try:
            if self.headed and block.at == 0 and tuple(next(reader, names)) != names:
                raise ValueError("the header differs")
            # One pass: rows that become dicts at once cost half as much as rows kept in a list.
            if self.selection == CsvColumns():
                entries = [dict(zip(names, row, strict=True)) for row in reader if row]
            else:
                constants = self.selection.constants(self.columns_of_file)
                entries = [self.selection.entry(names, row, constants) for row in reader if row]
            if isinstance(lines, list) and self._count(block, lines) != len(entries):
                raise ValueError("a row spans several lines")
            if (
                isinstance(lines, list)
                and self._may_have_quotes(entries)
                and any(map(self._has_stray_quote, islice(lines, self.headed and block.at == 0, None)))
            ):
                raise ValueError("a quote is within a value")
        except (csv.Error, ValueError):
            return valid(self._entries(block))
        if self.columns_of_file and self.selection == CsvColumns():
            constants = self.selection.constants(self.columns_of_file)
            for entry in entries:
                entry.update(constants)
        return entries

    def parse_each(self, block: FileBlock) -> list[Any]:
        with long_fields():
            return list(self._entries(block))

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        with long_fields():
            found = [(row.at, row.line) for row in self._rows(block)]
        yield from found

    def describe(self) -> dict[str, Any]:
        return {
            "format": "csv",
            "fields": None if self.fields is None else list(self.fields),
            "delimiter": self.delimiter,
            "quotechar": self.quotechar,
            "newlines_in_values": self.newlines_in_values,
            "encoding": self.encoding,
            "errors": self.errors,
            **({} if self.escapechar is None else {"escapechar": self.escapechar}),
            **({} if self.comment is None else {"comment": self.comment}),
            **({"skip_rows": self.skip_rows} if self.skip_rows else {}),
            **({} if self.hive_partitioning else {"hive_partitioning": False}),
            **({"union_by_name": True} if self.union_by_name else {}),
            **self.selection.describe(),
        }

    def head_bytes(self, plain: Iterable[bytes]) -> int:
        if not self.has_head:
            return 0
        at = 0
        for number, line in enumerate(stream_lines(plain)):
            at += len(line)
            if not self._is_preamble(number, line):
                break
        return at

    def records(self, path: str, at: int, plain: Iterable[bytes], chunk_bytes: int) -> Iterator[bytes]:
        if not self.newlines_in_values:
            yield from self._with_preamble(at, RecordFormat.records(self, path, at, plain, chunk_bytes))
            return
        begin = position = at
        lines_of_block: list[bytes] = []

        def feed() -> Iterator[str]:
            nonlocal position
            for number, line in enumerate(stream_lines(plain)):
                if at == 0 and number < self.skip_rows:
                    lines_of_block.append(line)
                    position += len(line)
                    continue
                # Invalid bytes are the reader's affair: quotes and delimiters are ASCII.
                text = decode_block(FileBlock(path, position, line), self.encoding, "replace")
                lines_of_block.append(line)
                position += len(line)
                yield text

        # The csv module reads no more lines than the requested row needs.
        rows, is_last = _each_row(self._reader(feed())), False
        while not is_last:
            with long_fields():
                is_last = all(position - begin < chunk_bytes for _ in rows)
            if lines_of_block:
                yield b"".join(lines_of_block)
                lines_of_block.clear()
                begin = position

    def fields_of(self, head: FileBlock) -> tuple[str, ...]:
        head = self._body(head)
        text = decode_block(head, self.encoding, self.errors)
        try:
            with long_fields():
                names: list[str] = next(self._reader(self._lines(text)), [])
        except csv.Error as error:
            raise self._error(head, 0, error) from error
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated or (text and not names):
            problem = (
                f"the header names {', '.join(map(repr, repeated))} twice" if repeated else "the header row is empty"
            )
            raise head.error(0, problem, "correct the header, or pass fields= if the files have none")
        if names and not self.union_by_name:
            self.selection.check((*names, *(column.name for column in self.columns_of_file)), head.path)
        return tuple(names)

    def with_fields(self, fields: tuple[str, ...]) -> "CsvRecordFormat":
        return replace(self, names=fields)

    def with_all_columns(self, names: tuple[str, ...]) -> "CsvRecordFormat":
        self.selection.check(names, "the files")
        return self if self.selection.selected else replace(self, selection=replace(self.selection, selected=names))

    def with_columns(self, columns: tuple[FolderColumn, ...]) -> "CsvRecordFormat":
        own = self.names or ()
        return replace(self, columns_of_file=tuple(column for column in columns if column.name not in own))

    def check_columns(self) -> None:
        if self.fields is not None:
            self.selection.check((*self.fields, *(column.name for column in self.columns_of_file)), "fields=")

    def _count(self, block: FileBlock, lines: list[str]) -> int:
        """Return the number of entries if each entry is one line."""
        header = self.headed and block.at == 0 and bool(lines)
        return len(lines) - lines.count("") - lines.count("\r") - header

    def _entries(self, block: FileBlock) -> Iterator[Any]:
        """Yield the entry of each row, or a bad record."""
        names, selection = self.names or (), self.selection
        constants, is_plain = selection.constants(self.columns_of_file), selection == CsvColumns()
        for row in self._rows(block):
            values = row.values
            if isinstance(values, DecodingError):
                yield self._bad(row, values)
                continue
            if len(values) != len(names):
                problem = f"the row that begins here has {len(values)} values for {len(names)} fields"
                advice = "correct the row, or name the right delimiter= and fields="
                yield self._bad(row, block.error(row.at, problem, advice))
            elif is_plain:
                yield {**dict(zip(names, values, strict=True)), **constants}
            else:
                try:
                    entry: Any = selection.entry(names, values, constants)
                except UnconvertibleError as error:
                    advice = "correct the value, or give another type"
                    entry = self._bad(row, block.error(row.at, str(error), advice))
                yield entry

    def _bad(self, row: "_Row", error: DecodingError) -> BadRecord:
        return BadRecord(RawRecord(row.raw, self.names or (), columns=self.columns_of_file), error)

    def _rows(self, block: FileBlock) -> "Iterator[_Row]":
        """Yield the rows that are entries: all but blank ones and the header.

        Raises:
            DecodingError: The header is not that of the first file.
        """
        body = self._body(block)
        skipped = body.at - block.at
        before = bytes(block.data[:skipped]).count(b"\n")
        is_header = self.headed and block.at == 0
        rows = self._scan_lines(body, before) if self.newlines_in_values else self._scan(body, is_header, before)
        for row in rows:
            if is_header:
                self._check_header(body, row)
                is_header = False
            elif row.values:
                yield row._replace(at=skipped + row.at) if skipped else row

    @property
    def has_head(self) -> bool:
        """True if lines may come before the header, or before the first row of files without one."""
        return bool(self.skip_rows) or (self.headed and self.comment is not None)

    def _is_comment(self, line: bytes) -> bool:
        return self.comment is not None and line.removeprefix(BOM_UTF8).startswith(self.comment.encode())

    def _is_preamble(self, number: int, line: bytes) -> bool:
        """Return whether a line, of a number in its file, comes before the header and all lines like it."""
        return number < self.skip_rows or (self.headed and self._is_comment(line))

    def _preamble_bytes(self, data: bytes | memoryview) -> int:
        """Return the number of bytes before the header; all bytes if the data ends before it."""
        for number, (at, line) in enumerate(raw_lines(data)):
            if not self._is_preamble(number, line):
                return at
        return len(data)

    def _with_preamble(self, at: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield blocks of a file from byte `at` on, of which the first one ends after the header."""
        if at == 0 and self.has_head:
            first = b""
            for block in blocks:
                first += block
                if self._preamble_bytes(first) < len(first):
                    break
            if first:
                yield first
        yield from blocks

    def _body(self, block: FileBlock) -> FileBlock:
        """Return a block without the lines before the header."""
        if block.at or not self.has_head:
            return block
        start = self._preamble_bytes(block.data)
        return FileBlock(block.path, start, block.data[start:])

    def _check_header(self, block: FileBlock, row: "_Row") -> None:
        expected = self.names or ()
        if isinstance(row.values, DecodingError):
            raise row.values
        if tuple(row.values) != expected:
            raise block.error(
                0,
                f"the header is {', '.join(row.values)} where that of the first file is {', '.join(expected)}",
                HEADER_ADVICE,
            )

    def _scan(self, body: FileBlock, headed: bool, before: int) -> "Iterator[_Row]":
        """Yield each row of a block, with a header or without, in which every line is a row.

        Args:
            body: The block, without the lines before the header.
            headed: Whether the first row is the header.
            before: Number of line ends before the body in its block.
        """
        lines = list(decoded_lines(body, self.encoding, self.errors))
        # An empty line is no row.
        plain = ["" if self._is_no_row(line) else line.text for line in lines]
        has_comments, index = self.comment is not None, 0
        while index < len(lines):
            # One reader for all lines up to the next that is no row by itself, because a reader per line is slow.
            reader = self._reader(map(plain.__getitem__, range(index, len(plain))))  # type: ignore[arg-type]
            first = index
            try:
                for values in reader:
                    line, stop = lines[index], first + reader.line_num
                    if stop != index + 1:
                        break
                    if has_comments and self._is_comment(line.raw):
                        pass
                    elif isinstance(line.text, DecodingError):
                        yield _Row(line.at, before + line.number, line.raw, line.text)
                    else:
                        # It may be the end of a value whose line end is where the file was cut.
                        is_stray = not headed and self._has_stray_quote(line.text)
                        found = self._stray_quote(body, line.at) if is_stray else values
                        yield _Row(line.at, before + line.number, line.raw, found)
                        headed = False
                    index = stop
            except csv.Error:
                pass
            if index < len(lines):
                row, index = self._invalid_row(body, lines, index)
                yield row._replace(line=before + row.line)
                headed = False

    def _is_no_row(self, line: DecodedLine) -> bool:
        return isinstance(line.text, DecodingError) or self._is_comment(line.raw)

    def _invalid_row(self, body: FileBlock, lines: list[DecodedLine], index: int) -> "tuple[_Row, int]":
        """Return the row that begins with a line that is no row by itself, and the index of the line after it."""
        at, number, raw, text = lines[index]
        try:
            next(self._reader([str(text)]), [])
        except csv.Error as error:
            stop = index + 1 + self._lines_of_value(islice(lines, index, None))
            problem = error if stop == index + 1 else csv.Error("a quoted value contains a line end")
            data = b"\n".join([raw, *(line.raw for line in lines[index + 1 : stop])])
            return _Row(at, number, data, self._error(body, at, problem)), stop
        raise AssertionError("a line that is a row by itself")

    def _lines_of_value(self, lines: Iterable[DecodedLine]) -> int:
        """Return the number of lines after the first that belong to its row, because a quoted value has line ends.

        0 if the lines make no row of the right length: then the first line is invalid by itself.
        """
        used = 0

        def feed() -> Iterator[str]:
            nonlocal used
            for line in lines:
                if isinstance(line.text, DecodingError):
                    return
                used += 1
                yield f"{line.text}\n"

        try:
            row = next(self._reader(feed()), [])
        except csv.Error:
            return 0
        return used - 1 if len(row) == len(self.names or ()) else 0

    def _scan_lines(self, block: FileBlock, before: int) -> "Iterator[_Row]":
        """Yield each row of a block in which a row may be several lines, as `_scan` does; slow."""
        data = bytes(block.data)
        starts = [at for at, _ in raw_lines(data)]
        starts.append(len(data))
        wrong: dict[int, DecodingError] = {}

        def feed() -> Iterator[str]:
            for number, (at, end) in enumerate(pairwise(starts)):
                line = FileBlock(block.path, block.at + at, data[at:end])
                text = decoded_or_error(line, self.encoding, self.errors)
                if isinstance(text, DecodingError):
                    wrong[number] = text
                    text = decode_block(line, self.encoding, "replace")
                yield text

        reader, line = self._reader(feed()), 0
        for values in _each_row(reader):
            at, stop = starts[line], reader.line_num
            raw = data[at : starts[stop]].removesuffix(b"\n").removesuffix(b"\r")
            if block.at + at == 0:
                raw = raw.removeprefix(BOM_UTF8)
            bad = next((wrong[number] for number in range(line, stop) if number in wrong), None)
            if bad is None and isinstance(values, csv.Error):
                bad = self._error(block, at, values)
            yield _Row(at, before + line, raw, values if bad is None else bad)  # type: ignore[arg-type]
            line = stop

    def _lines(self, text: str) -> Iterable[str]:
        """Return the lines for the csv module, without comments, and with their line ends if these may be data."""
        if self.newlines_in_values:
            return StringIO(text, newline="\n")
        lines = split_lines(text)
        return lines if self.comment is None else [line for line in lines if not line.startswith(self.comment)]

    def _reader(self, lines: Iterable[str]) -> "_Rows":
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quotechar else csv.QUOTE_NONE
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quotechar,
            escapechar=self.escapechar,
            quoting=quoting,
            strict=True,
        )

    def _error(self, block: FileBlock, offset: int, error: csv.Error) -> DecodingError:
        reason, advice = str(error), "correct the file"
        if reason.startswith("new-line character"):
            reason, advice = "a carriage return without a line feed", "convert its line ends to line feeds"
        if not self.newlines_in_values:
            advice += ", or pass newlines_in_values=True if quoted values contain line ends"
        return block.error(offset, f"the row that begins here is not CSV ({reason})", advice)

    def _may_have_quotes(self, entries: list[Any]) -> bool:
        """Return whether a value may have a quote: quick, where the lines of most files all have quotes, or none."""
        if self.quotechar is None or self.selection != CsvColumns():
            return self.quotechar is not None
        return self.quotechar in "".join(chain.from_iterable(map(dict.values, entries)))

    def _has_stray_quote(self, line: str) -> bool:
        """Return whether a line that is a row has a quote in a value that is not quoted."""
        quote = self.quotechar
        return quote is not None and quote in line and not _quoted_row(self.delimiter, quote, self.escapechar)(line)

    def _stray_quote(self, block: FileBlock, offset: int) -> DecodingError:
        return block.error(
            offset,
            "the row that begins here is not CSV (a quote in a value that is not quoted)",
            "correct it, or pass newlines_in_values=True if quoted values contain line ends, or quotechar=None if "
            "none is quoted",
        )

    def _check_skipped(self) -> None:
        comment = self.comment
        if comment is not None:
            if not isinstance(comment, str) or not comment or not comment.isascii() or set("\r\n\0") & set(comment):
                raise UsageError(f"comment must be an ASCII string without line ends, such as '#', not {comment!r}.")
            if self.newlines_in_values:
                raise UsageError("comment and newlines_in_values cannot be combined: values may contain such lines.")
        if not isinstance(self.skip_rows, int) or isinstance(self.skip_rows, bool) or self.skip_rows < 0:
            raise UsageError(f"skip_rows must be a whole number from 0, not {self.skip_rows!r}.")


class _Row(NamedTuple):
    """Row of a block."""

    at: int  #: Offset in the block, in bytes.
    line: int  #: Number of line ends before it.
    raw: bytes  #: The row without its last line end.
    values: list[str] | DecodingError


@cache
def _quoted_row(delimiter: str, quote: str, escape: str | None) -> Callable[[str], re.Match[str] | None]:
    """Return the function that matches a line of which each value is quoted as a whole, or has no quote."""
    end, mark = re.escape(delimiter), re.escape(quote)
    escaped, special = ("", "") if escape is None else (f"|{re.escape(escape)}.", re.escape(escape))
    value = f"(?:{mark}(?:[^{mark}{special}]++|{mark}{mark}{escaped})*+{mark}|(?:[^{mark}{end}{special}]++{escaped})*+)"
    return re.compile(rf"{value}(?:{end}{value})*+\r*", re.DOTALL).fullmatch


def _each_row(reader: _Rows) -> Iterator[list[str] | csv.Error]:
    """Yield the rows of a reader, and an error in the place of each invalid one; the next row begins after its line."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield error


def _check_character(name: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise UsageError(f"{name} must be one ASCII character that is not a line end, not {value!r}.")
