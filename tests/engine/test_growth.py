"""Growth of a result by merges, which decides how soon to collect again."""

from collections import Counter
from typing import Any

import pytest

from elastic.aggregators import Collect, Count, Sum, TopK
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.encoding import compress
from elastic.core.model.chunk import UNREAD
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.partial import BatchReport, Partial
from elastic.engine.aggregation import Aggregation


def partial(aggregator: AnyAggregator, *states: object) -> Partial:
    report = BatchReport(
        batch_id=0, node_id="a", worker_id="a/0", columns=ChunkColumns(0, 1, (0,), (1,), UNREAD), counted=False,
        processed=bytes(16),
    )  # fmt: skip
    return Partial((report,), tuple(compress(aggregator.encode(state)) for state in states), bytes(16))


def growing(aggregator: AnyAggregator, *partials: tuple[object, ...]) -> list[bool]:
    """Fold partials, and return for each whether the result grew."""
    aggregation = Aggregation(aggregator, "run")
    for states in partials:
        aggregation.fold(partial(aggregator, *states))
    told = [merged.growing for _, merged in aggregation.merged(block=True)]
    aggregation.close()
    return told


def words(start: int, stop: int) -> "Counter[str]":
    return Counter(f"word{number:06}" for number in range(start, stop))


def test_a_table_grows_as_long_as_most_keys_are_new() -> None:
    told = growing(
        Count(),
        (words(0, 1000),),
        (words(1000, 2000),),
        (words(1700, 2700), words(2700, 3700)),
        (words(0, 3700),),
        (words(3000, 4000),),
    )
    assert told == [False, True, True, False, False], "of the first nobody knows"


def test_two_workers_tell_by_themselves_whether_they_see_the_same() -> None:
    assert growing(Count(), (words(0, 1000), words(900, 1900))) == [True]
    assert growing(Count(), (words(0, 1000), words(100, 1100))) == [False]


@pytest.mark.parametrize(
    ("aggregator", "state"),
    [(Sum(), 5), (TopK(3), [3, 2, 1]), (Count(), Counter())],
    ids=["a number", "a list that is full", "nothing"],
)
def test_a_state_without_new_elements_does_not_grow(aggregator: AnyAggregator, state: object) -> None:
    folded = aggregator.add_many(aggregator.create(), iter(state if isinstance(state, list) else []))
    assert growing(aggregator, (folded,), (folded,), (folded,)) == [False] * 3


class Mute(Sum):
    """Has states without a length."""

    def create(self) -> Any:
        return []

    def merge(self, state: Any, other: Any) -> Any:
        return state

    def encode(self, state: Any) -> bytes:
        return b""

    def decode(self, data: bytes) -> Any:
        return []


def test_a_state_without_bytes_does_not_grow() -> None:
    assert growing(Mute(), ([],), ([], [])) == [False, False]


def test_a_list_that_is_collected_grows() -> None:
    collected = Collect().add_many(Collect().create(), iter(range(100)))
    assert growing(Collect(), (collected,), (collected,)) == [False, True]
