"""The ledger's decisions, as short scenarios."""

from typing import TypeVar

import pytest

from elastic.core.contracts.placement import NodeCandidate, Placement
from elastic.core.errors import LedgerError
from elastic.core.ledger import events
from elastic.core.ledger.instructions import CollectNode, Complete, Cut, Drop, Fail, Fold, Instruction, Send
from elastic.core.ledger.ledger import Ledger
from elastic.core.ledger.resume_point import ResumePoint
from elastic.core.model.chunk import Chunk, DeliveryHistory
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.model.partial import BatchReport, Partial
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.policies.error_policy import ErrorPolicy, OnError
from elastic.core.receipts.stage import Stage
from tests.core.column_samples import columns_of, with_changes

T = TypeVar("T")


class First(Placement):
    def choose(self, candidates: list[NodeCandidate]) -> str | None:
        return candidates[0].node_id


def ledger(*, ordered: bool = False, resume_point: ResumePoint | None = None, **settings: float) -> Ledger:
    return Ledger(tuning=EngineTuning(**settings), placement=First(), ordered=ordered, resume_point=resume_point)


def chunks(first: int, stop: int) -> events.ChunksCut:
    return events.ChunksCut(tuple(Chunk(n, (n,), 1_000, (n, 1)) for n in range(first, stop)))


def report(send: Send, worker: str = "a/0") -> BatchReport:
    batch = send.batch
    return BatchReport(
        batch_id=batch.batch_id, node_id="a", worker_id=worker, columns=columns_of(batch), counted=False,
        processed=bytes(16),
    )  # fmt: skip


def partial(*sends: Send) -> Partial:
    return Partial(tuple(map(report, sends)), (b"",), bytes(16))


def only(kind: type[T], instructions: list[Instruction]) -> list[T]:
    return [instruction for instruction in instructions if isinstance(instruction, kind)]


def started(subject: Ledger, count: int, *, workers: int = 1) -> list[Send]:
    """Let workers join, cut `count` chunks and end the source; return the sent batches."""
    joined = [events.WorkerJoined("a", f"a/{n}") for n in range(workers)]
    subject.handle(events.ClockTicked(0.0), *joined)
    told = subject.handle(*([chunks(0, count)] if count else []), events.SourceExhausted())
    return only(Send, told)


def test_a_source_is_cut_no_further_than_there_is_room_for_calls() -> None:
    subject = ledger(calls_per_worker=2)
    assert subject.handle(events.ClockTicked(0.0)) == []
    assert subject.handle(events.WorkerJoined("a", "a/0")) == [Cut(2)]
    assert only(Cut, subject.handle(chunks(0, 2))) == []


def test_an_empty_source_is_complete_at_once() -> None:
    subject = ledger()
    subject.handle(events.WorkerJoined("a", "a/0"))
    assert subject.handle(events.SourceExhausted()) == [Complete()]
    assert subject.finished


def test_a_step_is_not_complete_while_the_source_may_yield_more() -> None:
    subject = ledger()
    subject.handle(events.WorkerJoined("a", "a/0"))
    (sent,) = only(Send, subject.handle(chunks(0, 1)))
    subject.handle(events.BatchProcessed(sent.batch.batch_id, "a/0", 0.01))
    told = subject.handle(events.PartialReturned("a", partial(sent), True))
    assert only(Complete, told) == []
    assert subject.handle(events.SourceExhausted()) == [Complete()]


def test_results_are_collected_when_nothing_is_left_to_send() -> None:
    subject = ledger()
    first, second = started(subject, 2)
    assert subject.handle(events.BatchProcessed(first.batch.batch_id, "a/0", 0.01)) == []
    assert subject.handle(events.BatchProcessed(second.batch.batch_id, "a/0", 0.01)) == [CollectNode("a")]
    told = subject.handle(events.PartialReturned("a", partial(first, second), True))
    assert told == [Fold(partial(first, second)), Complete()]
    assert [subject.reached[stage] for stage in Stage] == [2] * 6
    assert subject.counters["entries"] == 2


