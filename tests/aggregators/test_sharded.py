"""Sharded aggregators: the spilled states and their merged result equal the result of the inner aggregator."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from elastic.aggregators import Collect, Count, GroupBy, MergeMappings, Sum, SumByKey, TopK
from elastic.aggregators.exact.nan import NAN
from elastic.aggregators.sharded import mapping_partitioner as mapping_partitioner
from elastic.aggregators.sharded.sharded_aggregator import Sharded, reduced_of
from elastic.core.contracts.keyed_aggregator import AnyKeyed
from elastic.core.encoding import pack
from elastic.core.errors import CorruptStoreError, EncodingError, UsageError
from elastic.persistence.result_files.spill_files import FileSpillStore

PAIRS = [(f"k{n * n % 397}", n) for n in range(1200)]
MIXED = [((n % 7, "x"), n / 8) if n % 3 else (n % 50 - 25, n) for n in range(1000)]
CASES: dict[str, tuple[Callable[[], AnyKeyed], list[Any]]] = {
    "sum-by-key": (SumByKey, PAIRS),
    "sum-by-key-mixed": (SumByKey, MIXED),
    "count": (Count, [*(key for key, _ in PAIRS), None, 1, True, 1.0, "\udcff"]),
    "group-by-sum": (lambda: GroupBy(Sum()), MIXED),
    "group-by-top-k": (lambda: GroupBy(TopK(3)), PAIRS),
    "group-by-collect": (lambda: GroupBy(Collect()), PAIRS),
    "merge-mappings": (lambda: MergeMappings(commutative=True), [{key: value} for key, value in PAIRS]),
}


@pytest.fixture
def spill_store(tmp_path: Path) -> FileSpillStore:
    made = FileSpillStore(tmp_path / "step-0000", 1)
    made.prepare()
    return made


@pytest.fixture(params=[None, 50], ids=["large", "small"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Normal limits, and limits so small that each state is partitioned and spilled."""
    if request.param is not None:
        monkeypatch.setattr(mapping_partitioner, "WINDOW_KEYS", request.param)
        monkeypatch.setattr(mapping_partitioner, "HELD_KEYS", 4 * request.param)


def partials(aggregator: Sharded, entries: list[Any], seed: int) -> list[bytes]:
    """Fold entries in several workers with repeated collections."""
    rng = random.Random(seed)
    ends = sorted({rng.randrange(len(entries)) for _ in range(12)} | {len(entries)})
    encoded, at, state = [], 0, aggregator.create()
    for end in ends:
        part = aggregator.add_many(aggregator.create(), iter(entries[at:end]))
        state, at = aggregator.merge(state, part), end
        if rng.random() < 0.5 or end == len(entries):
            encoded.append(aggregator.encode(state))
            state = aggregator.create()
    return encoded


def merged(aggregator: Sharded, encoded: list[bytes]) -> Any:
    state = aggregator.create()
    for data in encoded:
        state = aggregator.merge(state, aggregator.decode(data))
    return state


class Watched(SumByKey):
    """Records the entries that are added without being folded first."""

    def __init__(self) -> None:
        super().__init__()
        self.single: list[Any] = []

    def single_entries(self, entries: list[Any]) -> Any:
        columns = super().single_entries(entries)
        self.single += [] if columns is None else entries
        return columns


NEW = [(f"new{n}", n) for n in range(2000)]


@pytest.mark.parametrize(
    ("entries", "single"),
    [
        pytest.param(NEW, NEW[50:], id="new keys"),
        pytest.param([(f"k{n % 20}", n) for n in range(2000)], [], id="few keys"),
        pytest.param([(key, n / 2) for key, n in NEW], [], id="no integers"),
        pytest.param([*NEW[:150], *[("again", n) for n in range(2000)], *NEW[150:]], None, id="both"),
        pytest.param([*((n / 2, 1) for n in range(500)), *[(True, 1), (1, 2), (NAN, 3)] * 50], None, id="types"),
    ],
)
def test_entries_whose_keys_hardly_repeat_are_not_folded_first(
    entries: list[Any], single: list[Any] | None, spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping_partitioner, "WINDOW_KEYS", 50)
    monkeypatch.setattr(mapping_partitioner, "HELD_KEYS", 200)
    inner = Watched()
    aggregator = Sharded(inner, 3, spill_store)
    state = aggregator.create()
    for at in range(0, len(entries), 50):
        state = aggregator.spill(aggregator.add_many(state, iter(entries[at : at + 50])))
    result = aggregator.finish(aggregator.decode(aggregator.encode(state)))
    plain = SumByKey()
    expected = plain.finish(plain.add_many(plain.create(), entries))
    assert sorted(map(repr, result.items())) == sorted(map(repr, expected.items()))
    if single is not None:
        assert inner.single == single
    else:
        assert 0 < len(inner.single) < len(entries)


