"""Sample frames, and aggregators of frames for the contract suite."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl

from elastic.aggregators import FrameCount, FrameGroupBy, FrameSum, FrameTopK
from elastic.aggregators.frames.word_count import WordCount
from elastic.core.contracts.aggregator import AnyAggregator

WORDS = [
    word if word != "null" else None
    for word in ["the", "of", "a", "to", "and", "null", "is", "it", "the", "a", "null", "Ä", "the", "a"] * 3
]
FLOATS = [1e308, 1e308, -1e308, 0.1, 0.2, 0.3, 1e-308, 5e-324, -5e-324, 1e16, 1.0, -1e16, -0.0, 0.0, 2.5, math.inf]
ROWS = len(WORDS)
FRAME = pl.DataFrame(
    {
        "word": WORDS,
        "whole": [2**63 - 1 - index % 7 for index in range(ROWS)],
        "real": [FLOATS[index % len(FLOATS)] if index % 5 else math.nan for index in range(ROWS)],
        "flag": [None if index % 4 == 0 else index % 3 == 0 for index in range(ROWS)],
        "money": pl.Series([Decimal(10**35 + index) / 100 for index in range(ROWS)], dtype=pl.Decimal(38, 2)),
    }
)
FRAMES = [*FRAME.iter_slices(7), FRAME.clear(), *FRAME.reverse().iter_slices(3)]
MEASURES: dict[str, Any] = {"n": "count", "sum": ("whole", "sum"), "cents": ("money", "sum"), "yes": ("flag", "sum")}

#: Factory of an aggregator, and frames for it.
FRAME_CASES: dict[str, tuple[Callable[[], AnyAggregator], list[Any]]] = {
    "frame-count": (FrameCount, [frame.select("word") for frame in FRAMES]),
    "frame-count-columns": (lambda: FrameCount("flag", "real"), FRAMES),
    "word-count": (WordCount, [frame.select("word").drop_nulls() for frame in FRAMES]),
    "frame-sum": (lambda: FrameSum("whole", "real", "flag", "money"), FRAMES),
    "frame-group-by": (lambda: FrameGroupBy("word", **MEASURES), FRAMES),
    "frame-group-by-several": (
        lambda: FrameGroupBy(["flag", "real"], least=("word", "min"), most=("real", "max"), last=("money", "max")),
        FRAMES,
    ),
    "frame-top-k": (lambda: FrameTopK(9, "whole"), FRAMES),
    "frame-top-k-real": (lambda: FrameTopK(200, "real"), FRAMES),
}
