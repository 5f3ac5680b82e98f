"""Buckets of keys: the same for equal keys, in every process, and evenly distributed."""

import datetime as dt
import math
import subprocess
import sys
import uuid
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.core.errors import EncodingError
from elastic.core.partitioning import BUCKETS, bucket_of, buckets_of, shard_of, shard_range

UTC, EAST, WEST = dt.UTC, dt.timezone(dt.timedelta(hours=3)), dt.timezone(dt.timedelta(hours=-5))
EQUAL: list[tuple[Any, ...]] = [
    (1, 1.0, True, Decimal(1), Fraction(1), complex(1)),
    (0, -0.0, False),
    (2**80, float(2**80), Decimal(2**80)),
    (math.nan, float("nan"), -math.nan, Decimal("NaN")),
    ((1, "a"), (True, "a"), (1.0, "a")),
    (frozenset({1, 2}), frozenset({2.0, 1})),
    (dt.datetime(2026, 1, 1, 12, tzinfo=UTC), dt.datetime(2026, 1, 1, 15, tzinfo=EAST)),
    (dt.time(12, tzinfo=UTC), dt.time(15, tzinfo=EAST)),
    (dt.time(12, tzinfo=UTC), dt.time(12, 0, 30, tzinfo=dt.timezone(dt.timedelta(seconds=30)))),
    (dt.time(12, 0, 1, 5, tzinfo=UTC), dt.time(14, 58, 31, 5, tzinfo=dt.timezone(dt.timedelta(hours=3, seconds=-90)))),
    (dt.datetime(1, 1, 1, tzinfo=UTC), dt.datetime(1, 1, 1, 3, tzinfo=EAST)),
    (dt.datetime(2026, 3, 1, tzinfo=UTC), dt.datetime(2026, 2, 28, 19, tzinfo=WEST)),
    (dt.timedelta(hours=24), dt.timedelta(days=1)),
    (True, np.bool_(True), np.int8(1), np.float32(1)),
    ("a", np.str_("a")),
    (b"a", np.bytes_(b"a")),
    ((True, "a"), (np.bool_(True), np.str_("a"))),
]


@pytest.mark.parametrize("keys", EQUAL, ids=str)
def test_equal_keys_have_one_bucket_whatever_their_types_are(keys: tuple[Any, ...]) -> None:
    assert len({key for key in keys if key == key}) < 2
    assert len(set(map(bucket_of, keys))) == 1


@pytest.mark.parametrize("zone", [UTC, EAST, WEST], ids=str)
def test_the_first_and_the_last_instant_have_buckets(zone: dt.timezone) -> None:
    for key in (dt.datetime.min.replace(tzinfo=zone), dt.datetime.max.replace(tzinfo=zone)):
        assert bucket_of(key) == bucket_of(key.replace(fold=1))


def test_a_key_has_the_same_bucket_alone_and_among_others() -> None:
    texts, numbers = ["a", "Ä", "k17"], [1, -1, -2, 2**70]
    mixed = [*texts, "\udcff", *numbers, None, b"a", (1, "a"), uuid.UUID(int=7), dt.date(2026, 1, 1)]
    for keys in (texts, numbers, mixed):
        assert list(buckets_of(keys)) == list(map(bucket_of, keys))


def test_a_key_has_the_same_bucket_in_every_process() -> None:
    keys = ["k17", "Ä", 5, -3, 2.5, (1, "a"), None, frozenset({"x", "y"})]
    code = f"from elastic.core.partitioning import bucket_of; print(list(map(bucket_of, {keys!r})))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(list(map(bucket_of, keys)))
    # Stored results depend on them.
    assert list(map(bucket_of, keys[:4])) == [232, 92, 142, 66]


@pytest.mark.parametrize("keys", [range(0, 200_000, 2), [f"k{n}" for n in range(100_000)]], ids=["even", "texts"])
def test_keys_are_spread_evenly(keys: Any) -> None:
    counts = Counter(buckets_of(list(keys)))
    assert len(counts) == BUCKETS
    assert max(counts.values()) < 2 * min(counts.values())


def test_a_value_that_is_not_plain_data_has_no_bucket() -> None:
    with pytest.raises(EncodingError, match="a key of type object is not plain data"):
        bucket_of(object())


@given(shards=st.integers(min_value=1, max_value=BUCKETS))
def test_each_bucket_is_in_one_shard(shards: int) -> None:
    ranges = [shard_range(shard, shards) for shard in range(shards)]
    assert [bucket for each in ranges for bucket in each] == list(range(BUCKETS))
    assert all(shard_of(bucket, shards) == shard for shard, each in enumerate(ranges) for bucket in each)
    assert all(ranges)
