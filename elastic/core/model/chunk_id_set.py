"""Compact sets of chunk ids: a watermark and the spans above it."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from elastic.core.model.chunk import Chunk


@dataclass(slots=True)
class ChunkIdSet:
    """Sorted, disjoint spans `[first, stop)` of chunk ids above a watermark below which all ids are in the set.

    Memory grows with the number of gaps, which the window bounds, not with the number of chunks.
    """

    low: int = 0
    above: list[tuple[int, int]] = field(default_factory=list)
    #: Number of ids in the spans above.
    _beyond: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        self._beyond = sum(stop - first for first, stop in self.above)

    def overlaps(self, first: int, stop: int) -> bool:
        if first < self.low:
            return True
        # Of the spans that begin before `stop`, the last one reaches furthest.
        at = bisect_left(self.above, (stop,))
        return at > 0 and self.above[at - 1][1] > first

    def __contains__(self, chunk_id: int) -> bool:
        return self.overlaps(chunk_id, chunk_id + 1)

    def without(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Return the chunks, of consecutive ones, that are not in the set."""
        if not chunks or not self.overlaps(chunks[0].chunk_id, chunks[-1].chunk_id + 1):
            return list(chunks)
        return [chunk for chunk in chunks if chunk.chunk_id not in self]

    def __len__(self) -> int:
        return self.low + self._beyond

    def add(self, first: int, stop: int) -> None:
        """Add a span that overlaps nothing in the set."""
        above, at = self.above, bisect_left(self.above, (first,))
        self._beyond += stop - first
        if at < len(above) and above[at][0] == stop:
            stop = above.pop(at)[1]
        if at and above[at - 1][1] == first:
            at -= 1
            first = above.pop(at)[0]
        if first == self.low:
            # This span is the first one: no span starts below the watermark.
            self.low = stop
            self._beyond -= stop - first
        else:
            above.insert(at, (first, stop))

    def bitmap(self) -> bytes:
        """Return one bit for each id from `low` on, lowest bit first."""
        bits = 0
        for first, stop in self.above:
            bits |= ((1 << (stop - first)) - 1) << (first - self.low)
        return bits.to_bytes((bits.bit_length() + 7) // 8, "little")

    @classmethod
    def of(cls, low: int, bitmap: bytes) -> "ChunkIdSet":
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
