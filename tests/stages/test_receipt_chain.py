"""Receipts from the master's sender to the master's receiver: every change in transit is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from stage_samples import KEY, SEAL, by_value, call_of, program, worker

from elastic.aggregators import Collect, Sum
from elastic.core.contracts.source import EntriesReader
from elastic.core.encoding import compress, decompress, digest
from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import Batch, Chunk, DeliveryHistory
from elastic.core.model.partial import BatchReport, Partial
from elastic.core.receipts.receipt import ReceiptSigner
from elastic.core.receipts.receipt_chain import links_of_row, receipts_of
from elastic.core.receipts.stage import STAGES
from elastic.stages.messages import COLLECT, Call, Reply
from elastic.stages.transport.receiver import MasterReceiver, NodeReceiver
from elastic.stages.transport.sender import MasterSender, NodeSender
from elastic.stages.transport.station import Station
from elastic.stages.worker.worker import Worker
from tests.core.column_samples import with_changes


def returned(*calls: Call, aggregator: Any = None) -> Partial:
    """Send calls through a node with one worker and return its reply."""
    subject = worker(aggregator=aggregator or Collect())
    receiver, sender = NodeReceiver(SEAL, "node"), NodeSender(SEAL, "node", None)
    for call in calls:
        reply = sender.send([subject.work(receiver.receive(call))])
        assert reply.failure is None
    partial = sender.send([subject.collect()]).partial
    assert partial is not None
    return partial


def two_batches() -> Partial:
    chunks = [by_value(n, [n] * (n + 1)) for n in range(3)]
    return returned(call_of(*chunks[:2]), call_of(chunks[2], batch_id=1, attempt=2))


def received(partial: Partial, *, seal: ReceiptSigner = SEAL, master: str = "master") -> Partial:
    return MasterReceiver(seal, master).receive(partial)


def test_what_comes_back_unchanged_is_believed_and_its_rows_give_all_receipts_again() -> None:
    partial = received(two_batches())
    assert [(row.first, row.count, row.columns.attempt, row.node_id, row.worker_id) for row in partial.rows] == [
        (0, 2, 1, "node", "node/0"),
        (2, 1, 2, "node", "node/0"),
    ]
    found = [receipts for row in partial.rows for receipts in receipts_of(SEAL, links_of_row(SEAL, ["master"], row))]
    assert [receipts[0].chunk_id for receipts in found] == [0, 1, 2]
    for receipts in found:
        assert tuple(receipt.stage for receipt in receipts) == STAGES
        assert [receipt.entries for receipt in receipts] == [receipts[0].chunk_id + 1] * 6
        assert [receipt.node_id for receipt in receipts] == ["master", "master", "node", "node/0", "node", "master"]


def change(partial: Partial, number: int, **fields: Any) -> Partial:
    """Return a partial with a change in one report."""
    reports = list(partial.reports)
    reports[number] = with_changes(reports[number], **fields)
    return replace(partial, reports=tuple(reports))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


#: changes, and the names of the affected chunks in the error
TAMPERINGS: dict[str, tuple[Callable[[Partial], Partial], str]] = {
    "entries": (lambda p: change(p, 0, entries=(1, 3)), "chunks 0 to 1"),
    "entries that trade places": (lambda p: change(p, 0, entries=(2, 1)), "chunks 0 to 1"),
    "content digest": (lambda p: change(p, 0, contents=flipped(p.reports[0].columns.contents, 20)), "chunks 0 to 1"),
    "processed": (lambda p: change(p, 0, processed=flipped(p.reports[0].processed, 15)), "chunks 0 to 1"),
    "returned": (lambda p: change(p, 0, returned=flipped(p.reports[0].returned, 0)), "chunks 0 to 1"),
    "cut_at": (lambda p: change(p, 1, cut_at=(5,)), "chunk 2"),
    "attempt": (lambda p: change(p, 1, attempt=1), "chunk 2"),
    "node": (lambda p: change(p, 1, node_id="other"), "chunk 2"),
    "worker": (lambda p: change(p, 1, worker_id="node/1"), "chunk 2"),
    "first chunk": (lambda p: change(p, 1, first=3), "chunk 0"),
    "counted": (lambda p: change(p, 1, counted=False), "chunk 2"),
    "links of another batch": (lambda p: change(p, 0, processed=p.reports[1].processed), "chunks 0 to 1"),
    "no links": (lambda p: change(p, 0, processed=bytes(16), returned=bytes(16)), "chunks 0 to 1"),
    "state and its digest": (lambda p: replace(p, states=(b"x",), digest=digest(b"x")), "chunk 0"),
    "state": (lambda p: replace(p, states=(flipped(p.states[0], 9),)), "chunk 0"),
    "a state more": (lambda p: replace(p, states=(*p.states, b"x")), "chunk 0"),
    "digest": (lambda p: replace(p, digest=bytes(16)), "chunk 0"),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_reply_of_which_anything_was_changed_is_refused_with_the_chunks(what: str) -> None:
    tamper, chunks = TAMPERINGS[what]
    partial = two_batches()
    with pytest.raises(ReceiptError, match=rf"{chunks}\b"):
        received(tamper(partial))
    received(partial)


@pytest.mark.parametrize(
    "fields",
    [
        {"entries": (1,)},
        {"entries": ()},
        {"entries": (1, 2, 3)},
        {"entries": (1, -2)},
        {"entries": (1, 2.5)},
        {"entries": (1, 1 << 70)},
        {"cut_at": (1, 2, 3)},
        {"cut_at": ()},
        {"contents": b"short"},
        {"processed": b""},
        {"returned": bytes(48)},
        {"attempt": 1 << 40},
        {"attempt": 0},
    ],
    ids=str,
)
def test_columns_that_do_not_fit_together_are_refused_with_the_chunk(fields: dict[str, Any]) -> None:
    with pytest.raises(ReceiptError, match=r"chunk 0\b.*damaged"):
        received(change(two_batches(), 0, **fields))


def test_a_state_without_receipts_is_refused() -> None:
    state = compress(Collect().encode([1]))
    with pytest.raises(ReceiptError, match="without receipts"):
        received(Partial((), (state,), digest(state)))


@pytest.mark.parametrize(
    "seal",
    [
        ReceiptSigner(key=bytes(32), run_id="run", step=0),
        ReceiptSigner(key=KEY, run_id="other", step=0),
        ReceiptSigner(key=KEY, run_id="run", step=1),
    ],
    ids=["another key", "another run", "another step"],
)
def test_a_reply_of_another_run_or_step_is_refused(seal: ReceiptSigner) -> None:
    with pytest.raises(ReceiptError, match="chunks 0 to 1"):
        received(two_batches(), seal=seal)


def test_a_reply_to_another_master_is_refused() -> None:
    with pytest.raises(ReceiptError, match="chunks 0 to 1"):
        received(two_batches(), master="other")


def test_chunks_that_workers_count_first_have_receipts_too() -> None:
    chunk = Chunk(0, (0,), 1_000, (0, 2), payload=by_value(0, [1, 2]).payload)
    partial = received(returned(call_of(chunk)))
    assert partial.reports[0].columns.entries == (2,)
    receipts = next(receipts_of(SEAL, links_of_row(SEAL, ["master"], partial.rows[0])))
    assert [receipt.entries for receipt in receipts] == [-1, -1, -1, 2, 2, 2]


def test_a_call_that_skips_the_node_s_receiver_is_refused() -> None:
    subject = worker()
    subject.work(call_of(by_value(0, [1])))
    partial = NodeSender(SEAL, "node", None).send([subject.collect()]).partial
    assert partial is not None
    with pytest.raises(ReceiptError, match="chunk 0"):
        received(partial)


def several_workers(aggregator: Any) -> list[Reply]:
    replies = []
    for number in range(3):
        subject = worker(aggregator=aggregator, worker_id=f"node/{number}")
        first, second = (by_value(2 * number + n, [number, 10 * n]) for n in range(2))
        for batch_id, chunk in enumerate((first, second)):
            call = call_of(chunk, batch_id=2 * number + batch_id)
            subject.work(NodeReceiver(SEAL, "node").receive(call))
        replies.append(subject.collect())
    return replies


@pytest.mark.parametrize("aggregator", [Sum(), Collect()], ids=["Sum", "Collect"])
def test_a_node_s_sender_combines_to_what_merging_by_hand_gives(aggregator: Any) -> None:
    replies = several_workers(aggregator)
    by_hand = aggregator.create()
    for reply in replies:
        assert reply.partial is not None
        by_hand = aggregator.merge(by_hand, aggregator.decode(decompress(reply.partial.states[0])))
    sender = NodeSender(SEAL, "node", aggregator)
    combined = sender.send([Reply(node_id="node", worker_id="", batch_id=COLLECT), *replies]).partial
    assert combined is not None
    assert len(combined.states) == 1
    assert aggregator.finish(aggregator.decode(decompress(combined.states[0]))) == aggregator.finish(by_hand)
    assert [report.first for report in combined.reports] == [0, 1, 2, 3, 4, 5]
    assert sender.chunks == 6
    assert received(combined).entries == 12


def test_the_sender_on_the_master_s_node_leaves_the_merging_to_the_master() -> None:
    replies = several_workers(Sum())
    partial = NodeSender(SEAL, "node", None).send(replies).partial
    assert partial is not None
    assert partial.states == tuple(reply.partial.states[0] for reply in replies if reply.partial is not None)
    assert received(partial).chunks == 6


def test_a_node_that_holds_nothing_sends_no_partial_but_reports_its_dead_workers() -> None:
    dead = Reply(node_id="node", worker_id="node/1", batch_id=COLLECT, dead_workers=(("node/1", "its process died"),))
    nothing = Reply(node_id="node", worker_id="", batch_id=COLLECT)
    reply = NodeSender(SEAL, "node", Sum()).send([nothing, worker().collect(), dead])
    assert (reply.partial, reply.dead_workers, reply.batch_id) == (None, (("node/1", "its process died"),), COLLECT)


def test_stations_count_what_passes_them_and_give_work_to_the_least_busy() -> None:
    station = Station.of(program(aggregator=Sum()), "node", combine=True)
    with pytest.raises(LookupError, match="node has no worker"):
        station.receive_call(call_of(by_value(0, [1])))
    for name in ("node/0", "node/1"):
        station.add_worker(name)
    workers = {name: Worker(program(aggregator=Sum()), node_id="node", worker_id=name) for name in station.calls}
    taken = [station.receive_call(call_of(by_value(n, [n]), batch_id=n)) for n in range(3)]
    assert [name for _, name in taken] == ["node/0", "node/1", "node/0"]
    for call, name in taken:
        station.return_reply(workers[name].work(call))
    assert not any(station.calls.values())
    assert station.receiver.chunks == 3
    station.sender.send([one.collect() for one in workers.values()])
    assert station.sender.chunks == 3


def test_a_copy_goes_to_a_worker_that_is_idle_or_was_active_last() -> None:
    station = Station.of(program(aggregator=Sum()), "node", combine=True)
    for name in ("node/0", "node/1", "node/2"):
        station.add_worker(name)
    stuck, other, third = (station.receive_call(call_of(by_value(n, [n]), batch_id=n))[1] for n in range(3))
    assert station.receive_call(copy_of(by_value(0, [0]), batch_id=3))[1] == third, "it began last"
    answer(station, other, 1)
    assert station.receive_call(call_of(by_value(4, [4]), batch_id=4))[1] == other
    # The stuck worker has fewer calls than any other now.
    for batch_id in (5, 6):
        assert station.receive_call(copy_of(by_value(0, [0]), batch_id=batch_id))[1] == other
    answer(station, third, 2)
    answer(station, third, 3)
    assert station.receive_call(copy_of(by_value(0, [0]), batch_id=7))[1] == third, "it is idle"
    assert station.calls[stuck] == [0]


def copy_of(chunk: Chunk, *, batch_id: int) -> Call:
    return replace(call_of(chunk, batch_id=batch_id, attempt=2), is_copy=True)


def answer(station: Station, worker_id: str, batch_id: int) -> None:
    station.return_reply(Reply(node_id="node", worker_id=worker_id, batch_id=batch_id))


def test_a_batch_goes_out_with_a_link_made_on_the_master() -> None:
    sender = MasterSender(SEAL, "master", EntriesReader())
    first, second = by_value(5, [1]), by_value(6, [2, 3])
    call = sender.send(Batch(9, DeliveryHistory(1), (first, second)), "node", collect=True)
    assert (call.batch_id, call.columns.attempt, call.first, call.collect, call.counted) == (9, 2, 5, True, True)
    assert (call.columns.entries, call.references) == ((1, 2), ((0, 1), (0, 2)))
    assert len(call.link) == 16
    assert call.link != sender.send(Batch(9, DeliveryHistory(2), (first, second)), "node", collect=True).link


def test_an_account_knows_where_it_ends() -> None:
    report: BatchReport = two_batches().reports[0]
    assert (report.stop, len(report)) == (2, 2)
