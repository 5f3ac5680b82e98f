"""Sharded result of an aggregator of keys and values."""

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

from elastic.aggregators.exact.nan import one_nan
from elastic.aggregators.sharded.sharded_result import ResultBlocks, ShardedResult
from elastic.core.errors import EncodingError
from elastic.core.partitioning import bucket_of, shard_of


class ShardedMapping(ShardedResult[tuple[list[Any], list[Any]]], Mapping[Any, Any]):
    """Result of a step with `shards`: a read-only mapping on disk.

    A lookup reads the part with the key, and iteration reads one part after another. `items()` is the fastest way to
    read everything. Keys have the same order in every run, which differs from the order of the source. The mapping is
    valid as long as the folder of its run exists.
    """

    def __init__(self, blocks: ResultBlocks[tuple[list[Any], list[Any]]], shards: int) -> None:
        super().__init__(blocks, shards)
        #: bucket of the last lookup, and its content
        self._last: tuple[int, dict[Any, Any]] | None = None

    def pairs(self, shard: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield keys and values, of one shard or of all."""
        for of_shard, bucket in self._places(shard):
            yield from zip(*self.blocks.block(of_shard, bucket), strict=True)

    def items(self) -> "ShardedItems":
        return ShardedItems(self)

    def values(self) -> "ShardedValues":
        return ShardedValues(self)

    def __getitem__(self, key: Any) -> Any:
        hash(key)  # raises TypeError, as a dict does
        key = one_nan(key)
        try:
            bucket = bucket_of(key)
        except EncodingError:
            raise KeyError(key) from None
        last = self._last
        if last is None or last[0] != bucket:
            last = bucket, dict(zip(*self.blocks.block(shard_of(bucket, self.shards), bucket), strict=True))
            self._last = last
        return last[1][key]

    def __iter__(self) -> Iterator[Any]:
        for shard, bucket in self._places():
            yield from self.blocks.block(shard, bucket)[0]


class ShardedValues(ValuesView[Any]):
    """Values view that reads whole parts instead of looking up each key."""

    _mapping: ShardedMapping

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.pairs())


class ShardedItems(ItemsView[Any, Any]):
    """Items view that reads whole parts instead of looking up each key."""

    _mapping: ShardedMapping

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.pairs()
