"""Sharded frames: the blocks in the spill store, and their merged result, equal the result of the inner aggregator."""

import datetime as dt
import math
import random
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from elastic.aggregators import FrameCount, FrameGroupBy, FrameSum, FrameTopK
from elastic.aggregators.frames.base import FrameBuffer, KeyedFrameAggregator
from elastic.aggregators.sharded import frame_partitioner as frame_partitioner
from elastic.aggregators.sharded.frame_partitioner import buckets_of_rows
from elastic.aggregators.sharded.frame_result import ShardedFrame
from elastic.aggregators.sharded.sharded_aggregator import Sharded
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError, UsageError
from elastic.core.frames import pack_frame
from elastic.core.partitioning import bucket_of
from elastic.persistence.result_files.spill_files import FileSpillStore

ROWS = 240
FRAME = pl.DataFrame(
    {
        "word": [None if n % 11 == 0 else f"w\u00e9{n * n % 397}" for n in range(ROWS)],
        "new": [f"new {n}" for n in range(ROWS)],
        "number": [n % 50 - 25 for n in range(ROWS)],
        "real": [(math.nan, 0.0, -0.0, n / 8, None)[n % 5] for n in range(ROWS)],
        "huge": [2**63 - 1 - n for n in range(ROWS)],
        "money": pl.Series([Decimal(n) / 100 for n in range(ROWS)], dtype=pl.Decimal(12, 2)),
        "day": [dt.date(2026, 1, 1) + dt.timedelta(days=n % 100) for n in range(ROWS)],
    }
)
CASES: dict[str, Callable[[], KeyedFrameAggregator]] = {
    "count": lambda: FrameCount("word"),
    "count-new": lambda: FrameCount("new"),
    "count-several": lambda: FrameCount("number", "real", "day"),
    "sum": lambda: FrameGroupBy("word", n="count", sum=("number", "sum"), cents=("money", "sum")),
    "sum-beyond-64-bits": lambda: FrameGroupBy("number", sum=("huge", "sum")),
    "sum-new": lambda: FrameGroupBy("new", sum=("huge", "sum"), least=("word", "min")),
    "least": lambda: FrameGroupBy(["day"], least=("word", "min"), most=("real", "max")),
    "several": lambda: FrameGroupBy(["word", "number"], n="count"),
}


@pytest.fixture
def spill_store(tmp_path: Path) -> FileSpillStore:
    made = FileSpillStore(tmp_path / "step-0000", 1)
    made.prepare()
    return made


def rows(frame: pl.DataFrame) -> list[str]:
    return sorted(map(repr, frame.rows()))


def result_of(aggregator: Sharded, frames: list[pl.DataFrame], seed: int = 0) -> ShardedFrame:
    """Return the result of frames folded by several workers with repeated collections."""
    rng = random.Random(seed)
    encoded, state = [], aggregator.create()
    for frame in frames:
        state = aggregator.spill(aggregator.merge(state, aggregator.add(aggregator.create(), frame)))
        if rng.random() < 0.35:
            encoded.append(aggregator.encode(state))
            state = aggregator.create()
    encoded.append(aggregator.encode(state))
    rng.shuffle(encoded)
    whole = aggregator.create()
    for data in encoded:
        whole = aggregator.merge(whole, aggregator.decode(data))
    result = aggregator.finish(aggregator.decode(aggregator.encode(whole)))
    assert isinstance(result, ShardedFrame)
    return result


