"""Sharded result of an aggregator of frames."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elastic.aggregators.sharded.sharded_result import ShardedResult
from elastic.core.frames import polars_module

if TYPE_CHECKING:
    from elastic.core.frames import Frame


class ShardedFrame(ShardedResult["Frame"]):
    """Result of a step with `shards` and an aggregator of frames: rows on disk.

    Iteration reads one part after another, and yields each as a Polars frame. Rows have the same order in every run: by
    shard, then by a stable hash of the key, then by key. All parts have the same columns and types, with one
    exception: a sum is Int64 in a part where it fits, and Int128 elsewhere.
    """

    def frames(self, shard: int | None = None) -> Iterator["Frame"]:
        """Yield the parts with rows, of one shard or of all."""
        for of_shard, bucket in self._places(shard):
            frame = self.blocks.block(of_shard, bucket)
            if frame.height:
                yield frame

    def iter_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield each row as a tuple."""
        for frame in self.frames():
            yield from frame.iter_rows()

    def collect(self) -> "Frame":
        """Return all rows as one frame in memory."""
        frames = list(self.frames())
        if not frames:
            # The frame of an empty bucket has the columns of the result.
            return self.blocks.block(0, 0)
        found: Frame = polars_module().concat(frames, how="vertical_relaxed")
        return found

    def __iter__(self) -> Iterator["Frame"]:
        return self.frames()
