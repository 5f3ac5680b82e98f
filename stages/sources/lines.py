"""Text, one line an entry."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elastic.stages.sources.block import Block
from elastic.stages.sources.encoded import EncodedFormat, checked_encoding, decoded
from elastic.stages.sources.format import raw_lines, split_lines
from elastic.stages.sources.text_block import TextBlock


@dataclass(frozen=True, slots=True)
class TextLines(EncodedFormat):
    r"""Text files; an entry is one line as `str`, without its line end.

    Only `\n` and `\r\n` end a line; blank lines are entries; a byte order mark at the start of a file is dropped.

    Attributes:
        encoding: Any; see `EncodedFormat`.
        errors: `strict`, or `replace` to have U+FFFD in place of bytes that are not text.

    Raises:
        UsageError: The encoding is unknown.
    """

    encoding: str = "utf-8"
    errors: str = "strict"

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", checked_encoding(self.encoding, self.errors))

    def parse(self, block: Block) -> list[Any]:
        return split_lines(decoded(block, self.encoding, self.errors))

    def columns(self, block: Block) -> TextBlock:
        data = bytes(block.data)
        if self.encoding != "utf-8" or not data.isascii():
            # Bytes that are not text are found here, whoever splits them; no surrogate comes out of files.
            data = decoded(block, self.encoding, self.errors).encode()
        return TextBlock(data)

    def starts(self, block: Block) -> Iterator[tuple[int, int]]:
        for number, (at, _) in enumerate(raw_lines(block.data)):
            yield at, number

    def describe(self) -> dict[str, Any]:
        return {"format": "text", "encoding": self.encoding, "errors": self.errors}
