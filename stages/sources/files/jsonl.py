"""JSON lines, one value per entry."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elastic.core.errors import DecodingError
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.format import raw_lines, split_lines
from elastic.stages.sources.files.text_encoding import EncodedLines, decode_block

_decode = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True)
class JsonLinesRecordFormat(EncodedLines):
    """Files with one JSON value per line (https://jsonlines.org); an entry is the value.

    Lines of white space are skipped. A line that is not JSON is an error that names its byte. To keep bad lines apart
    instead, read text and map `json.loads`; then each bad line is a failed entry.
    """

    def parse(self, block: FileBlock) -> list[Any]:
        lines = split_lines(decode_block(block, self.encoding, self.errors))
        try:
            return [_decode(line) for line in lines if line]
        except (ValueError, RecursionError):
            return self._parse_slowly(block, lines)

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        for number, (at, line) in enumerate(raw_lines(block.data)):
            if line.strip():
                yield at, number

    def describe(self) -> dict[str, Any]:
        return {"format": "jsonl", "encoding": self.encoding, "errors": self.errors}

    def _parse_slowly(self, block: FileBlock, lines: list[str]) -> list[Any]:
        """Parse lines some of which are white space, or find the line that is not JSON."""
        entries = []
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                entries.append(_decode(line))
            except (ValueError, RecursionError) as error:
                raise self._failure(block, number, error) from error
        return entries

    def _failure(self, block: FileBlock, number: int, error: Exception) -> DecodingError:
        at = next(at for index, (at, _) in enumerate(raw_lines(block.data)) if index == number)
        if isinstance(error, json.JSONDecodeError):
            problem = f"the line that begins here is not JSON ({error.msg} at its character {error.pos})"
        else:
            problem = f"the JSON of the line that begins here cannot be read ({type(error).__name__}: {error})"
        return block.error(at, problem, "correct the line, or read_text and map json.loads to keep bad lines apart")