def test_an_aggregator_that_adds_in_its_own_way_is_asked_to(
    spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Doubled(SumByKey):
        def add_many(self, state: Any, entries: Iterable[Any]) -> Any:
            return super().add_many(state, [(key, 2 * number) for key, number in entries])

    monkeypatch.setattr(mapping_partitioner, "WINDOW_KEYS", 50)
    aggregator = Sharded(Doubled(), 3, spill_store)
    state = aggregator.create()
    for at in range(0, len(NEW), 50):
        state = aggregator.spill(aggregator.add_many(state, iter(NEW[at : at + 50])))
    assert dict(aggregator.finish(aggregator.decode(aggregator.encode(state)))) == {key: 2 * n for key, n in NEW}


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(("shards", "limits"), [(1, 50), (5, None), (256, 50)], indirect=["limits"])
@pytest.mark.parametrize("name", CASES)
def test_the_result_is_that_of_the_inner_aggregator(name: str, shards: int, spill_store: FileSpillStore) -> None:
    make, entries = CASES[name]
    inner = make()
    expected = inner.finish(inner.add_many(inner.create(), iter(entries)))
    digests = set()
    for seed in range(2):
        aggregator = Sharded(make(), shards, spill_store)
        encoded = partials(aggregator, entries, seed)
        if not inner.ordered:
            random.Random(seed).shuffle(encoded)
        result = aggregator.finish(merged(aggregator, encoded))
        assert dict(result) == dict(result.items()) == expected
        assert len(result) == len(expected)
        assert all(result[key] == value for key, value in expected.items())
        digests.add(result.digest)
    assert len(digests) == 1
    spill_store.close()


def test_a_reduced_result_equals_one_that_is_merged_by_its_reader(spill_store: FileSpillStore) -> None:
    aggregator = Sharded(SumByKey(), 3, spill_store)
    state = merged(aggregator, partials(aggregator, MIXED, 1))
    jobs = aggregator.jobs(state)
    bundles = [reduced_of(aggregator.reduce(job))[0] for job in jobs]
    for shard, bundle in enumerate(bundles):
        blocks = [(block.bucket, block.keys, block.content) for block in bundle.blocks(spill_store)]
        assert blocks == list(aggregator.contents(jobs[shard]))
        assert not list(bundle.check(spill_store))
    assert sum(bundle.keys for bundle in bundles) == len(aggregator.finish(state))
    spill_store.close()


def test_equal_keys_are_joined_before_they_are_left(
    spill_store: FileSpillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping_partitioner, "WINDOW_KEYS", 10)
    monkeypatch.setattr(mapping_partitioner, "HELD_KEYS", 400)
    aggregator = Sharded(Count(), 2, spill_store)
    state = aggregator.create()
    for _ in range(1000):
        state = aggregator.add_many(state, map(str, range(100)))
    assert not state.pieces
    (piece,) = aggregator.decode(aggregator.encode(state)).pieces
    assert sum(bundle.keys for bundle in piece) == 100
    spill_store.close()


def test_a_process_that_does_not_see_the_folder_sends_its_state_along(
    spill_store: FileSpillStore, tmp_path: Path
) -> None:
    blind = Sharded(Count(), 2, FileSpillStore(tmp_path / "elsewhere", 1))
    data = blind.encode(blind.add_many(blind.create(), iter("abca")))
    seeing = blind.with_spill_store(spill_store)
    state = seeing.decode(data)
    assert seeing.finish(seeing.decode(seeing.encode(state))) == {"a": 2, "b": 1, "c": 1}
    with pytest.raises(EncodingError, match="is not in the folder of its run"):
        blind.finish(blind.decode(data))
    spill_store.close()


def test_the_state_of_another_number_of_shards_is_refused(spill_store: FileSpillStore) -> None:
    two, three = Sharded(Count(), 2, spill_store), Sharded(Count(), 3, spill_store)
    data = two.encode(two.add_many(two.create(), iter("abca")))
    with pytest.raises(EncodingError, match="not a state of"):
        three.decode(data)
    spill_store.close()


def test_a_result_is_looked_up_by_equal_keys_and_tells_when_there_is_none(spill_store: FileSpillStore) -> None:
    aggregator = Sharded(Count(), 4, spill_store)
    result = aggregator.finish(aggregator.decode(aggregator.encode(aggregator.add_many(aggregator.create(), [1, "a"]))))
    assert result[1.0] == result[True] == result["a"] == 1
    assert "b" not in result
    with pytest.raises(TypeError):
        _ = ["unhashable"] in result
    assert result.get("b", 7) == 7
    spill_store.close()


def test_every_byte_of_a_piece_counts(spill_store: FileSpillStore) -> None:
    aggregator = Sharded(SumByKey(), 2, spill_store)
    state = aggregator.decode(aggregator.encode(aggregator.add_many(aggregator.create(), PAIRS[:40])))
    ((first, _),) = state.pieces
    path = spill_store.path(first.name)
    good = path.read_bytes()
    assert sum(bundle.size for bundle in state.pieces[0]) == len(good)
    for at in range(0, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(CorruptStoreError, match=str(path)):
            dict(aggregator.finish(state))
    spill_store.close()


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        (["a", "Ä", ""], [1, -2, 1 << 62]),
        ([""], [5]),
        (["a\0b", "c"], [1, 2]),
        (["\udcff", "a"], [0, 1]),
        ([1, "a", (2, "b")], [3, 4, 5]),
        (["😀", *map(str, range(1 << 17))], [*range((1 << 17) + 1)]),
        ([*map(str, range(1 << 17)), "a\0b"], [*range((1 << 17) + 1)]),
        ([*map(str, range(1 << 17)), 7], [*range((1 << 17) + 1)]),
        ([], []),
    ],
    ids=[
        "texts",
        "an empty text",
        "a text with a zero",
        "half a surrogate pair",
        "mixed",
        "many, and a wide character",
        "many, and a zero at last",
        "many, and at last no text",
        "none",
    ],
)
@pytest.mark.parametrize("make", [Count, SumByKey])
def test_columns_come_back(make: Callable[[], AnyKeyed], keys: list[Any], numbers: list[int]) -> None:
    aggregator = make()
    found, values = aggregator.unpack_columns(aggregator.pack_columns(keys, numbers))
    assert (list(found), list(values)) == (keys, numbers)


