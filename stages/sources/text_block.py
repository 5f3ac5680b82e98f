"""The lines of a block of text, in one piece."""

from collections.abc import Iterator, Sequence
from typing import overload

from elastic.stages.sources.format import split_lines

#: Bytes of a piece, or some more: a processor holds the words of so many near itself.
_PIECE_BYTES = 1 << 16


class TextBlock(Sequence[str]):
    """Lines of text that are split when somebody looks at them.

    Args:
        data: Whole lines, in valid UTF-8.
    """

    __slots__ = ("_length", "_lines", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._lines: list[str] | None = None
        self._length: int | None = None

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def pieces(self) -> Iterator[bytes]:
        """The data in pieces of whole lines."""
        start = 0
        while start < len(self.data):
            stop = self.data.find(b"\n", start + _PIECE_BYTES - 1) + 1 or len(self.data)
            yield self.data[start:stop]
            start = stop

    def __len__(self) -> int:
        if self._length is None:
            self._length = self.data.count(b"\n") + (not self.data.endswith(b"\n") and bool(self.data))
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self._split())

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "TextBlock": ...

    def __getitem__(self, index: int | slice) -> "str | TextBlock":
        if isinstance(index, int):
            return self._split()[index]
        if index.indices(len(self)) == (0, len(self), 1):
            return self
        return TextBlock("".join([f"{line}\n" for line in self._split()[index]]).encode())

    def _split(self) -> list[str]:
        if self._lines is None:
            self._lines = split_lines(self.text)
        return self._lines
