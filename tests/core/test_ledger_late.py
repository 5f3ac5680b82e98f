"""Events that arrive late, twice, or during another operation."""

import pytest
from test_ledger import chunks, ledger, only, partial, started

from elastic.core.ledger import events
from elastic.core.ledger.instructions import CollectNode, Complete, Cut, Fail, Fold, Send
from elastic.core.model.failure import Failure


def failure_of_chunk_0() -> Failure:
    return Failure(0, 0, "line 1", "map(f)", "ValueError", "bad")


def test_a_failure_of_a_batch_that_was_given_up_does_not_end_the_step() -> None:
    subject = ledger()
    sent, other = started(subject, 2)
    (again,) = only(Send, subject.handle(events.BatchLost(sent.batch.batch_id, "its process died")))
    assert only(Fail, subject.handle(events.BatchFailed(sent.batch.batch_id, "a/0", failure_of_chunk_0()))) == []
    assert not subject.finished
    told = subject.handle(events.PartialReturned("a", partial(again, other), True))
    assert [type(instruction) for instruction in told] == [Fold, Complete], "the second try succeeds"


def test_a_failure_of_a_batch_whose_chunks_are_in_the_result_does_not_end_the_step() -> None:
    subject = ledger(speculation_timeout=10)
    sent, other = started(subject, 2, workers=2)
    (copy, *_) = only(Send, subject.handle(events.ClockTicked(11.0)))
    subject.handle(events.PartialReturned("a", partial(copy), True), events.PartialReturned("a", partial(sent), True))
    subject.handle(events.BatchFailed(copy.batch.batch_id, "a/1", failure_of_chunk_0()))
    assert not subject.finished
    assert only(Complete, subject.handle(events.PartialReturned("a", partial(other), True))) == [Complete()]


def test_a_failure_of_what_a_worker_held_ends_the_step_though_it_names_no_batch() -> None:
    subject = ledger()
    started(subject, 1)
    failure = failure_of_chunk_0()
    assert subject.handle(events.BatchFailed(None, "a/0", failure)) == [Fail(failure)]


@pytest.mark.parametrize("second", ["a/0", "a/1"])
def test_a_second_word_that_a_batch_is_processed_changes_nothing(second: str) -> None:
    once, twice = (ledger(calls_per_worker=2, collect_interval=5, target_call_seconds=1) for _ in range(2))
    for subject in (once, twice):
        subject.handle(events.ClockTicked(0.0), *(events.WorkerJoined("a", f"a/{n}") for n in range(2)))
        sent, *others = only(Send, subject.handle(chunks(0, 4)))
    first = events.BatchProcessed(sent.batch.batch_id, "a/0", 0.01)
    (cut,) = only(Cut, once.handle(first))
    assert twice.handle(first, events.BatchProcessed(sent.batch.batch_id, second, 0.01)) == [cut]
    for event in (
        chunks(4, 4 + cut.count),
        events.WorkerLost("a", "a/1", "gone"),
        events.SourceExhausted(),
        events.ClockTicked(5.0),
        events.PartialReturned("a", partial(sent), True),
        events.BatchProcessed(others[0].batch.batch_id, "a/0", 0.01),
        events.ClockTicked(50.0),
    ):
        assert twice.handle(event) == once.handle(event)
        assert twice.missing() == once.missing()


def test_a_late_result_spares_its_waiting_chunks_a_second_sending() -> None:
    subject = ledger(calls_per_worker=1)
    sent = only(Send, subject.handle(events.ClockTicked(0.0), events.WorkerJoined("a", "a/0"), chunks(0, 1)))[0]
    subject.handle(events.WorkerLost("a", "a/0", "it is silent"))
    assert only(Send, subject.handle(events.BatchLost(sent.batch.batch_id, "it is silent"))) == [], "no worker is left"
    assert subject.handle(events.PartialReturned("a", partial(sent), False)) == [Fold(partial(sent))]
    told = subject.handle(events.WorkerJoined("a", "a/1"), events.SourceExhausted())
    assert told == [Complete()], "and nothing is sent to the new worker"
    assert subject.counters["chunks_sent_again"] == 1


def test_what_comes_to_be_held_during_a_collection_is_collected_after_it() -> None:
    subject = ledger()
    first, second = started(subject, 2)
    subject.handle(events.BatchProcessed(first.batch.batch_id, "a/0", 0.01))
    assert only(CollectNode, subject.handle(events.ClockTicked(1.0))) == [CollectNode("a")]
    assert only(CollectNode, subject.handle(events.BatchProcessed(second.batch.batch_id, "a/0", 0.01))) == []
    told = subject.handle(events.PartialReturned("a", partial(first), True))
    assert told == [Fold(partial(first)), CollectNode("a")], "at once, because nothing else is left to do"
    assert subject.handle(events.PartialReturned("a", partial(second), True)) == [Fold(partial(second)), Complete()]


