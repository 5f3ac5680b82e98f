"""JSON lines, one value per entry."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elastic.core.errors import DecodingError
from elastic.core.model.bad_record import BadRecord
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.format import split_lines, valid
from elastic.stages.sources.files.text_encoding import DecodedLine, EncodedLines, decode_block, decoded_lines

_decode = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True)
class JsonLinesRecordFormat(EncodedLines):
    """Files with one JSON value per line (https://jsonlines.org); an entry is the value.

    Lines of white space are skipped. A line that is not JSON is a bad record.
    """

    def parse(self, block: FileBlock) -> list[Any]:
        lines = split_lines(decode_block(block, self.encoding, self.errors))
        try:
            return [_decode(line) for line in lines if line]
        except (ValueError, RecursionError):
            return valid(self._value(block, line) for line in self._lines(block))

    def parse_each(self, block: FileBlock) -> list[Any]:
        return [self._value(block, line) for line in self._lines(block)]

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        for line in self._lines(block):
            yield line.at, line.number

    def describe(self) -> dict[str, Any]:
        return {"format": "jsonl", "encoding": self.encoding, "errors": self.errors}

    def _lines(self, block: FileBlock) -> Iterator[DecodedLine]:
        """Yield the lines that are not white space."""
        for line in decoded_lines(block, self.encoding, self.errors):
            if isinstance(line.text, DecodingError) or line.text.strip():
                yield line

    @staticmethod
    def _value(block: FileBlock, line: DecodedLine) -> Any:
        """Return the value of a line, or a bad record."""
        if isinstance(line.text, DecodingError):
            return BadRecord(line.raw, line.text)
        try:
            return _decode(line.text)
        except json.JSONDecodeError as error:
            problem = f"the line that begins here is not JSON ({error.msg} at its character {error.pos})"
        except (ValueError, RecursionError) as error:
            problem = f"the JSON of the line that begins here cannot be read ({type(error).__name__}: {error})"
        advice = 'correct the line, or pass on_error="dead-letter" to keep bad lines apart'
        return BadRecord(line.raw, block.error(line.at, problem, advice))
