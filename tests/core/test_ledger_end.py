"""Towards the end of a source, what workers hold is merged while the rest is done, and not after it."""

import pytest
from test_ledger import chunks, ledger, only, partial

from elastic.core.ledger import events
from elastic.core.ledger.instructions import CollectNode, Send
from elastic.core.ledger.ledger import Ledger

#: seconds that a worker takes for a chunk, and the master to merge what a worker made of it
WORK, MERGE = 2.0, 1.0


def with_costs(*, expected: int | None, merge: float = MERGE) -> tuple[Ledger, list[Send]]:
    """Return a ledger that has seen what a chunk costs, at second 10, and the calls of four more chunks."""
    subject = ledger(collect_interval=5.0, max_chunks_per_call=1, calls_per_worker=4)
    subject.expected = expected
    subject.handle(events.ClockTicked(0.0), events.WorkerJoined("a", "a/0"))
    sent, *others = only(Send, subject.handle(chunks(0, 5)))
    others += only(Send, subject.handle(processed(sent)))
    assert only(CollectNode, subject.handle(events.ClockTicked(9.0)))
    subject.handle(events.PartialReturned("a", partial(sent), True, 4.0), events.PartialMerged("a", 1, merge))
    subject.handle(events.ClockTicked(10.0))
    return subject, others


def processed(send: Send) -> events.BatchProcessed:
    return events.BatchProcessed(send.batch.batch_id, "a/0", WORK)


def collected_after(subject: Ledger, sends: list[Send]) -> list[int]:
    """Let calls end one after another; return after which of them, counted from 1, the node was collected."""
    return [n for n, send in enumerate(sends, 1) if only(CollectNode, subject.handle(processed(send)))]


def test_what_is_held_is_collected_once_merging_it_takes_longer_than_the_work_that_is_left() -> None:
    # 5 chunks, one of them merged: after 3 of the other 4, 3 s of merging stand against 2 s of work.
    subject, sends = with_costs(expected=5)
    assert len(sends) == 4
    assert collected_after(subject, sends) == [3]


@pytest.mark.parametrize("expected", [100, None])
def test_as_long_as_much_is_left_or_nobody_knows_how_much_the_pause_stays_as_it_is(expected: int | None) -> None:
    subject, sends = with_costs(expected=expected)
    assert collected_after(subject, sends) == []


def test_what_costs_nothing_to_merge_can_wait_until_the_end() -> None:
    subject, sends = with_costs(expected=5, merge=1e-6)
    assert collected_after(subject, sends[:-1]) == []


def test_of_a_source_that_has_more_than_was_expected_what_is_cut_is_known_to_be_left() -> None:
    subject, sends = with_costs(expected=2)
    assert collected_after(subject, sends) == [3]


def test_it_is_not_done_again_before_what_was_held_can_be_merged() -> None:
    subject, sends = with_costs(expected=5, merge=9.0)
    first, second, *_ = sends
    subject.handle(processed(first))
    assert only(CollectNode, subject.handle(processed(second))) == [], "it was asked for with the first one"
    subject.handle(events.PartialReturned("a", partial(first), True, 4.0))
    assert only(CollectNode, subject.handle(events.ClockTicked(18.9))) == []
    assert only(CollectNode, subject.handle(events.ClockTicked(19.0))) == [CollectNode("a")]
