"""A wide result: a mapping that lies in files, of which one part at a time is read."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, ItemsView, Iterator, Mapping, ValuesView
from pathlib import Path
from typing import Any, Generic, TypeVar

from elastic.aggregators.nan import NAN
from elastic.aggregators.shard_block import digest_of, in_order, merged, opened
from elastic.core.bucket import bucket_of, shard_of, shard_range
from elastic.core.depot import Block, Bundle, Depot
from elastic.core.encoding import decompress, digest
from elastic.core.errors import CorruptStoreError, EncodingError
from elastic.core.sharding import AnyKeyed


class Blocks(ABC):
    """Where the parts of a wide result come from."""

    @abstractmethod
    def block(self, shard: int, bucket: int) -> tuple[list[Any], list[Any]]:
        """Return the keys of a bucket in order, and their values.

        Raises:
            CorruptStoreError: A file is not as it was written; names it.
        """

    @abstractmethod
    def content(self, shard: int, bucket: int) -> bytes:
        """Return the digest of what is in a bucket; empty where nothing is."""

    @abstractmethod
    def count(self, shard: int) -> int:
        """Return the number of keys in a shard."""


class Merging(Blocks):
    """The parts as they follow from what workers have left, merged whenever they are asked for."""

    def __init__(
        self, inner: AnyKeyed, depot: Depot, bundles: "Mapping[int, list[Bundle]] | list[list[Bundle]]"
    ) -> None:
        self._inner, self._depot, self._bundles = inner, depot, bundles
        self._indexes: dict[int, list[tuple[Bundle, dict[int, Block]]]] = {}

    def block(self, shard: int, bucket: int) -> tuple[list[Any], list[Any]]:
        return in_order(self._inner.finish(self.state(shard, bucket)))

    def content(self, shard: int, bucket: int) -> bytes:
        keys, values = self.block(shard, bucket)
        return digest(merged(keys, values)) if keys else b""

    def count(self, shard: int) -> int:
        # Not of the state: NaN become one in the result.
        return sum(len(self.block(shard, bucket)[0]) for bucket in self._buckets(shard))

    def state(self, shard: int, bucket: int) -> dict[Hashable, Any]:
        """Return the inner aggregator's state of a bucket."""
        state: dict[Hashable, Any] | None = None
        keys, values = list[Hashable](), list[Any]()
        for bundle, blocks in self._index(shard):
            if (block := blocks.get(bucket)) is None:
                continue
            columns = self._inner.unpack_columns(decompress(bundle.read(self._depot, block)))
            if state is None:
                # By itself, because its keys are often all different, and then it takes no more than a dict takes.
                state = self._inner.gather(self._inner.create(), *columns)
            else:
                keys += columns[0]
                values += columns[1]
        gathered: dict[Hashable, Any] = self._inner.gather(state or self._inner.create(), keys, values)
        return gathered

    def _buckets(self, shard: int) -> list[int]:
        return sorted({bucket for _, blocks in self._index(shard) for bucket in blocks})

    def _index(self, shard: int) -> list[tuple[Bundle, dict[int, Block]]]:
        if shard not in self._indexes:
            self._indexes[shard] = [
                (bundle, {block.bucket: block for block in bundle.blocks(self._depot)})
                for bundle in self._bundles[shard]
            ]
        return self._indexes[shard]


class Stored(Blocks):
    """The parts as they were merged, one file a shard."""

    def __init__(self, depot: Depot, bundles: list[Bundle]) -> None:
        self.bundles = bundles
        self._depot = depot
        self._indexes: dict[int, dict[int, Block]] = {}

    def block(self, shard: int, bucket: int) -> tuple[list[Any], list[Any]]:
        found = self._index(shard).get(bucket)
        if found is None:
            return [], []
        bundle = self.bundles[shard]
        try:
            return opened(decompress(bundle.read(self._depot, found)))
        except CorruptStoreError as error:
            raise self._told(bundle, error) from error

    def content(self, shard: int, bucket: int) -> bytes:
        found = self._index(shard).get(bucket)
        return b"" if found is None else found.content

    def count(self, shard: int) -> int:
        return self.bundles[shard].keys

    def _index(self, shard: int) -> dict[int, Block]:
        if shard not in self._indexes:
            bundle = self.bundles[shard]
            try:
                blocks = bundle.blocks(self._depot)
            except CorruptStoreError as error:
                raise self._told(bundle, error) from error
            self._indexes[shard] = {block.bucket: block for block in blocks}
        return self._indexes[shard]

    def _told(self, bundle: Bundle, error: CorruptStoreError) -> CorruptStoreError:
        """Return what to tell of a file that cannot be read: a later master removes what it has made anew."""
        place = self._depot.place(bundle.name)
        if not isinstance(error.__cause__, FileNotFoundError) or not Path(place).parent.is_dir():
            return error
        return CorruptStoreError(
            f"{place} is gone, because the result was made anew (or the file was lost, which `elastic verify` tells); "
            "read the result again by elastic.result_of."
        )


BlocksT = TypeVar("BlocksT", bound=Blocks)


class WideMapping(Mapping[Any, Any], Generic[BlocksT]):
    """The result of a step with `shards`: a mapping that is not in memory.

    To look up a key reads the part that has it; to iterate reads one part after another. `items()` is the fastest way
    to see all of it. Keys come in the same order in every run, which is not that of the source. It can be used as
    long as the folder of its run is there, and cannot be changed.
    """

    def __init__(self, blocks: BlocksT, shards: int) -> None:
        self.blocks = blocks
        self.shards = shards
        self._counts: list[int] | None = None
        #: the bucket that was looked into last
        self._last: tuple[int, dict[Any, Any]] | None = None

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

    def pairs(self, shard: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield keys and values, of one shard or of all."""
        for of_shard, bucket in self._places():
            if shard is None or shard == of_shard:
                keys, values = self.blocks.block(of_shard, bucket)
                yield from zip(keys, values, strict=True)

    def items(self) -> "WideItems":
        return WideItems(self)

    def values(self) -> "WideValues":
        return WideValues(self)

    def __getitem__(self, key: Any) -> Any:
        hash(key)  # raises TypeError as that of a dict does
        if isinstance(key, float) and key != key:
            key = NAN
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

    def __len__(self) -> int:
        return sum(self.counts)

    def __repr__(self) -> str:
        if isinstance(self.blocks, Merging):
            # To count keys would merge all of it.
            return f"WideMapping({self.shards} shards, not merged yet)"
        return f"WideMapping({len(self):,} keys in {self.shards} shards, digest {self.digest[:16]})"

    def _places(self) -> Iterator[tuple[int, int]]:
        for shard in range(self.shards):
            for bucket in shard_range(shard, self.shards):
                yield shard, bucket


class WideValues(ValuesView[Any]):
    """Values of a wide result, without looking up each of them."""

    _mapping: WideMapping[Any]

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.pairs())


class WideItems(ItemsView[Any, Any]):
    """Keys and values of a wide result, without looking up each of them."""

    _mapping: WideMapping[Any]

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.pairs()
