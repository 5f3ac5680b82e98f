"""A wide result that is a frame."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elastic.aggregators.sharded.sharded_result import ShardedResult
from elastic.core.frames import polars_module

if TYPE_CHECKING:
    from elastic.core.frames import Frame


class ShardedFrame(ShardedResult["Frame"]):
    """The result of a step with `shards` whose aggregator is one of frames: rows that are not in memory.

    To iterate reads one part after another, and yields each as a Polars frame. Rows come in the same order in every
    run: by shard, in it by a stable hash of the key, and then by key. Parts have the same columns, of the same
    types, but that sums are Int64 where those of the part fit, though those of another part are Int128.
    """

    def frames(self, shard: int | None = None) -> Iterator["Frame"]:
        """Yield the parts that have rows, of one shard or of all."""
        for of_shard, bucket in self._places(shard):
            frame = self.blocks.block(of_shard, bucket)
            if frame.height:
                yield frame

    def iter_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield each row."""
        for frame in self.frames():
            yield from frame.iter_rows()

    def collect(self) -> "Frame":
        """Return all rows as one frame in memory."""
        frames = list(self.frames())
        if not frames:
            # A bucket without rows is a frame with the columns that the result has.
            return self.blocks.block(0, 0)
        found: Frame = polars_module().concat(frames, how="vertical_relaxed")
        return found

    def __iter__(self) -> Iterator["Frame"]:
        return self.frames()