@pytest.mark.parametrize(
    "plain",
    [[["a"], bytes(16), 1], [["a"], bytes(16)], [["a"], bytes(7)], [[1], bytes(8), 1], ["a", bytes(8), 1], [7, b""]],
    ids=str,
)
@pytest.mark.parametrize("make", [Count, SumByKey])
def test_columns_that_are_none_are_refused(make: Callable[[], AnyKeyed], plain: Any) -> None:
    aggregator = make()
    with pytest.raises(EncodingError):
        aggregator.unpack_columns(pack(plain))
    with pytest.raises(EncodingError):
        aggregator.merge_encoded(aggregator.create(), pack(plain))


@pytest.mark.parametrize(
    "plain", [[["a", "b\0c"], bytes(16), 2], [["a", "b"], bytes(24), 3], [[], bytes(8), 1]], ids=str
)
@pytest.mark.parametrize("make", [Count, SumByKey])
def test_texts_that_are_more_or_fewer_than_they_say_are_refused(make: Callable[[], AnyKeyed], plain: Any) -> None:
    aggregator = make()
    keys, _ = aggregator.unpack_columns(pack(plain))
    larger = aggregator.add_columns(aggregator.create(), list("defgh"), [1] * 5)
    for read in (
        lambda: list(keys),
        lambda: aggregator.decode(pack(plain)),
        lambda: aggregator.merge_encoded(aggregator.create(), pack(plain)),
        lambda: aggregator.merge_encoded(larger, pack(plain)),
    ):
        with pytest.raises(EncodingError, match="number of strings in these bytes differs"):
            read()


class Largest(SumByKey):
    """Keeps the largest number of each key."""

    def add_many(self, state: dict[Any, Any], entries: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        for key, number in entries:
            state[key] = max(state.get(key, number), number)
        return state

    def merge(self, state: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
        return self.add_many(state, other.items())


class Reversed(Count):
    """Stores its states in another form."""

    def encode(self, state: Any) -> bytes:
        return super().encode(state)[::-1]

    def decode(self, data: bytes) -> Any:
        return super().decode(data[::-1])


@pytest.mark.parametrize(("one", "other"), [(9, 3), (3, 9)])
def test_what_a_subclass_does_in_its_own_way_is_done_so_when_encoded_states_are_merged(one: int, other: int) -> None:
    largest, pairs = Largest(), [(number % 5, number) for number in range(20)]
    state = largest.merge_encoded(
        largest.add_many({}, pairs[:one]), largest.encode(largest.add_many({}, pairs[-other:]))
    )
    assert largest.finish(state) == largest.finish(largest.add_many({}, pairs[:one] + pairs[-other:]))
    counts = Reversed()
    state = counts.merge_encoded(
        counts.add_many(counts.create(), range(one)), counts.encode(counts.add_many(counts.create(), range(other)))
    )
    assert counts.finish(state) == Counter([*range(one), *range(other)])


def test_numbers_beyond_64_bits_and_floats_are_kept_as_they_are() -> None:
    sums = SumByKey()
    state = sums.add_many({}, [("wide", 1 << 70), ("float", 0.1), ("float", 0.2), ("float", 1 << 60)])
    columns = sums.unpack_columns(sums.pack_columns(list(state), list(state.values())))
    assert sums.finish(sums.add_columns({}, *columns)) == sums.finish(state)


@pytest.mark.parametrize("entry", ["ab", b"ab", {1: 2, 3: 4}, 7, ("a",), ("a", 1, 2)], ids=str)
def test_a_value_that_is_no_pair_is_refused(entry: Any) -> None:
    for entries in ([entry], [("a", 1), entry], [("a", 1.5), entry]):
        with pytest.raises(UsageError, match=r"SumByKey got .* which is not a pair"):
            SumByKey().add_many({}, iter(entries))