def test_results_are_collected_from_time_to_time() -> None:
    subject = ledger(collect_interval=5)
    subject.handle(events.WorkerJoined("a", "a/0"))
    (sent,) = only(Send, subject.handle(chunks(0, 1)))
    assert only(CollectNode, subject.handle(events.BatchProcessed(sent.batch.batch_id, "a/0", 0.01))) == []
    assert only(CollectNode, subject.handle(events.ClockTicked(4.9))) == []
    assert only(CollectNode, subject.handle(events.ClockTicked(5.0))) == [CollectNode("a")]
    assert only(CollectNode, subject.handle(events.ClockTicked(99.0))) == [], "a collection is under way"


@pytest.mark.parametrize(
    ("given", "took", "growing", "nodes", "pause"),
    [(5, 0.1, False, 1, 5), (5, 0.35, False, 1, 7), (5, 9, False, 1, 30), (100, 9, False, 1, 100),
     (1, 0.35, False, 20, 14), (1, 0.35, True, 1, 1), (1, 0.75, True, 1, 1.5), (1, 0.35, True, 20, 14),
     (1, 9, True, 20, 30)],
)  # fmt: skip
def test_what_takes_long_to_collect_is_collected_less_often_unless_the_result_grows_with_it(
    given: float, took: float, growing: bool, nodes: int, pause: float
) -> None:
    subject = ledger(collect_interval=given)
    subject.handle(events.ClockTicked(0.0), *(events.WorkerJoined(f"{n:02}", f"{n:02}/0") for n in range(nodes)))
    first, second = only(Send, subject.handle(chunks(0, 2)))[:2]
    subject.handle(events.BatchProcessed(first.batch.batch_id, "00/0", 0.01))
    assert only(CollectNode, subject.handle(events.ClockTicked(given))) == [CollectNode("00")]
    subject.handle(events.BatchProcessed(second.batch.batch_id, "00/0", 0.01))
    subject.handle(events.PartialReturned("00", partial(first), True, took))
    subject.handle(events.PartialMerged("00", 1, took, growing), events.PartialMerged("gone", 1, took, growing))
    assert only(CollectNode, subject.handle(events.ClockTicked(given + pause - 0.01))) == []
    assert only(CollectNode, subject.handle(events.ClockTicked(given + pause))) == [CollectNode("00")]


@pytest.mark.parametrize(
    ("took", "growing", "pause"), [(0.01, True, 1), (0.1, True, 6), (0.1, False, 6), (9, True, 30)]
)
def test_a_worker_that_waits_for_its_collection_is_collected_seldom(took: float, growing: bool, pause: float) -> None:
    subject = ledger(collect_interval=1)
    subject.expected = 3
    subject.handle(events.ClockTicked(0.0), events.WorkerJoined("a", "a/0", in_thread=True))
    first, second = only(Send, subject.handle(chunks(0, 2)))[:2]
    subject.handle(events.BatchProcessed(first.batch.batch_id, "a/0", 0.01))
    assert only(CollectNode, subject.handle(events.ClockTicked(1))) == [CollectNode("a")]
    subject.handle(events.PartialReturned("a", partial(first), True, took), events.PartialMerged("a", 1, took, growing))
    subject.handle(events.BatchProcessed(second.batch.batch_id, "a/0", 0.01))
    assert only(CollectNode, subject.handle(events.ClockTicked(1 + pause - 0.01))) == []
    assert only(CollectNode, subject.handle(events.ClockTicked(1 + pause))) == [CollectNode("a")]


def test_a_batch_that_is_lost_is_sent_again_and_counted_once_as_distributed() -> None:
    subject = ledger()
    sent, _ = started(subject, 2)
    (again,) = only(Send, subject.handle(events.BatchLost(sent.batch.batch_id, "the call ended")))
    assert again.batch.chunks == sent.batch.chunks
    assert again.batch.attempt == 2
    assert subject.counters["chunks_sent_again"] == 1
    assert subject.reached[Stage.DISTRIBUTED] == 2


