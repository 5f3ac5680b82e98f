"""Formats whose files are read as a whole: the bytes of each file, and JSON arrays."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elastic.core.errors import DecodingError
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.format import RecordFormat
from elastic.stages.sources.files.text_encoding import EncodedLines, decode_block

_USE_LINES = "read it with read_jsonl"


@dataclass(frozen=True, slots=True)
class FileContents(RecordFormat):
    """Files of any type; each file is one entry, a dict of its `path` and its `bytes` as they are stored."""

    @property
    def whole(self) -> bool:
        return True

    @property
    def decompressed(self) -> bool:
        return False

    def parse(self, block: FileBlock) -> list[Any]:
        return [{"path": block.path, "bytes": bytes(block.data)}]

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        yield 0, 0

    def describe(self) -> dict[str, Any]:
        return {"format": "contents"}


@dataclass(frozen=True, slots=True)
class JsonArrayFormat(EncodedLines):
    """Files with one JSON array each (RFC 8259); an entry is an element of the array.

    A file that is not an array is an error as a whole.
    """

    @property
    def whole(self) -> bool:
        return True

    def parse(self, block: FileBlock) -> list[Any]:
        text = decode_block(block, self.encoding, self.errors)
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise self._error(block, text, error) from None
        except (ValueError, RecursionError) as error:
            problem = f"the JSON of the file cannot be read ({type(error).__name__}: {error})"
            raise block.error(0, problem, "correct the file") from None
        if isinstance(value, list):
            return value
        if isinstance(value, dict):
            advice = f"if it is a file of one line per record, {_USE_LINES}; else pass its records to from_iterable"
            raise block.error(0, "the file is one JSON object and no array", advice)
        raise block.error(0, f"the file is one JSON {type(value).__name__} and no array", "leave it out of the paths")

    def starts(self, block: FileBlock) -> Iterator[tuple[int, int]]:
        for _ in self.parse(block):
            yield 0, 0

    def describe(self) -> dict[str, Any]:
        return {"format": "json", "encoding": self.encoding, "errors": self.errors}

    @staticmethod
    def _error(block: FileBlock, text: str, error: json.JSONDecodeError) -> DecodingError:
        offset = len(text[: error.pos].encode("utf-8", "surrogatepass"))
        place = f"at line {error.lineno}, column {error.colno}"
        if not text.strip():
            return block.error(0, "the file is empty and no JSON array", "leave it out of the paths")
        if error.msg == "Extra data":
            return block.error(offset, f"a second JSON value begins {place}", f"if each line is a value, {_USE_LINES}")
        return block.error(offset, f"the file is not JSON ({error.msg} {place})", "correct the file")
