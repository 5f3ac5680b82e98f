"""Workers that prefetch calls get more of them."""

from test_ledger import chunks, ledger, only

from elastic.core.ledger import events
from elastic.core.ledger.instructions import Cut, Send


def test_a_worker_that_prefetches_calls_gets_that_many_more() -> None:
    subject = ledger(calls_per_worker=2)
    assert subject.handle(events.WorkerJoined("a", "a/0", ahead=3)) == [Cut(5)]
    sent = only(Send, subject.handle(chunks(0, 5)))
    assert len(sent) == 5
    assert subject.handle(events.BatchProcessed(sent[0].batch.batch_id, "a/0", 1.0)) == [Cut(1)]