@pytest.fixture(params=[None, 120], ids=["large", "small"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The normal limit, and one so small that each state spills."""
    if request.param is not None:
        monkeypatch.setattr(frame_partitioner, "HELD_ROWS", request.param)


@pytest.mark.parametrize("name", CASES)
def test_the_result_is_that_of_the_inner_aggregator(
    name: str, spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = CASES[name]()
    expected = inner.finish(inner.add(inner.create(), FRAME))
    digests = set()
    # As many shards as there can be once: each block of each of them is a table of its own.
    ways = [(1, frame_partitioner.HELD_ROWS), (20, 40), *([(256, 130)] if name == "count" else [])]
    for seed, (shards, held) in enumerate(ways):
        monkeypatch.setattr(frame_partitioner, "HELD_ROWS", held)
        result = result_of(Sharded(CASES[name](), shards, spill_store), list(FRAME.iter_slices(20 + 5 * seed)), seed)
        collected, counts = result.collect(), result.counts
        assert rows(collected) == rows(expected)
        assert collected.columns == expected.columns
        assert len(result) == sum(counts) == expected.height
        assert len(counts) == shards
        digests.add(result.digest)
    assert len(digests) == 1


@pytest.mark.usefixtures("limit")
def test_rows_are_read_part_by_part_in_an_order_of_their_own(spill_store: FileSpillStore) -> None:
    aggregator = Sharded(FrameCount("word"), 3, spill_store)
    result = result_of(aggregator, list(FRAME.iter_slices(100)))
    parts = list(result)
    assert len(parts) > 100
    assert all(part["word"].equals(part["word"].sort(nulls_last=True), null_equal=True) for part in parts)
    assert list(result.iter_rows()) == [row for part in parts for row in part.rows()]
    by_shard = [pl.concat(result.frames(shard)) for shard in range(3)]
    assert [part.height for part in by_shard] == result.counts
    assert pl.concat(by_shard).equals(result.collect())
    assert list(result_of(aggregator, list(FRAME.iter_slices(70)), 1).iter_rows()) == list(result.iter_rows())


class Watched(FrameCount):
    """Records the number of grouped rows of chunks and of accumulated chunks."""

    def __init__(self, *columns: str) -> None:
        super().__init__(*columns)
        self.chunks: list[int] = []
        self.piles: list[int] = []

    def lift(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        lifted = super().lift(frame)
        self.chunks += [] if lifted is None else [-frame.height]
        return lifted

    def group(self, frame: pl.DataFrame) -> pl.DataFrame:
        self.piles.append(frame.height)
        return super().group(frame)


def new(name: str) -> pl.DataFrame:
    return pl.DataFrame({"key": [f"{name}{n}" for n in range(1000)]})


AGAIN = pl.DataFrame({"key": ["again", "other"] * 500})


def test_rows_whose_keys_hardly_repeat_are_not_grouped(
    spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_partitioner, "HELD_ROWS", 3000)
    inner = Watched("key")
    aggregator = Sharded(inner, 2, spill_store)
    state = aggregator.create()
    for frame in (*map(new, "abcdef"), *[AGAIN] * 6):
        state = aggregator.spill(aggregator.add(state, frame))
    # The first of three chunks is grouped as a sample. It does not shrink enough, so the others stay ungrouped.
    assert inner.chunks == [-1000] * 4
    assert inner.piles == []
    assert len(state.pieces) == 2
    result = aggregator.finish(aggregator.decode(aggregator.encode(state)))
    assert isinstance(result, ShardedFrame)
    once = {row: 1 for name in "abcdef" for row in new(name)["key"]}
    assert dict(result.iter_rows()) == {**once, "again": 3000, "other": 3000}


def test_a_pile_whose_keys_repeat_is_grouped_before_it_is_left(
    spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_partitioner, "HELD_ROWS", 3000)
    inner = Watched("key")
    aggregator = Sharded(inner, 2, spill_store)
    state = aggregator.create()
    for _ in range(9):
        # No chunk has a key twice.
        state = aggregator.spill(aggregator.add(state, new("same")))
    assert inner.piles == [3000] * 4
    assert state.pieces == []
    result = aggregator.finish(aggregator.decode(aggregator.encode(state)))
    assert isinstance(result, ShardedFrame)
    assert dict(result.iter_rows()) == dict.fromkeys(new("same")["key"], 9)


@pytest.mark.parametrize("name", CASES)
def test_a_chunk_is_the_group_of_its_rows(name: str) -> None:
    inner = CASES[name]()
    for frame in (FRAME, FRAME.head(1), FRAME.clear()):
        lifted = inner.lift(frame)
        assert lifted is not None
        assert lifted.height == frame.height
        assert lifted.schema == inner.reduce(frame).schema
        assert rows(inner.finish(inner.decode(inner.encode(pile_of(inner, lifted))))) == rows(
            inner.finish(inner.add(inner.create(), frame))
        )


def pile_of(inner: KeyedFrameAggregator, frame: pl.DataFrame) -> FrameBuffer:
    pile = inner.create()
    for part in (frame, frame.clear()):
        pile.put(inner.group(part), inner)
    return pile


class Added(FrameCount):
    def add(self, state: FrameBuffer, entry: Any) -> FrameBuffer:
        return super().add(super().add(state, entry), entry)


class AllAdded(FrameCount):
    def add_many(self, state: FrameBuffer, entries: Iterable[Any]) -> FrameBuffer:
        return super().add_many(state, [*entries] * 2)


class Reduced(FrameCount):
    def reduce(self, frame: pl.DataFrame) -> pl.DataFrame:
        return super().reduce(frame).with_columns(pl.col("count") * 2)


@pytest.mark.parametrize("kind", [Added, AllAdded, Reduced])
def test_an_aggregator_that_folds_in_its_own_way_is_asked_to(
    kind: type[FrameCount], spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_partitioner, "HELD_ROWS", 300)
    aggregator = Sharded(kind("new"), 2, spill_store)
    state = aggregator.create()
    for frame in FRAME.iter_slices(100):
        state = aggregator.spill(aggregator.add_many(state, iter([frame])))
    result = aggregator.finish(aggregator.decode(aggregator.encode(state)))
    assert isinstance(result, ShardedFrame)
    assert dict(result.iter_rows()) == dict.fromkeys(FRAME["new"], 2)


def test_wide_rows_are_left_before_there_are_many(spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_partitioner, "HELD_BYTES", 1 << 20)
    aggregator = Sharded(FrameCount("key"), 2, spill_store)
    state = aggregator.create()
    for number in range(20):
        wide = pl.DataFrame({"key": [f"{number} {n} {'x' * 1000}" for n in range(100)]})
        state = aggregator.spill(aggregator.add(state, wide))
    assert len(state.pieces) == 1
    assert not state.is_empty


def test_a_bucket_is_that_of_the_key_wherever_it_is_computed() -> None:
    texts, numbers = ["a", "\u00e9t\u00e9", "", None], [1, -(2**62), 0, None]
    assert list(buckets_of_rows(pl.DataFrame({"k": texts}))) == list(map(bucket_of, texts))
    assert list(buckets_of_rows(pl.DataFrame({"k": numbers}))) == list(map(bucket_of, numbers))
    both = pl.DataFrame({"k": texts, "n": numbers})
    assert list(buckets_of_rows(both)) == [buckets_of_rows(both[row])[0] for row in range(4)]


def test_several_columns_that_are_equal_are_still_divided() -> None:
    numbers = list(range(20_000))
    buckets = buckets_of_rows(pl.DataFrame({"a": numbers, "b": numbers}))
    assert len(set(buckets)) > 100
    apart = buckets_of_rows(pl.DataFrame({"a": numbers, "b": numbers[::-1]}))
    counts = sorted(apart.count(bucket) for bucket in range(256))
    assert counts[0] > 30
    assert counts[-1] < 150


def test_one_of_many_nan_tells_nothing_of_who_was_first(spill_store: FileSpillStore) -> None:
    nan = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0001))[0]
    digests = set()
    for first, second in ((math.nan, nan), (nan, math.nan)):
        frames = [pl.DataFrame({"k": [first, 1.0]}), pl.DataFrame({"k": [second, -0.0, 0.0]})]
        result = result_of(Sharded(FrameCount("k"), 2, spill_store), frames)
        assert sorted(count for _, count in result.iter_rows()) == [1, 2, 2]
        digests.add(result.digest)
    assert len(digests) == 1


def test_nothing_gives_the_columns_of_the_result(spill_store: FileSpillStore) -> None:
    aggregator = Sharded(FrameGroupBy("k", n="count"), 2, spill_store)
    result = aggregator.finish(aggregator.decode(aggregator.encode(aggregator.create())))
    assert isinstance(result, ShardedFrame)
    assert (result.collect().columns, len(result), result.counts, list(result)) == (["k", "n"], 0, [0, 0], [])
    assert repr(result) == "ShardedFrame(2 shards, not merged yet)"


TEXTS, INTEGERS = pl.DataFrame({"k": ["a", "b"] * 200}), pl.DataFrame({"k": [1, 2] * 200})


@pytest.mark.usefixtures("limit")
def test_a_column_of_two_types_is_refused_though_no_key_is_in_one_bucket_with_another(
    spill_store: FileSpillStore,
) -> None:
    aggregator = Sharded(FrameCount("k"), 256, spill_store)
    said = "got 'k' as .* in a chunk and as .* in another; cast it to one type"
    with pytest.raises(UsageError, match=said):
        result_of(aggregator, [TEXTS, INTEGERS] * 10)
    state = aggregator.create()
    for frame in (TEXTS, INTEGERS):
        left = aggregator.encode(aggregator.add(aggregator.create(), frame))
        if frame is TEXTS:
            state = aggregator.merge(state, aggregator.decode(left))
    with pytest.raises(UsageError, match=said):
        aggregator.merge(state, aggregator.decode(left))


@pytest.mark.usefixtures("limit")
def test_a_column_of_nothing_but_nulls_fits_every_type(spill_store: FileSpillStore) -> None:
    nulls = pl.DataFrame({"k": [None, None]})
    for frames, kind in (([nulls, TEXTS], pl.String), ([TEXTS, nulls], pl.String), ([nulls, INTEGERS], pl.Int64)):
        result = result_of(Sharded(FrameCount("k"), 2, spill_store), frames * 3)
        assert dict(result.iter_rows())[None] == 6
        assert result.collect().schema["k"] == kind


@pytest.mark.parametrize("key", [[[1], [2]], [{"a": 1}, {"a": 2}]], ids=["lists", "structs"])
def test_a_key_that_cannot_be_divided_is_refused(key: list[Any], spill_store: FileSpillStore) -> None:
    aggregator = Sharded(FrameCount("k"), 2, spill_store)
    state = aggregator.add(aggregator.create(), pl.DataFrame({"k": key}))
    with pytest.raises(UsageError, match=r"the values of 'k' are (List|Struct).*; convert them to strings or numbers"):
        aggregator.encode(state)


def test_rows_without_columns_are_counted(spill_store: FileSpillStore) -> None:
    result = result_of(Sharded(FrameCount(), 2, spill_store), [pl.DataFrame(height=3), pl.DataFrame(height=2)])
    assert result.collect().rows() == [(5,)]


FAR = pl.Series([1 << 60, -(1 << 60), None]).cast(pl.Datetime("ms"))
NEAR = pl.Series([1_000_000_001, 1_000_000_002, None]).cast(pl.Datetime("ns"))
LONG = pl.Series([1 << 62, 5, None]).cast(pl.Duration("ms"))


@pytest.mark.parametrize("times", [FAR, NEAR, LONG, NEAR.cast(pl.Time)], ids=["far", "near", "long", "time"])
def test_times_that_python_does_not_know_are_keys_and_values(times: pl.Series, spill_store: FileSpillStore) -> None:
    frame = pl.DataFrame({"k": times, "one": [1, 1, 1]})
    keys = result_of(Sharded(FrameCount("k"), 3, spill_store), [frame, frame]).collect()
    assert keys.sort("k").equals(pl.DataFrame({"k": times, "count": [2, 2, 2]}).sort("k"))
    digests = set()
    for part in (frame[:1], frame[1:2]):
        result = result_of(Sharded(FrameGroupBy("one", most=("k", "max")), 3, spill_store), [part, part])
        assert result.collect()["most"].equals(part["k"].alias("most"))
        digests.add(result.digest)
    assert len(digests) == 2


def test_decimals_that_add_up_to_too_many_digits_are_refused_before_they_are_left(
    spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_partitioner, "HELD_ROWS", 10)
    money = pl.DataFrame({"k": [1] * 60, "v": [9 * 10**36] * 60}, schema_overrides={"v": pl.Decimal(38, 0)})
    with pytest.raises(UsageError, match="the Decimals of 'v' add up to more than 38 digits in a group"):
        result_of(Sharded(FrameGroupBy("k", sum=("v", "sum")), 2, spill_store), list(money.iter_slices(3))).collect()


class Top(FrameCount):
    def result(self, frame: pl.DataFrame | None) -> Any:
        return [] if frame is None else frame.rows()


class Renamed(FrameGroupBy):
    def result(self, frame: pl.DataFrame | None) -> Any:
        return super().result(frame).rename({"k": "key"})


@pytest.mark.parametrize("aggregator", [Top("k"), Renamed("k", n="count")], ids=["no frame", "no key"])
def test_a_result_that_does_not_have_the_key_is_refused(
    aggregator: KeyedFrameAggregator, spill_store: FileSpillStore
) -> None:
    result = result_of(Sharded(aggregator, 2, spill_store), [pl.DataFrame({"k": ["a", "b"]})])
    with pytest.raises(UsageError, match="must be a frame with the columns of its key; omit shards"):
        result.collect()


@pytest.mark.parametrize("aggregator", [FrameSum("x"), FrameTopK(3, "x")], ids=str)
def test_an_aggregator_without_keys_is_refused(aggregator: Any, spill_store: FileSpillStore) -> None:
    with pytest.raises(UsageError, match=r"shards=2 partitions a result by key, and Frame.* has no keys"):
        Sharded(aggregator, 2, spill_store)


@pytest.mark.parametrize(
    "rest",
    [
        b"\xc1",
        pack_frame(pl.DataFrame({"other": [1]})),
        pack_frame(pl.DataFrame({"other": [1]}).clear()),
        pack_frame(pl.DataFrame({"k": [1], "s\0narrow": [1.5]})),
        pack_frame(pl.DataFrame({"k": [1], "s\0narrow": ["1"]})),
        pack_frame(pl.DataFrame({"k": [1], "s": [1], "s\0narrow": [1]})),
    ],
    ids=["no frame", "another state", "other columns", "no integer", "a text", "twice"],
)
def test_bytes_that_are_no_state_are_refused(rest: bytes, spill_store: FileSpillStore) -> None:
    aggregator = Sharded(FrameGroupBy("k", s=("v", "sum")), 2, spill_store)
    with pytest.raises(EncodingError):
        aggregator.decode(pack([[], rest]))
