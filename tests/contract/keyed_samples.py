"""Cases of aggregators by key for the suite of all aggregators: how to make one, and what it is given."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

from elastic.aggregators import SumByKey

WORDS = "the a to and in is it you that he was the a the a the Ä \udcff".split(" ")  # noqa: SIM905 - as words
NUMBERS = [3, -1, 4, True, -(2**70), 2**63, 0, 7, 7, 1]
FLOATS = [1e308, 1e308, -1e308, 0.1, 0.2, 5e-324, 1e16, 1.0, -1e16, -0.0, 2**60, Fraction(1, 3)]

KEYED_CASES: dict[str, tuple[Any, list[Any]]] = {
    "sum-by-key": (SumByKey, [(word, len(word) + index) for index, word in enumerate(WORDS)]),
    "sum-by-key-numbers": (SumByKey, [(index % 3, number) for index, number in enumerate(NUMBERS)]),
    "sum-by-key-floats": (SumByKey, [(index % 2 or "even", number) for index, number in enumerate(FLOATS)]),
    "sum-by-key-nan": (SumByKey, [(math.nan, 1), (float("nan"), 2), ((1, "a"), Decimal("0.10")), (-math.nan, 3)]),
}
