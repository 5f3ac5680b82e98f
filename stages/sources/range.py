"""Range of integers: a chunk is three numbers, whatever its size."""

from collections.abc import Collection, Iterator
from typing import Any

from elastic.core.contracts.source import Reader, Source
from elastic.core.errors import UsageError
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.stages.sources.validation import positive_integer


class RangeReader(Reader):
    """Reader of parts of a range; a reference is `(start, stop, step)`."""

    def read_block(self, reference: Reference) -> bytes:
        # As text, because the integers have no maximum.
        return b"%d %d %d" % reference

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        return range(*map(int, block.split()))

    def locate(self, reference: Reference, index: int) -> str:
        start, _, step = reference
        return f"number {start + index * step}"


class RangeSource(Source):
    """The integers of `range(start, stop, step)`, in that order.

    Chunks travel by reference, and workers get a `range`. So a chunk of any number of entries takes a few bytes.

    Args:
        start: First entry.
        stop: Exclusive end.
        step: Difference between entries, not 0; negative to count down.
        chunk_size: Entries per chunk.

    Raises:
        UsageError: A parameter is not an integer, `step` is 0, or `chunk_size` is not positive.
    """

    def __init__(self, start: int, stop: int, step: int = 1, *, chunk_size: int = 3000) -> None:
        for name, value in (("start", start), ("stop", stop), ("step", step)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise UsageError(f"{name} must be an integer, not {value!r}.")
        if step == 0:
            raise UsageError("step must not be 0: the range would have no end.")
        self._whole = range(start, stop, step)
        self._chunk_size = positive_integer("chunk_size", chunk_size)

    @property
    def _count(self) -> int:
        """Number of entries; unlike `len`, it has no maximum."""
        whole = self._whole
        return whole.index(whole[-1]) + 1 if whole else 0

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the first entry,)`."""
        (first,) = position or (0,)
        start, step, count, size = self._whole.start, self._whole.step, self._count, self._chunk_size
        for index in range(first, count, size):
            yield SourcePiece((index,), (start + index * step, start + min(index + size, count) * step, step))

    def reader(self) -> RangeReader:
        return RangeReader()

    def describe(self) -> dict[str, Any]:
        whole = self._whole
        return {
            "kind": "range",
            "start": whole.start,
            "stop": whole.stop,
            "step": whole.step,
            "chunk_size": self._chunk_size,
        }

    def expected_chunks(self) -> int:
        return -(-self._count // self._chunk_size)

    def reading(self) -> str:
        return "the workers"

    def expected_entries(self) -> int:
        return self._count