def test_what_comes_to_be_held_during_a_collection_is_collected_in_its_time_while_there_is_more_to_do() -> None:
    subject = ledger(collect_interval=5, max_chunks_per_call=1)
    subject.handle(events.ClockTicked(0.0), events.WorkerJoined("a", "a/0"))
    first, second = only(Send, subject.handle(chunks(0, 2)))
    subject.handle(events.BatchProcessed(first.batch.batch_id, "a/0", 0.01))
    assert only(CollectNode, subject.handle(events.ClockTicked(5.0))) == [CollectNode("a")]
    subject.handle(events.BatchProcessed(second.batch.batch_id, "a/0", 0.01))
    # It would be due at second 10, but the collection took longer.
    assert only(CollectNode, subject.handle(events.ClockTicked(11.0))) == []
    subject.handle(events.PartialReturned("a", partial(first), True))
    assert only(CollectNode, subject.handle(events.ClockTicked(15.9))) == []
    assert only(CollectNode, subject.handle(events.ClockTicked(16.0))) == [CollectNode("a")]


def test_a_call_that_the_user_wants_again_goes_to_a_second_worker_before_new_chunks() -> None:
    subject = ledger(calls_per_worker=1, speculation_timeout=1000)
    sent, other = started(subject, 2, workers=2)
    subject.handle(events.BatchProcessed(other.batch.batch_id, "a/1", 0.01))
    assert subject.in_flight([0, 1, 7]) == {0, 1}
    (copy,) = only(Send, subject.handle(events.RetryRequested(frozenset({0}))))
    assert (copy.batch.first, copy.batch.batch_id != sent.batch.batch_id) == (0, True)
    assert only(Send, subject.handle(events.RetryRequested(frozenset({0})))) == [], "one copy is enough"
    told = subject.handle(events.PartialReturned("a", partial(other, copy), True))
    assert [type(instruction) for instruction in told] == [Fold, Complete]


def test_a_result_that_a_busy_worker_holds_is_copied_when_the_user_wants_it_again() -> None:
    subject = ledger(calls_per_worker=1, speculation_timeout=1000)
    first, second = started(subject, 2, workers=2)
    told = subject.handle(events.BatchProcessed(first.batch.batch_id, "a/0", 0.01))
    assert only(CollectNode, told) == [CollectNode("a")]
    assert only(Send, subject.handle(events.RetryRequested(frozenset({0})))) == [], "it may be on its way"
    # The collection returns nothing, so the worker that holds the result is busy.
    (copy,) = only(Send, subject.handle(events.PartialReturned("a", None, True)))
    assert copy.batch.first == first.batch.first
    told = subject.handle(events.PartialReturned("a", partial(copy, second), True))
    assert [type(instruction) for instruction in told] == [Fold, Complete]


def test_a_copy_is_not_copied_when_the_user_wants_its_chunks_again() -> None:
    subject = ledger(speculation_timeout=1000)
    first, _ = started(subject, 2, workers=2)
    (copy,) = only(Send, subject.handle(events.RetryRequested(frozenset({0}))))
    told = subject.handle(events.BatchProcessed(copy.batch.batch_id, "a/1", 0.01))
    assert only(CollectNode, told) == [CollectNode("a")]
    # The reply to the collection is late, so the worker of the copy seems to be left behind.
    subject.handle(events.PartialReturned("a", None, True))
    assert only(Send, subject.handle(events.RetryRequested(frozenset({0})))) == []
    assert first.batch.first == copy.batch.first


def test_a_call_whose_copy_was_lost_is_copied_again_when_the_user_wants_it() -> None:
    subject = ledger(speculation_timeout=1000)
    started(subject, 2, workers=2)
    (copy,) = only(Send, subject.handle(events.RetryRequested(frozenset({0}))))
    subject.handle(events.ClockTicked(1.0))
    lost = events.BatchLost(copy.batch.batch_id, "its worker died", may_be_poison=False)
    assert only(Send, subject.handle(lost)) == [], "the first worker still has the chunk"
    (again,) = only(Send, subject.handle(events.RetryRequested(frozenset({0}))))
    assert (again.batch.first, again.batch.history.copies) == (copy.batch.first, 1)
    assert subject.counters["chunks_speculated"] == 2