def test_what_a_lost_worker_held_is_sent_again() -> None:
    subject = ledger()
    subject.handle(events.WorkerJoined("a", "a/0"), events.WorkerJoined("a", "a/1"))
    (sent,) = only(Send, subject.handle(chunks(0, 1)))
    subject.handle(events.BatchProcessed(sent.batch.batch_id, "a/0", 0.01))
    (again,) = only(Send, subject.handle(events.WorkerLost("a", "a/0", "it died")))
    assert again.batch.chunks == sent.batch.chunks
    assert subject.counters["workers_lost"] == 1


def test_what_a_lost_node_had_goes_to_another_node() -> None:
    subject = ledger()
    subject.handle(events.WorkerJoined("a", "a/0"), events.WorkerJoined("b", "b/0"))
    sent = only(Send, subject.handle(chunks(0, 2)))
    assert {send.node_id for send in sent} == {"a"}
    again = only(Send, subject.handle(events.NodeLost("a", "it is gone")))
    assert [(send.node_id, send.batch.first) for send in again] == [("b", 0), ("b", 1)]


def test_a_result_that_comes_after_its_batch_was_given_up_is_taken_and_the_repeat_dropped() -> None:
    subject = ledger()
    sent, other = started(subject, 2)
    (again,) = only(Send, subject.handle(events.BatchLost(sent.batch.batch_id, "no answer")))
    assert only(Fold, subject.handle(events.PartialReturned("a", partial(sent), False))) == [Fold(partial(sent))]
    told = subject.handle(events.PartialReturned("a", partial(again, other), False))
    assert only(Fold, told) == [], "a partial with one chunk too many is not folded at all"
    (drop,) = only(Drop, told)
    assert drop.partial == partial(again, other)
    (resent,) = only(Send, told)
    assert resent.batch.chunks == other.batch.chunks, "the innocent chunk of the dropped partial is sent again"
    assert subject.counters["duplicates_dropped"] == 2


def test_a_partial_that_names_a_chunk_twice_is_dropped() -> None:
    subject = ledger()
    sent, _ = started(subject, 2)
    doubled = Partial((report(sent), report(sent)), (b"",), bytes(16))
    assert only(Fold, subject.handle(events.PartialReturned("a", doubled, False))) == []


def test_a_partial_with_a_false_receipt_is_dropped_and_its_chunks_are_sent_again() -> None:
    subject = ledger()
    sent, _ = started(subject, 2)
    told = subject.handle(events.PartialRefused("a", partial(sent), True, "receipts do not verify"))
    assert only(Drop, told) == [Drop(partial(sent), "receipts do not verify")]
    assert [send.batch.chunks for send in only(Send, told)] == [sent.batch.chunks]
    assert subject.counters["receipts_refused"] == 1


def test_a_chunk_that_is_lost_again_and_again_fails_the_step() -> None:
    subject = ledger(max_worker_losses=3)
    (sent,) = started(subject, 1)
    for isolated in (False, True):
        (sent,) = only(Send, subject.handle(events.BatchLost(sent.batch.batch_id, "its process died")))
        assert sent.batch.isolated == isolated, "the third time in a process of its own"
    (fail,) = only(Fail, subject.handle(events.BatchLost(sent.batch.batch_id, "its process died")))
    assert "chunk 0" in str(fail.failure)
    assert "3 times" in str(fail.failure)
    assert subject.finished
    assert "its process died" in str(fail.failure)


