"""Near the end of a source, the ledger collects states while the last chunks are processed, not after them."""

import pytest
from test_ledger import chunks, ledger, only, partial

from elastic.core.ledger import events
from elastic.core.ledger.instructions import CollectNode, Send
from elastic.core.ledger.ledger import Ledger

#: seconds in which a worker processes a chunk, and in which the master merges its state
WORK, MERGE = 2.0, 1.0


def with_costs(*, expected: int | None, merge: float = MERGE) -> tuple[Ledger, list[Send]]:
    """Return a ledger that knows the cost of a chunk, at second 10, and the calls of four more chunks."""
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
    """Let calls end one after another; return the numbers, from 1, of those after which the node was collected."""
    return [n for n, send in enumerate(sends, 1) if only(CollectNode, subject.handle(processed(send)))]


def test_states_are_collected_once_merging_takes_longer_than_the_remaining_work() -> None:
    # 5 chunks, one of them merged: after 3 of the other 4, 3 s of merging stand against 2 s of work.
    subject, sends = with_costs(expected=5)
    assert len(sends) == 4
    assert collected_after(subject, sends) == [3]


@pytest.mark.parametrize("expected", [100, None])
def test_the_pause_is_unchanged_while_much_or_an_unknown_amount_of_work_remains(expected: int | None) -> None:
    subject, sends = with_costs(expected=expected)
    assert collected_after(subject, sends) == []


def test_what_costs_nothing_to_merge_can_wait_until_the_end() -> None:
    subject, sends = with_costs(expected=5, merge=1e-6)
    assert collected_after(subject, sends[:-1]) == []


def test_cut_chunks_of_a_source_with_more_than_expected_count_as_remaining_work() -> None:
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
