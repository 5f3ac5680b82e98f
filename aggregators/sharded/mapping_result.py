"""A wide result that is a mapping."""

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

from elastic.aggregators.exact.nan import one_nan
from elastic.aggregators.sharded.sharded_result import ResultBlocks, ShardedResult
from elastic.core.errors import EncodingError
from elastic.core.partitioning import bucket_of, shard_of


class ShardedMapping(ShardedResult[tuple[list[Any], list[Any]]], Mapping[Any, Any]):
    """The result of a step with `shards`: a mapping that is not in memory.

    To look up a key reads the part that has it; to iterate reads one part after another. `items()` is the fastest way
    to see all of it. Keys come in the same order in every run, which is not that of the source. It can be used as
    long as the folder of its run is there, and cannot be changed.
    """

    def __init__(self, blocks: ResultBlocks[tuple[list[Any], list[Any]]], shards: int) -> None:
        super().__init__(blocks, shards)
        #: the bucket that was looked into last
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
        hash(key)  # raises TypeError as that of a dict does
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
    """Values of a wide result, without looking up each of them."""

    _mapping: ShardedMapping

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.pairs())


class ShardedItems(ItemsView[Any, Any]):
    """Keys and values of a wide result, without looking up each of them."""

    _mapping: ShardedMapping

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.pairs()
