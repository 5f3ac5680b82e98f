"""The state of a wide result: what came last, what is divided by bucket, and what was left in the depot."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from elastic.core.bucket import BUCKETS, buckets_of, shard_range
from elastic.core.depot import Bundle, Depot, Index
from elastic.core.encoding import compress
from elastic.core.sharding import AnyKeyed

#: Keys in the window. So many are looked up in what a processor holds near itself; the whole would not be.
WINDOW_KEYS = 1 << 16

#: Keys that are held divided by bucket, before they are joined, and left in the depot unless that made them few. More
#: would be joined more, but packing texts that lie far from each other in memory takes a third longer.
HELD_KEYS = 1 << 18

#: Joining pays if at most this share of the keys is left; those of so many buckets are joined to see whether it does.
_SAMPLE, _WORTH = 8, 0.75

#: The pieces of one partial: a bundle a shard.
Piece = tuple[Bundle, ...]


@dataclass(slots=True)
class Held:
    """Keys and what is kept of them, by bucket; a key may be there several times."""

    keys: list[list[Hashable]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])
    values: list[list[Any]] = field(default_factory=lambda: [[] for _ in range(BUCKETS)])
    count: int = 0

    def take(self, keys: Collection[Hashable], values: Collection[Any]) -> None:
        """Divide keys, and what is kept of them."""
        own_keys, own_values = self.keys, self.values
        for bucket, key, value in zip(buckets_of(keys), keys, values, strict=True):
            own_keys[bucket].append(key)
            own_values[bucket].append(value)
        self.count += len(keys)

    def take_all(self, other: "Held") -> None:
        """Take in what another one holds, behind what is here."""
        for mine, others in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine.extend(others)
        self.count += other.count

    def join(self, inner: AnyKeyed) -> bool:
        """Join what is held of equal keys, if there seem to be enough of them for that to pay; says whether."""
        before, after = 0, 0
        for bucket in range(BUCKETS):
            if bucket == _SAMPLE and after > before * _WORTH:
                break
            before += len(self.keys[bucket])
            state = inner.gather(inner.create(), self.keys[bucket], self.values[bucket])
            self.keys[bucket], self.values[bucket] = list(state), list(state.values())
            after += len(state)
        self.count -= before - after
        return after <= before * _WORTH


@dataclass(slots=True)
class ShardState:
    """The state of a sharded aggregator."""

    #: the state of the inner aggregator over what came last
    window: dict[Hashable, Any]
    #: entries that were folded into the window
    entries: int = 0
    #: keys have hardly repeated, so that what comes is divided without being folded first
    is_sparse: bool = False
    #: None until the window was full for the first time
    held: Held | None = None
    pieces: list[Piece] = field(default_factory=list)

    def fold(self, inner: AnyKeyed, entries: list[Any]) -> None:
        """Fold entries into the window, or hold them as they are."""
        columns = inner.singles(entries) if self.is_sparse else None
        if columns is None:
            self.window = inner.add_many(self.window, iter(entries))
            self.entries += len(entries)
        else:
            self.divide(inner).take(*columns)

    def settle(self, inner: AnyKeyed) -> None:
        """Divide the window if it is full."""
        if len(self.window) >= WINDOW_KEYS:
            self.divide(inner)

    def divide(self, inner: AnyKeyed) -> Held:
        """Divide the window, and return all that is held."""
        if self.held is None:
            self.held = Held()
        if self.window:
            self.is_sparse = len(self.window) > self.entries * _WORTH
            self.held.take(self.window.keys(), self.window.values())
            self.window, self.entries = inner.create(), 0
        return self.held

    def whole(self, inner: AnyKeyed) -> dict[Hashable, Any]:
        """Return all that is held as one state."""
        held, self.held = self.divide(inner), None
        keys, values = list(chain.from_iterable(held.keys)), list(chain.from_iterable(held.values))
        state: dict[Hashable, Any] = inner.gather(inner.create(), keys, values)
        return state

    def leave(self, inner: AnyKeyed, depot: Depot, shards: int, *, all_of_it: bool) -> None:
        """Leave what is held in the depot; unless `all_of_it` only if there is much of it, also once it is joined."""
        if not all_of_it and (self.held is None or self.held.count < HELD_KEYS):
            return
        held = self.divide(inner)
        self.is_sparse = not held.join(inner)
        if held.count >= HELD_KEYS // 2 or (all_of_it and held.count):
            self.pieces.append(_left(held, inner, depot, shards))
        if not held.count or all_of_it:
            self.held = None


def _left(held: Held, inner: AnyKeyed, depot: Depot, shards: int) -> Piece:
    """Leave all that is held, and return where it is."""
    parts: list[bytes] = []
    starts: list[int] = []
    indexes: list[Index] = []
    start = 0
    for shard in range(shards):
        index = Index()
        for bucket in shard_range(shard, shards):
            keys = held.keys[bucket]
            if keys:
                data = compress(inner.pack_columns(keys, held.values[bucket]))
                index.add(bucket, len(keys), data)
                held.keys[bucket], held.values[bucket] = [], []  # what is encoded takes no memory twice
                parts.append(data)
        parts.append(index.packed())
        starts.append(start)
        indexes.append(index)
        start += index.size + len(parts[-1])
    held.count = 0
    name, at = depot.append(b"".join(parts))
    return tuple(index.bundle(name, at + start) for index, start in zip(indexes, starts, strict=True))
