"""A wide result: it lies in files, of which one part at a time is read."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from elastic.aggregators.sharded.partitioner import StatePartitioner
from elastic.aggregators.sharded.result_block import digest_of
from elastic.core.contracts.spill_store import SpillBlock, SpillSegment, SpillStore
from elastic.core.encoding import decompress
from elastic.core.errors import CorruptStoreError
from elastic.core.partitioning import shard_range

BlockT = TypeVar("BlockT")


class ResultBlocks(ABC, Generic[BlockT]):
    """Where the parts of a wide result come from."""

    def __init__(self, division: StatePartitioner[BlockT], depot: SpillStore) -> None:
        self._division, self._depot = division, depot

    @abstractmethod
    def block(self, shard: int, bucket: int) -> BlockT:
        """Return the result of a bucket.

        Raises:
            CorruptStoreError: A file is not as it was written; names it.
        """

    @abstractmethod
    def content(self, shard: int, bucket: int) -> bytes:
        """Return the digest of what is in a bucket; empty where nothing is."""

    @abstractmethod
    def count(self, shard: int) -> int:
        """Return the number of keys in a shard."""


class MergedOnRead(ResultBlocks[BlockT]):
    """The parts as they follow from what workers have left, merged whenever they are asked for.

    Args:
        division: Merges them.
        depot: Where they lie.
        bundles: Those of each shard; or, where only some shards are asked for, of these.
    """

    def __init__(
        self,
        division: StatePartitioner[BlockT],
        depot: SpillStore,
        bundles: dict[int, list[SpillSegment]] | list[list[SpillSegment]],
    ) -> None:
        super().__init__(division, depot)
        self._bundles = bundles
        self._indexes: dict[int, list[tuple[SpillSegment, dict[int, SpillBlock]]]] = {}

    def block(self, shard: int, bucket: int) -> BlockT:
        return self._division.block(self._division.gather(self._packed(shard, bucket)))

    def content(self, shard: int, bucket: int) -> bytes:
        division, block = self._division, self.block(shard, bucket)
        return division.content(block, division.pack(block)) if division.size(block) else b""

    def count(self, shard: int) -> int:
        # Not of the state: NaN become one in the result.
        return sum(self._division.size(self.block(shard, bucket)) for bucket in self._buckets(shard))

    def _packed(self, shard: int, bucket: int) -> Iterator[bytes]:
        for bundle, blocks in self._index(shard):
            if (block := blocks.get(bucket)) is not None:
                yield decompress(bundle.read(self._depot, block))

    def _buckets(self, shard: int) -> list[int]:
        return sorted({bucket for _, blocks in self._index(shard) for bucket in blocks})

    def _index(self, shard: int) -> list[tuple[SpillSegment, dict[int, SpillBlock]]]:
        if shard not in self._indexes:
            self._indexes[shard] = [
                (bundle, {block.bucket: block for block in bundle.blocks(self._depot)})
                for bundle in self._bundles[shard]
            ]
        return self._indexes[shard]


class MergedFiles(ResultBlocks[BlockT]):
    """The parts as they were merged, one file a shard."""

    def __init__(self, division: StatePartitioner[BlockT], depot: SpillStore, bundles: Sequence[SpillSegment]) -> None:
        super().__init__(division, depot)
        self._bundles = bundles
        self._indexes: dict[int, dict[int, SpillBlock]] = {}

    def block(self, shard: int, bucket: int) -> BlockT:
        found = self._index(shard).get(bucket)
        if found is None:
            return self._division.block(self._division.gather(()))
        bundle = self._bundles[shard]
        try:
            return self._division.open(decompress(bundle.read(self._depot, found)))
        except CorruptStoreError as error:
            raise self._told(bundle, error) from error

    def content(self, shard: int, bucket: int) -> bytes:
        found = self._index(shard).get(bucket)
        return b"" if found is None else found.content

    def count(self, shard: int) -> int:
        return self._bundles[shard].keys

    def _index(self, shard: int) -> dict[int, SpillBlock]:
        if shard not in self._indexes:
            bundle = self._bundles[shard]
            try:
                blocks = bundle.blocks(self._depot)
            except CorruptStoreError as error:
                raise self._told(bundle, error) from error
            self._indexes[shard] = {block.bucket: block for block in blocks}
        return self._indexes[shard]

    def _told(self, bundle: SpillSegment, error: CorruptStoreError) -> CorruptStoreError:
        """Return what to tell of a file that cannot be read: a later master removes what it has made anew."""
        place = self._depot.place(bundle.name)
        if not isinstance(error.__cause__, FileNotFoundError) or not Path(place).parent.is_dir():
            return error
        return CorruptStoreError(
            f"{place} is gone, because the result was made anew (or the file was lost, which `elastic verify` tells); "
            "read the result again by elastic.result_of."
        )


class ShardedResult(Generic[BlockT]):
    """A result that is not in memory, divided by key into shards.

    It can be used as long as the folder of its run is there, and cannot be changed.
    """

    def __init__(self, blocks: ResultBlocks[BlockT], shards: int) -> None:
        self.blocks = blocks
        self.shards = shards
        self._counts: list[int] | None = None

    @property
    def counts(self) -> list[int]:
        """The number of keys in each shard."""
        if self._counts is None:
            self._counts = list(map(self.blocks.count, range(self.shards)))
        return [*self._counts]

    @property
    def digest(self) -> str:
        """BLAKE2b-128 over all keys and values: the same for any number of shards and workers."""
        buckets = ((bucket, self.blocks.content(shard, bucket)) for shard, bucket in self._places())
        return digest_of((bucket, content) for bucket, content in buckets if content)

    def __len__(self) -> int:
        return sum(self.counts)

    def __repr__(self) -> str:
        kind = type(self).__name__
        if isinstance(self.blocks, MergedOnRead):
            # To count keys would merge all of it.
            return f"{kind}({self.shards} shards, not merged yet)"
        return f"{kind}({len(self):,} keys in {self.shards} shards, digest {self.digest[:16]})"

    def _places(self, shard: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield shard and bucket of each part, of one shard or of all, in the order in which they are read."""
        for each in range(self.shards):
            if shard is None or shard == each:
                for bucket in shard_range(each, self.shards):
                    yield each, bucket


#: Any of them, where it does not matter of what.
AnyShardedResult = ShardedResult[Any]
