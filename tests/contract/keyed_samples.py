"""Cases of keyed aggregators for the contract suite: their factories and entries."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from elastic.aggregators import (
    ApproximateDistinct,
    ByType,
    Collect,
    Count,
    Distinct,
    GroupBy,
    Max,
    MergeMappings,
    SumByKey,
)

WORDS = "the a to and in is it you that he was the a the a the Ä \udcff".split(" ")  # noqa: SIM905 - as words
NUMBERS = [3, -1, 4, True, -(2**70), 2**63, 0, 7, 7, 1]
FLOATS = [1e308, 1e308, -1e308, 0.1, 0.2, 5e-324, 1e16, 1.0, -1e16, -0.0, 2**60, Fraction(1, 3)]

#: Each is one key as different objects: a NaN, or a container with one.
UNSOUND: list[Any] = [
    key
    for nan in (math.nan, float("nan"), -math.nan, np.float32("nan"))
    for key in (
        nan, ("DE", nan), ("DE", (nan, 1)), frozenset({nan, "x"}), (Decimal("1"), frozenset({(nan,)})),
        Decimal("-NaN") if nan is math.nan else Decimal("NaN7"), ("DE", Decimal("NaN")), complex(nan, 1), ("DE", 1.5),
        "DE", 5, None,
    )
]  # fmt: skip
UNSOUND_PAIRS = [(key, index) for index, key in enumerate(UNSOUND)]

KEYED_CASES: dict[str, tuple[Any, list[Any]]] = {
    "sum-by-key": (SumByKey, [(word, len(word) + index) for index, word in enumerate(WORDS)]),
    "sum-by-key-numbers": (SumByKey, [(index % 3, number) for index, number in enumerate(NUMBERS)]),
    "sum-by-key-floats": (SumByKey, [(index % 2 or "even", number) for index, number in enumerate(FLOATS)]),
    "sum-by-key-nan": (SumByKey, [(math.nan, 1), (float("nan"), 2), ((1, "a"), Decimal("0.10")), (-math.nan, 3)]),
    "count-nan-inside": (Count, UNSOUND),
    "distinct-nan-inside": (Distinct, UNSOUND),
    "approximate-distinct-nan-inside": (lambda: ApproximateDistinct(5), UNSOUND),
    "sum-by-key-nan-inside": (SumByKey, UNSOUND_PAIRS),
    "sum-by-key-nan-floats": (SumByKey, [(key, number / 10) for key, number in UNSOUND_PAIRS]),
    "group-by-nan-inside": (lambda: GroupBy(Collect()), UNSOUND_PAIRS),
    "group-by-max-nan-inside": (lambda: GroupBy(Max()), UNSOUND_PAIRS),
    "merge-mappings-nan-inside": (MergeMappings, [{key: [number]} for key, number in UNSOUND_PAIRS]),
    "merge-mappings-nan-once": (MergeMappings, [{key: str(number) for key, number in UNSOUND_PAIRS}] * 3),
    "merge-mappings-max-nan-inside": (
        lambda: MergeMappings(max, commutative=True),
        [{key: number} for key, number in UNSOUND_PAIRS],
    ),
    "merge-mappings-nan-floats": (
        lambda: MergeMappings(commutative=True),
        [dict(UNSOUND_PAIRS), dict.fromkeys(UNSOUND, 0.1)] * 2,
    ),
    "by-type-nan-inside": (ByType, [{key: number / 10} for key, number in UNSOUND_PAIRS]),
}
