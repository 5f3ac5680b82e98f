"""Sets of chunk ids that stay small: a watermark and the spans above it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from elastic.core.chunk import Chunk


@dataclass(slots=True)
class Spans:
    """Sorted, disjoint spans `[first, stop)` of chunk ids above a watermark below which all ids are in the set.

    Memory grows with the number of gaps, which the window bounds, not with the number of chunks.
    """

    low: int = 0
    above: list[tuple[int, int]] = field(default_factory=list)

    def overlaps(self, first: int, stop: int) -> bool:
        return first < self.low or any(first < end and begin < stop for begin, end in self.above)

    def __contains__(self, chunk_id: int) -> bool:
        return chunk_id < self.low or any(begin <= chunk_id < end for begin, end in self.above)

    def without(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Return those of consecutive chunks that are not in the set."""
        if not chunks or not self.overlaps(chunks[0].chunk_id, chunks[-1].chunk_id + 1):
            return list(chunks)
        return [chunk for chunk in chunks if chunk.chunk_id not in self]

    def __len__(self) -> int:
        return self.low + sum(stop - first for first, stop in self.above)

    def add(self, first: int, stop: int) -> None:
        """Add a span that overlaps nothing in the set."""
        self.above.append((first, stop))
        self.above.sort()
        merged: list[tuple[int, int]] = []
        for begin, end in self.above:
            if begin == self.low:
                self.low = end
            elif merged and merged[-1][1] == begin:
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((begin, end))
        self.above = merged

    def bitmap(self) -> bytes:
        """Return one bit for each id from `low` on, lowest bit first."""
        bits = 0
        for first, stop in self.above:
            bits |= ((1 << (stop - first)) - 1) << (first - self.low)
        return bits.to_bytes((bits.bit_length() + 7) // 8, "little")

    @classmethod
    def of(cls, low: int, bitmap: bytes) -> "Spans":
        """Return the set that `bitmap` describes."""
        spans, bits = cls(low), int.from_bytes(bitmap, "little")
        for first, stop in _runs(bits):
            spans.add(low + first, low + stop)
        return spans


def _runs(bits: int) -> Iterator[tuple[int, int]]:
    start = 0
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        bits >>= zeros
        ones = (~bits & (bits + 1)).bit_length() - 1
        bits >>= ones
        yield start + zeros, start + zeros + ones
        start += zeros + ones
