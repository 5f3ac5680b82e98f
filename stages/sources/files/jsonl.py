"""JSON lines, one value per entry."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from elastic.core.errors import DecodingError
from elastic.core.model.bad_record import BadRecord, RawRecord
from elastic.core.model.folder_column import FolderColumn
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.format import split_lines, valid
from elastic.stages.sources.files.text_encoding import DecodedLine, EncodedLines, decode_block, decoded_lines

_decode = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True)
class JsonLinesRecordFormat(EncodedLines):
    """Files with one JSON value per line (https://jsonlines.org); an entry is the value.

    Lines of white space are skipped. A line that is not JSON is a bad record.

    Attributes:
        hive_partitioning: Folders `key=value/` below the given paths are columns.
        columns_of_file: Columns to add to each record; then a value that is not an object is a bad record.
    """

    hive_partitioning: bool = True
    columns_of_file: tuple[FolderColumn, ...] = ()

    def parse(self, block: FileBlock) -> list[Any]:
        lines = split_lines(decode_block(block, self.encoding, self.errors))
        try:
            entries = [_decode(line) for line in lines if line]
            if self.columns_of_file:
                values = {column.name: column.value for column in self.columns_of_file}
                entries = [_extended(entry, values) for entry in entries]
            return entries
        except (ValueError, RecursionError):
            return valid(self._value(block, line) for line in self._lines(block))

    def parse_each(self, block: FileBlock) -> list[Any]:
        return [self._value(block, line) for line in self._lines(block)]

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        for line in self._lines(block):
            yield line.at, line.number

    def with_columns(self, columns: tuple[FolderColumn, ...]) -> "JsonLinesRecordFormat":
        return replace(self, columns_of_file=columns)

    def describe(self) -> dict[str, Any]:
        # Without the usual value, so that runs of earlier versions can be resumed.
        folders = {} if self.hive_partitioning else {"hive_partitioning": False}
        return {"format": "jsonl", "encoding": self.encoding, "errors": self.errors, **folders}

    def _lines(self, block: FileBlock) -> Iterator[DecodedLine]:
        """Yield the lines that are not white space."""
        for line in decoded_lines(block, self.encoding, self.errors):
            if isinstance(line.text, DecodingError) or line.text.strip():
                yield line

    def _value(self, block: FileBlock, line: DecodedLine) -> Any:
        """Return the value of a line, or a bad record."""
        if isinstance(line.text, DecodingError):
            return BadRecord(self._raw(line), line.text)
        try:
            value = _decode(line.text)
            if not self.columns_of_file:
                return value
            return _extended(value, {column.name: column.value for column in self.columns_of_file})
        except _NoObjectError as error:
            problem = f"the line that begins here is {error} and has no columns, but the folders of the file name some"
            advice = "correct it, or pass hive_partitioning=False"
            return BadRecord(self._raw(line), block.error(line.at, problem, advice))
        except json.JSONDecodeError as error:
            problem = f"the line that begins here is not JSON ({error.msg} at its character {error.pos})"
        except (ValueError, RecursionError) as error:
            problem = f"the JSON of the line that begins here cannot be read ({type(error).__name__}: {error})"
        advice = 'correct the line, or pass on_error="dead-letter" to keep bad lines apart'
        return BadRecord(self._raw(line), block.error(line.at, problem, advice))

    def _raw(self, line: DecodedLine) -> RawRecord:
        return RawRecord(line.raw, columns=self.columns_of_file)


class _NoObjectError(ValueError):
    """A value that has no columns. Never leaves the parser."""


def _extended(value: Any, columns: dict[str, Any]) -> dict[str, Any]:
    """Return an object of JSON with more columns after its own."""
    if type(value) is not dict:
        raise _NoObjectError(f"a JSON {type(value).__name__}")
    for name, constant in columns.items():
        value.setdefault(name, constant)
    return value
