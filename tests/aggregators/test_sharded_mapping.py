"""A sharded result reads like a dict, with unusual keys and values, and before it is merged."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import elastic
from elastic.aggregators import Count, SumByKey
from elastic.aggregators.sharded.mapping_result import ShardedMapping
from elastic.aggregators.sharded.result_block import merged, opened
from elastic.aggregators.sharded.sharded_aggregator import Sharded
from elastic.core.errors import CorruptStoreError
from elastic.persistence.result_files.spill_files import FileSpillStore


class Point(NamedTuple):
    x: Any
    y: Any


def value_of(entries: Iterable[Any], aggregator: Any = Count, **given: Any) -> Any:
    return elastic.from_iterable(list(entries)).aggregate(aggregator).run(cluster="inline", **given).value


def unmerged(folder: Path, *states: list[Any]) -> ShardedMapping:
    """Return the unmerged result of entries counted by several workers."""
    spill_store = FileSpillStore(folder, 1)
    spill_store.prepare()
    sharded, whole = Sharded(Count(), 2, spill_store), None
    for entries in states:
        encoded = sharded.encode(sharded.add_many(sharded.create(), entries))
        state = sharded.decode(encoded)
        whole = state if whole is None else sharded.merge(whole, state)
    spill_store.close()
    assert whole is not None
    return sharded.finish(whole)


def test_nan_is_found_whichever_it_is() -> None:
    result = value_of([math.nan, float("nan"), -math.nan, 1.0], shards=2)
    assert result[math.nan] == result[float("nan")] == 3
    assert math.nan in result
    assert dict(result)[math.nan] == 3
    assert result.digest == value_of([1.0, -math.nan, -math.nan, -math.nan], shards=2).digest


def test_nan_of_several_places_is_one_key_before_it_is_merged(tmp_path: Path) -> None:
    result = unmerged(tmp_path / "shards", [float("nan"), 1], [float("nan"), 2], [float("nan")])
    assert len(result) == len(list(result.items())) == 3
    assert result[math.nan] == 3


def test_several_nan_that_an_earlier_version_kept_apart_stay_so() -> None:
    keys, values = opened(merged([float("nan"), float("nan")], [1, 2]))
    assert dict(zip(keys, values, strict=True)) == dict(zip(keys, [1, 2], strict=True))
    assert len({id(key) for key in keys}) == 2


def test_scalars_of_numpy_are_keys_as_they_are_without_shards() -> None:
    entries = [np.bool_(True), np.int64(7), np.float32(0.5), np.str_("a"), True]
    result = value_of(entries, shards=2)
    assert dict(result) == dict(value_of(entries)) == {True: 2, 7: 1, 0.5: 1, "a": 1}
    assert result[np.bool_(True)] == 2


def test_a_key_that_cannot_be_one_is_refused_as_by_a_dict() -> None:
    result = value_of([1, 2], shards=2)
    for key in ([1], {}, (1, [2])):
        with pytest.raises(TypeError, match="unhashable type"):
            result[key]
    for missing in (3, object()):
        with pytest.raises(KeyError):
            result[missing]
        assert missing not in result


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (defaultdict(int, b=1, a=2), {"a": 2, "b": 1}),
        (Counter("bba"), Counter("bba")),
        ([defaultdict(list, a=[Counter("b")])], [{"a": [Counter("b")]}]),
        (Point({"b": 1, "a": 2}, 3), ({"a": 2, "b": 1}, 3)),
    ],
    ids=["a defaultdict", "a Counter", "in a list", "in a named tuple"],
)
def test_a_block_keeps_mappings_in_order_as_plain_data(value: Any, kept: Any) -> None:
    _, (found,) = opened(merged(["k"], [value]))
    assert found == kept
    assert type(found) is type(kept)


def test_blocks_of_equal_values_are_equal() -> None:
    one, other = Point({"b": 1, "a": 2}, defaultdict(int, d=1, c=2)), ({"a": 2, "b": 1}, {"c": 2, "d": 1})
    assert merged(["k"], [one]) == merged(["k"], [other])
    assert merged(["k"], [Counter("abb")]) == merged(["k"], [Counter("bba")])


def test_a_result_that_is_not_merged_yet_is_shown_without_merging_it(tmp_path: Path) -> None:
    result = unmerged(tmp_path / "shards", ["a", "b"])
    for path in (tmp_path / "shards").glob("piece-*"):
        path.unlink()
    assert repr(result) == "ShardedMapping(2 shards, not merged yet)"


def test_a_result_from_before_a_redrive_says_that_it_was_replaced(home: Path) -> None:
    def fragile(number: int) -> tuple[str, int]:
        if number == 7:
            raise ValueError(number)
        return f"k{number}", number

    flow = elastic.from_range(100).map(fragile).aggregate(SumByKey())
    failed = flow.run(cluster="inline", shards=2, on_error="dead-letter")
    mended = elastic.from_range(100).map(lambda number: (f"k{number}", number)).aggregate(SumByKey())
    redriven = elastic.redrive(failed.run_id, mended, cluster="inline")
    with pytest.raises(
        CorruptStoreError, match=r"has written the result again.*read the result again with elastic\.result_of"
    ):
        failed.value["k1"]
    with pytest.raises(CorruptStoreError, match="has written the result again"):
        list(failed.value)
    assert len(redriven.value) == len(elastic.result_of(failed.run_id, mended).value) == 100
    for path in (home / "runs" / failed.run_id / "shards" / "step-0000").iterdir():
        path.unlink()
    path.parent.rmdir()
    with pytest.raises(CorruptStoreError, match="restore a good copy"):
        list(redriven.value)
