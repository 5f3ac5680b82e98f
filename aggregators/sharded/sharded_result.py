"""Sharded results: they stay in files, and readers load one part at a time."""

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
    """Source of the parts of a sharded result."""

    def __init__(self, partitioner: StatePartitioner[BlockT], spill_store: SpillStore) -> None:
        self._partitioner, self._spill_store = partitioner, spill_store

    @abstractmethod
    def block(self, shard: int, bucket: int) -> BlockT:
        """Return the result of a bucket.

        Raises:
            CorruptStoreError: A file is damaged or missing. The message names it.
        """

    @abstractmethod
    def content(self, shard: int, bucket: int) -> bytes:
        """Return the digest of a bucket; empty bytes for an empty bucket."""

    @abstractmethod
    def count(self, shard: int) -> int:
        """Return the number of keys in a shard."""


class MergedOnRead(ResultBlocks[BlockT]):
    """Parts that are merged from the workers' segments at each read.

    Args:
        partitioner: Merges the segments of a bucket.
        spill_store: Store of the segments.
        segments: Segments of each shard, or of some shards by number.
    """

    def __init__(
        self,
        partitioner: StatePartitioner[BlockT],
        spill_store: SpillStore,
        segments: dict[int, list[SpillSegment]] | list[list[SpillSegment]],
    ) -> None:
        super().__init__(partitioner, spill_store)
        self._segments = segments
        self._indexes: dict[int, list[tuple[SpillSegment, dict[int, SpillBlock]]]] = {}

    def block(self, shard: int, bucket: int) -> BlockT:
        return self._partitioner.block(self._partitioner.gather(self._packed(shard, bucket)))

    def content(self, shard: int, bucket: int) -> bytes:
        partitioner, block = self._partitioner, self.block(shard, bucket)
        return partitioner.content(block, partitioner.pack(block)) if partitioner.size(block) else b""

    def count(self, shard: int) -> int:
        # The state may have several NaN keys, which are one in the result.
        return sum(self._partitioner.size(self.block(shard, bucket)) for bucket in self._buckets(shard))

    def _packed(self, shard: int, bucket: int) -> Iterator[bytes]:
        for segment, blocks in self._index(shard):
            if (block := blocks.get(bucket)) is not None:
                yield decompress(segment.read(self._spill_store, block))

    def _buckets(self, shard: int) -> list[int]:
        return sorted({bucket for _, blocks in self._index(shard) for bucket in blocks})

    def _index(self, shard: int) -> list[tuple[SpillSegment, dict[int, SpillBlock]]]:
        if shard not in self._indexes:
            self._indexes[shard] = [
                (segment, {block.bucket: block for block in segment.blocks(self._spill_store)})
                for segment in self._segments[shard]
            ]
        return self._indexes[shard]


class MergedFiles(ResultBlocks[BlockT]):
    """Parts in files of merged shards, one file for each shard."""

    def __init__(
        self, partitioner: StatePartitioner[BlockT], spill_store: SpillStore, segments: Sequence[SpillSegment]
    ) -> None:
        super().__init__(partitioner, spill_store)
        self._segments = segments
        self._indexes: dict[int, dict[int, SpillBlock]] = {}

    def block(self, shard: int, bucket: int) -> BlockT:
        found = self._index(shard).get(bucket)
        if found is None:
            return self._partitioner.block(self._partitioner.gather(()))
        segment = self._segments[shard]
        try:
            return self._partitioner.open(decompress(segment.read(self._spill_store, found)))
        except CorruptStoreError as error:
            raise self._read_error(segment, error) from error

    def content(self, shard: int, bucket: int) -> bytes:
        found = self._index(shard).get(bucket)
        return b"" if found is None else found.content

    def count(self, shard: int) -> int:
        return self._segments[shard].keys

    def _index(self, shard: int) -> dict[int, SpillBlock]:
        if shard not in self._indexes:
            segment = self._segments[shard]
            try:
                blocks = segment.blocks(self._spill_store)
            except CorruptStoreError as error:
                raise self._read_error(segment, error) from error
            self._indexes[shard] = {block.bucket: block for block in blocks}
        return self._indexes[shard]

    def _read_error(self, segment: SpillSegment, error: CorruptStoreError) -> CorruptStoreError:
        """Return the error of an unreadable file: a later master removes the files that it has written again."""
        place = self._spill_store.describe(segment.name)
        if not isinstance(error.__cause__, FileNotFoundError) or not Path(place).parent.is_dir():
            return error
        return CorruptStoreError(
            f"{place} is missing: a resumed run has written the result again, or the file was lost, which "
            "`elastic verify` shows; read the result again with elastic.result_of."
        )


class ShardedResult(Generic[BlockT]):
    """Read-only result on disk, partitioned by key into shards; valid as long as the folder of its run exists."""

    def __init__(self, blocks: ResultBlocks[BlockT], shards: int) -> None:
        self.blocks = blocks
        self.shards = shards
        self._counts: list[int] | None = None

    @property
    def counts(self) -> list[int]:
        """Number of keys in each shard."""
        if self._counts is None:
            self._counts = list(map(self.blocks.count, range(self.shards)))
        return [*self._counts]

    @property
    def digest(self) -> str:
        """BLAKE2b-128 of all keys and values in hexadecimal; the same for any number of shards and workers."""
        buckets = ((bucket, self.blocks.content(shard, bucket)) for shard, bucket in self._places())
        return digest_of((bucket, content) for bucket, content in buckets if content)

    def __len__(self) -> int:
        return sum(self.counts)

    def __repr__(self) -> str:
        kind = type(self).__name__
        if isinstance(self.blocks, MergedOnRead):
            # Counting the keys would merge the whole result.
            return f"{kind}({self.shards} shards, not merged yet)"
        return f"{kind}({len(self):,} keys in {self.shards} shards, digest {self.digest[:16]})"

    def _places(self, shard: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield shard and bucket of each part, of one shard or of all, in reading order."""
        for each in range(self.shards):
            if shard is None or shard == each:
                for bucket in shard_range(each, self.shards):
                    yield each, bucket


#: Sharded result of any aggregator.
AnyShardedResult = ShardedResult[Any]
