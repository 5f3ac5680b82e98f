"""Sets of chunk ids."""

import random

from hypothesis import given
from hypothesis import strategies as st

from elastic.core.model.chunk_id_set import ChunkIdSet


@given(st.sets(st.integers(0, 200)), st.randoms(use_true_random=False))
def test_spans_hold_what_was_added_in_any_order(ids: set[int], rng: random.Random) -> None:
    spans, order = ChunkIdSet(), sorted(ids)
    rng.shuffle(order)
    for chunk_id in order:
        assert chunk_id not in spans
        spans.add(chunk_id, chunk_id + 1)
    assert {chunk_id for chunk_id in range(202) if chunk_id in spans} == ids
    assert len(spans) == len(ids)
    assert spans.low == next(n for n in range(202) if n not in ids)


@given(st.sets(st.integers(0, 500)))
def test_a_bitmap_stands_for_the_same_set(ids: set[int]) -> None:
    spans = ChunkIdSet()
    for chunk_id in ids:
        spans.add(chunk_id, chunk_id + 1)
    assert ChunkIdSet.of(spans.low, spans.bitmap()) == spans


def test_a_million_consecutive_ids_take_as_much_space_as_one() -> None:
    spans = ChunkIdSet()
    for first in range(0, 1_000_000, 10):
        spans.add(first, first + 10)
    assert spans == ChunkIdSet(low=1_000_000)
    assert spans.bitmap() == b""


def test_overlap_is_seen_at_both_ends() -> None:
    spans = ChunkIdSet(low=10)
    spans.add(20, 30)
    assert [spans.overlaps(*span) for span in [(9, 10), (10, 20), (19, 21), (29, 31), (30, 40)]] == [
        True,
        False,
        True,
        True,
        False,
    ]