def test_chunks_that_may_have_ended_a_worker_are_sent_ever_fewer_at_a_time() -> None:
    subject = ledger(target_call_seconds=1)
    subject.handle(events.WorkerJoined("a", "a/0"))
    (first, _) = only(Send, subject.handle(chunks(0, 2)))
    for count in (4, 16, 64):
        (cut,) = only(Cut, subject.handle(events.BatchProcessed(first.batch.batch_id, "a/0", 1e-6)))
        (first, *_) = only(Send, subject.handle(chunks(subject.next_id, subject.next_id + cut.count)))
        assert len(first.batch) == count
    lost = [first]
    sizes = []
    while not lost[0].batch.isolated:
        lost = only(Send, subject.handle(events.BatchLost(lost[0].batch.batch_id, "its process died")))
        sizes.append(len(lost[0].batch))
    assert sizes == [16, 1, 1]


def test_the_budget_of_failed_entries_is_kept() -> None:
    def letters(count: int) -> tuple[DeadLetter, ...]:
        return tuple(DeadLetter(Failure(0, n, f"line {n}", "map(f)", "ValueError", "bad"), b"") for n in range(count))

    for failed, outcome in ((2, Complete), (3, Fail)):
        policy = ErrorPolicy(on_error=OnError.SKIP, max_errors=2)
        subject = Ledger(tuning=EngineTuning(), placement=First(), error_policy=policy)
        (sent,) = started(subject, 1)
        spoiled = with_changes(report(sent), entries=(100,), dead_letters=letters(failed))
        told = subject.handle(events.PartialReturned("a", Partial((spoiled,), (b"",), bytes(16)), False))
        assert [type(instruction) for instruction in told] == [Fold, outcome]
        assert subject.counters["entries_failed"] == failed


def test_a_ratio_of_failed_entries_is_judged_at_the_end_or_when_there_are_enough() -> None:
    policy = ErrorPolicy(on_error=OnError.SKIP, max_error_ratio=0.01)
    letter = DeadLetter(Failure(0, 0, "line 0", "map(f)", "ValueError", "bad"), b"")
    for entries, outcome in ((100, Complete), (99, Fail)):
        subject = Ledger(tuning=EngineTuning(), placement=First(), error_policy=policy)
        first, second = started(subject, 2)
        spoiled = with_changes(report(first), entries=(1,), dead_letters=(letter,))
        told = subject.handle(events.PartialReturned("a", Partial((spoiled,), (b"",), bytes(16)), False))
        assert only(Fail, told) == [], "one of one is no share yet"
        rest = with_changes(report(second), entries=(entries - 1,))
        told = subject.handle(events.PartialReturned("a", Partial((rest,), (b"",), bytes(16)), False))
        assert [type(instruction) for instruction in told] == [Fold, outcome]


def test_a_loss_that_has_nothing_to_do_with_the_chunk_can_repeat_for_ever() -> None:
    subject = ledger(max_worker_losses=2)
    (sent,) = started(subject, 1)
    for _ in range(10):
        (sent,) = only(Send, subject.handle(events.BatchLost(sent.batch.batch_id, "blind", may_be_poison=False)))
    assert not subject.finished


def test_a_failure_of_user_code_ends_the_step() -> None:
    subject = ledger()
    sent, _ = started(subject, 2)
    failure = Failure(0, 0, "line 1", "map(f)", "ValueError", "bad")
    assert subject.handle(events.BatchFailed(sent.batch.batch_id, "a/0", failure)) == [Fail(failure)]
    assert subject.handle(events.ClockTicked(1.0)) == [], "nothing is decided any more"


def test_ordered_results_are_folded_in_the_order_of_their_chunks() -> None:
    subject = ledger(ordered=True)
    first, second = started(subject, 2)
    assert first.collect
    assert only(Fold, subject.handle(events.PartialReturned("a", partial(second), False))) == []
    told = subject.handle(events.PartialReturned("a", partial(first), False))
    assert told == [Fold(partial(first)), Fold(partial(second)), Complete()]


