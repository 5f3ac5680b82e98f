"""The ledger's record of lost workers and nodes, and of their chunks."""

from test_ledger import ledger, only, started

from elastic.core.ledger import events
from elastic.core.ledger.instructions import Send


def test_chunks_of_a_lost_node_are_named_until_they_are_folded() -> None:
    subject = ledger(max_chunks_per_call=2, calls_per_worker=2)
    sends = started(subject, 4)
    subject.handle(events.BatchProcessed(sends[0].batch.batch_id, "a/0", 0.1))
    known = subject.whereabouts()
    assert [(each.node_id, each.worker_id, each.stage) for each in known[:2]] == [
        ("a", "a/0", "processed"), ("a", None, "sent"),
    ]  # fmt: skip
    count = sum(each.stop - each.first for each in known)
    subject.handle(events.NodeLost("a", "the machine is off"))
    [loss] = subject.losses.list
    assert (loss.node_id, loss.worker_id, loss.chunks, loss.entries) == ("a", None, count, None)
    assert str(loss).startswith("node a: the machine is off; it had ")
    assert {(each.node_id, each.lost) for each in subject.whereabouts()} == {("a", "the machine is off")}
    [again, *_] = only(Send, subject.handle(events.WorkerJoined("b", "b/0")))
    assert {each.node_id for each in subject.whereabouts() if each.first == again.batch.first} == {"b"}
