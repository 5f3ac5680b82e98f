"""Files whose words are counted, and the loop that all programs written by hand share."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sample_text import Text

#: Bytes per read of a hand-written loop: the fastest of several sizes.
BLOCK_BYTES = 64 << 10

#: Lines of a file that begin at or after one byte and before another.
Range = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files whose words are counted, and their division into pieces for programs written by hand."""

    #: a folder of `Text`
    folder: str
    piece_bytes: int | None = None
    files_per_piece: int = 1

    def root(self, text: Text) -> Path:
        root: Path = getattr(text, self.folder)
        return root

    def paths(self, text: Text) -> list[str]:
        return sorted(str(path) for path in self.root(text).rglob("*.txt"))

    def whole(self, text: Text) -> list[Range]:
        return [(path, 0, Path(path).stat().st_size) for path in self.paths(text)]

    def mebibytes(self, size: int, text: Text) -> float:
        return sum(size for _, _, size in self.whole(text)) / (1 << 20)

    def pieces(self, text: Text) -> list[list[Range]]:
        whole = self.whole(text)
        if self.piece_bytes is None:
            step = self.files_per_piece
            return [whole[first : first + step] for first in range(0, len(whole), step)]
        step = self.piece_bytes
        return [[(path, start, min(start + step, size))] for path, _, size in whole for start in range(0, size, step)]


def count(piece: list[Range], counts: Counter[bytes] | None = None) -> Counter[bytes]:
    """Count the words of a piece block by block, into the given table or a new one."""
    counts = Counter() if counts is None else counts
    for path, start, stop in piece:
        for block in _blocks(path, start, stop):
            counts.update(block.split())
    return counts


def count_text(piece: list[Range]) -> Counter[str]:
    """Count the words of a piece block by block, as strings."""
    counts: Counter[str] = Counter()
    for path, start, stop in piece:
        for block in _blocks(path, start, stop):
            counts.update(block.decode().split())
    return counts


def _blocks(path: str, start: int, stop: int) -> Iterator[bytes]:
    """Yield blocks of whole lines that begin at or after `start` and before `stop`."""
    with Path(path).open("rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()
        while (left := stop - file.tell()) > 0:
            block = file.read(min(BLOCK_BYTES, left))
            yield block if block.endswith(b"\n") else block + file.readline()