def test_a_repeated_early_result_is_dropped() -> None:
    subject = ledger(ordered=True)
    _, second = started(subject, 2)
    subject.handle(events.PartialReturned("a", partial(second), False))
    assert len(only(Drop, subject.handle(events.PartialReturned("a", partial(second), False)))) == 1


def test_chunks_that_an_earlier_master_folded_are_not_sent() -> None:
    folded = ChunkIdSet(low=2)
    folded.add(3, 4)
    for next_id in (1, 2):
        subject = ledger(resume_point=ResumePoint(next_id=next_id, folded=folded, counters={"entries": 7, "sent": 3}))
        subject.handle(events.WorkerJoined("a", "a/0"))
        sent = only(Send, subject.handle(chunks(next_id, 5), events.SourceExhausted()))
        assert [send.batch.first for send in sent] == [2, 4]
        assert subject.counters["entries"] == 7


def test_calls_carry_more_chunks_when_chunks_turn_out_to_be_quick() -> None:
    subject = ledger(target_call_seconds=0.05)
    subject.handle(events.WorkerJoined("a", "a/0"))
    sent = only(Send, subject.handle(chunks(0, 2)))
    (cut,) = only(Cut, subject.handle(events.BatchProcessed(sent[0].batch.batch_id, "a/0", 0.0001)))
    (bigger,) = only(Send, subject.handle(chunks(2, 2 + cut.count)))
    assert len(bigger.batch) == 4, "four times the last call, and no more"


def test_the_last_chunks_are_spread_over_all_workers() -> None:
    subject = ledger(target_call_seconds=1, calls_per_worker=2)
    subject.handle(events.WorkerJoined("a", "a/0"), events.WorkerJoined("b", "b/0"))
    sent = only(Send, subject.handle(chunks(0, 4)))
    for send in sent[:2]:
        subject.handle(events.BatchProcessed(send.batch.batch_id, "a/0", 0.001))
    told = only(Send, subject.handle(chunks(4, 8), events.SourceExhausted()))
    assert [len(send.batch) for send in told] == [2, 1]


def test_a_slow_call_is_given_to_a_second_worker_with_the_calls_that_wait_behind_it() -> None:
    subject = ledger(speculation_timeout=10, collect_interval=1000)
    first, _second, *_ = started(subject, 2, workers=2)
    subject.handle(events.BatchProcessed(first.batch.batch_id, "a/0", 1.0))
    # The worker that holds chunk 0 is late with chunk 1, so its collection returns nothing.
    subject.handle(events.PartialReturned("a", None, True))
    assert only(Send, subject.handle(events.ClockTicked(9.0))) == []
    copies = only(Send, subject.handle(events.ClockTicked(11.0)))
    assert [copy.batch.first for copy in copies] == [0, 1]
    assert only(Send, subject.handle(events.ClockTicked(30.0))) == [], "the copies have twice the time"
    assert subject.counters["chunks_speculated"] == 2
    told = subject.handle(events.PartialReturned("a", partial(*copies), True))
    assert [type(instruction) for instruction in told] == [Fold, Complete]


def test_a_copy_goes_to_another_node_if_there_is_one_and_never_behind_its_only_worker() -> None:
    subject = ledger(speculation_timeout=10, calls_per_worker=2)
    sent = started(subject, 1)
    assert only(Send, subject.handle(events.ClockTicked(11.0))) == [], "its node has no other worker"
    subject.handle(events.WorkerJoined("b", "b/0"))
    (copy,) = only(Send, subject.handle(events.ClockTicked(12.0)))
    assert (copy.node_id, copy.batch.first, copy.batch.history.copies) == ("b", sent[0].batch.first, 1)


def test_the_first_result_of_two_counts_and_the_second_is_dropped() -> None:
    subject = ledger(speculation_timeout=10)
    sent, other = started(subject, 2, workers=2)
    (copy, *_) = only(Send, subject.handle(events.ClockTicked(11.0)))
    assert only(Fold, subject.handle(events.PartialReturned("a", partial(sent), True))) == [Fold(partial(sent))]
    assert only(Fold, subject.handle(events.PartialReturned("a", partial(copy), True))) == []
    assert subject.counters["duplicates_dropped"] == 1
    assert only(Complete, subject.handle(events.PartialReturned("a", partial(other), True))) == [Complete()]


