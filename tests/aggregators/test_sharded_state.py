"""States of many keys."""

import math
from collections import Counter
from typing import Any

import pytest

from elastic.aggregators import (
    ByType,
    Collect,
    Count,
    Distinct,
    FunctionAggregator,
    GroupBy,
    MergeMappings,
    Size,
    Sum,
    TopK,
)
from elastic.core.contracts.aggregator import AnyAggregator


def list_of(new: str, previous: list[str] | None) -> list[str]:
    if previous is None:
        return [new]
    previous.append(new)
    return previous


KEYS = [f"key {number}" for number in range(100_000)]
WIDE: dict[str, tuple[AnyAggregator, list[Any], Any]] = {
    "count": (Count(), KEYS + KEYS[:10], Counter(KEYS + KEYS[:10])),
    "distinct": (Distinct(), KEYS, set(KEYS)),
    "group-by-size": (GroupBy(Size()), [(key, None) for key in KEYS], dict.fromkeys(KEYS, 1)),
    "group-by-sum": (GroupBy(Sum()), [(key, 0.5) for key in KEYS * 2], dict.fromkeys(KEYS, 1.0)),
    "merge-mappings": (MergeMappings(), [dict.fromkeys(KEYS, 0.1)] * 3, dict.fromkeys(KEYS, math.fsum([0.1] * 3))),
    "by-type": (ByType(), [dict.fromkeys(KEYS, 2)] * 3, dict.fromkeys(KEYS, 6)),
    "collect": (Collect(), KEYS, KEYS),
    "top-k": (TopK(100_000), KEYS, sorted(KEYS, reverse=True)),
    "function": (FunctionAggregator(list_of), KEYS, KEYS),
}


@pytest.mark.parametrize("name", sorted(WIDE))
def test_a_state_of_a_hundred_thousand_keys_comes_back_and_merges(name: str) -> None:
    aggregator, entries, expected = WIDE[name]
    half = len(entries) // 2
    states = [aggregator.add_many(aggregator.create(), part) for part in (entries[:half], entries[half:])]
    first, second = (aggregator.decode(aggregator.encode(state)) for state in states)
    assert aggregator.finish(aggregator.merge(first, second)) == expected