def test_a_chunk_that_two_workers_had_is_sent_again_once_when_both_results_are_dropped() -> None:
    subject = ledger(speculation_timeout=10)
    sent, other = started(subject, 2, workers=2)
    copies = only(Send, subject.handle(events.ClockTicked(11.0)))
    assert [copy.batch.first for copy in copies] == [0, 1]
    # One worker processed both, so its state counts chunk 0 twice, and chunk 1 is lost with it.
    told = subject.handle(events.PartialReturned("a", partial(sent, copies[0], copies[1]), True))
    assert only(Drop, told)
    again = only(Send, told)
    assert [send.batch.first for send in again] == [0], "chunk 1 is still with its first worker"
    assert subject.counters["chunks_sent_again"] == 1
    told = subject.handle(events.PartialReturned("a", partial(*again, other), True))
    assert [type(instruction) for instruction in told] == [Fold, Complete]


def test_a_copy_that_is_lost_is_not_sent_again_while_the_first_is_at_work() -> None:
    subject = ledger(speculation_timeout=10)
    (sent,) = started(subject, 1, workers=2)
    (copy,) = only(Send, subject.handle(events.ClockTicked(11.0)))
    assert only(Send, subject.handle(events.BatchLost(copy.batch.batch_id, "gone"))) == []
    again = only(Send, subject.handle(events.BatchLost(sent.batch.batch_id, "gone as well")))
    assert [send.batch.first for send in again] == [0]


def test_a_placement_that_waits_is_asked_again() -> None:
    class Never(Placement):
        def choose(self, candidates: list[NodeCandidate]) -> str | None:
            return None

    subject = Ledger(tuning=EngineTuning(), placement=Never())
    subject.handle(events.WorkerJoined("a", "a/0"))
    assert only(Send, subject.handle(chunks(0, 1))) == []


def test_missing_chunks_are_reported_with_their_stage_and_node() -> None:
    subject = ledger(calls_per_worker=2)
    subject.handle(events.WorkerJoined("a", "a/0"))
    sent = only(Send, subject.handle(chunks(0, 3)))
    subject.handle(events.BatchProcessed(sent[0].batch.batch_id, "a/0", 1.0))
    missing = subject.missing()
    assert [(gap.first, gap.stage, gap.worker_id) for gap in missing] == [
        (0, Stage.PROCESSED, "a/0"),
        (1, Stage.SENT, None),
        (2, Stage.SENT, None),
    ]
    assert {gap.node_id for gap in missing} == {"a"}


def test_the_story_of_a_chunk_lists_its_events() -> None:
    subject = ledger()
    (sent,) = started(subject, 1)
    subject.handle(events.BatchLost(sent.batch.batch_id, "its process died"))
    assert [line.split(" ")[0] for line in subject.story(0)] == ["sent", "lost", "sent"]
    assert "its process died" in subject.story(0)[1]
    assert subject.story(7) == []


@pytest.mark.parametrize("first", [1, 5])
def test_a_chunk_id_that_leaves_a_gap_is_reported_as_a_bug(first: int) -> None:
    with pytest.raises(LedgerError, match="chunk 0 should come"):
        ledger().handle(chunks(first, first + 1))


def test_a_result_for_a_chunk_that_was_never_cut_is_a_bug() -> None:
    subject = ledger()
    (sent,) = started(subject, 1)
    other = Send(type(sent.batch)(99, DeliveryHistory(), (Chunk(7, (7,), 1, (7, 1)),)), "a", collect=False)
    with pytest.raises(LedgerError, match="chunk 7"):
        subject.handle(events.PartialReturned("a", partial(other), False))
